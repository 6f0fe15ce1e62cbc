// Package fleet runs the loop's sessions that need server processes of their own: one that is replaced on the way, two that
// share only L2, and one that computes prompts for another.
//
// It owns the processes (this program's `serve`, on loopback), the folder of L1 that outlives one of them, and the store that
// they share when the user named none: a Valkey, in memory, without a log. It must not know prompts, nor what a row means but
// for pd_transfer_ms, whose halves two processes measure.
//
// Invariants:
//
//   - Close ends every process that was started and removes every folder that was made, whatever happened before.
//   - A process that is replaced is asked to end, as a service manager asks, and has the time to store what it holds.
//   - A turn that alternates or hands over has its state in L2 before the next one begins: an agent thinks between its turns,
//     this loop does not.
package fleet
