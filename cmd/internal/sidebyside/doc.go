// Package sidebyside measures this runner beside its peers on the same weights: llama.cpp and mlx-lm, through the
// libraries (prefill and decode at context frontiers) and through the servers (time to the first text in a
// conversation, what was reused, memory, load time).
//
// It owns which programs are started and how, what they are asked, the order of the runs, the medians, the tables and
// the limits that they are held against. It must not know flags, and nothing of the engine: reprise is started as a
// process like the others. What a peer's program must be and print stands in third_party/peers.sh.
//
// Invariants:
//
//   - one program computes at a time, and the order rotates: round r starts with the r-th engine, and at each context
//     all engines run before the next one, so that what is compared ran within seconds of each other;
//   - every figure of every round is kept; what is printed is their median and range, and a ratio is one of medians;
//   - what was not measured is absent, never a number, and a limit on it is missed;
//   - a program is ended by its own process, and waited for.
package sidebyside
