// Package metrics prints ledger rows for Prometheus: what they add up to, how their times are distributed, and what the
// process holds now.
//
// It must not know turns: a new counter is a field of the row first. Names are reprise_<noun>_<unit>_total for sums.
//
// client_golang stays at 1.20: later ones read the process's memory on macOS through a header of Mach that the cross build lacks.
//
// Invariants:
//
//   - A sum here is the sum over the rows that the ledger recorded, of the same purpose.
//   - What a row does not know (null) is in no histogram.
package metrics
