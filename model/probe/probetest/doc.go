// Package probetest is what the tests of every architecture have in common: parity with the reference values that
// model/parity wrote beside tiny checkpoints, and reuse of state, bit for bit.
//
// It must not know one architecture from another.
package probetest
