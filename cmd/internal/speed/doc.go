// Package speed measures a loaded model's prefill and decode speed at context frontiers, through the engine, with
// reuse off: what a turn costs, not what a kernel could do.
//
// It owns the prompts, the order of the runs and the medians. It must not know flags.
//
// Invariants:
//
//   - every timing is one that the turn's row holds, so the same words mean the same elsewhere; what is done between
//     turns (forgetting the state, collecting garbage) is outside of it;
//   - runs alternate over the frontiers, and the first round is thrown away.
package speed
