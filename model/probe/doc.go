// Package probe runs a model without turns, caches or sampling: logits of every position, and greedy
// continuations with the gap between the two best tokens. `reprise logits`, the parity tests and self-tests use
// it. It must not be used to serve: it holds every position's logits.
package probe
