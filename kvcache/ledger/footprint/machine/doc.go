// Package machine says what computer this is: model, processor, cores, memory, operating system.
//
// It owns what doctor, bench and the proofs print beside a figure. It must not know what is measured there. What
// the system does not tell is empty or 0, and printed as unknown.
package machine
