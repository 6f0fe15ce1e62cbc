// Package selftest lets the owner of a machine settle in three minutes what no test elsewhere can: that the models compute there
// what the references do, that the kernels agree with plain ops, that reused state replays to the same logits, that both memory
// counters count, and how fast a model is.
//
// It owns the checks and their page. It must not know flags. A claim about a Mac may be made only with the file that it writes.
//
// Invariants:
//
//   - every check says pass, fail or skipped, with a figure or a reason; one that cannot run is never a pass;
//   - what the file says of the machine is read, not asked;
//   - reference values were computed by mlx-lm, not by this program (model/*/testdata).
package selftest
