// Package kvcache decides what of a prompt need not be computed again. It owns the prefix tree over token ids, the states,
// snapshots and rows that stand in it, their budget, and where each of them came from; it finds what serves a new prompt
// best, reserves it, says which forward calls remain and where they are to be captured, and takes in what they made.
//
// It knows ids, identities of media, offsets, bytes and the State interface. It must not know tensors, models, messages,
// templates, HTTP or files: its tests need no model, and what a span of a prompt means is server/prompt's. It says what a
// turn would cost; whether to pay is the engine's.
//
// # A turn
//
//	Begin    looks the prompt up and reserves what serves it; or says whom to wait for
//	Restore  gives the state that the hit asks for               (worker)
//	Chunks   are the forward calls that remain, with the offsets to capture
//	Commit   records what entered the model, once or often       (nothing may run on the state)
//	Close    leaves the state to others; Abort drops it
//	Sweep    keeps the budget and frees what was given up        (worker)
//
// A plan that was never restored is closed, too. Lookup asks without reserving, Calls and Digest name a state for audits
// and lower tiers, Distrust drops what an audit found wrong.
//
// # What is in the tree
//
// A node is a stretch of ids, exact to the token. What is stored of it are blocks: one for each list of forward calls that
// computed it. A block hangs on the very block that it was computed on. Its rows are in the live states that stand on it or
// below, or copied out, in a piece; sliding and recurrent layers come back from a snapshot at its end. A node without a
// block is a ghost: its ids are known, its state is gone.
//
// # Invariants
//
// Check verifies them all and fails with the arithmetic; the tests call it after every step.
//
//   - hit ≤ min(matched, prompt − 1): at least one prompt token is always computed. The cap stands in one place, usable.
//   - matched is the longest common prefix with anything that was ever committed, whether its state is left or not, while
//     ghosts have room. Of an evicted conversation it is exact, too.
//   - A chain of blocks from the root is a state that some calls really produced. Rows of one computation are never joined
//     to another's, though they stand for the same ids. Replaying Calls gives the same bits where no call was batched.
//   - A live state has one owner. Others at the same point get a copy, or wait for what the owner commits.
//   - Nothing is evicted that a turn under way uses or has reserved; nothing is stored that cannot be restored, itself or
//     as a part of something else.
//   - bytes(live states) + bytes(pieces) + bytes(snapshots) are counted where they change, and ≤ the budget after a Sweep,
//     unless turns under way hold more. Side requests under way are held beside the budget: for them nothing of a main
//     line is evicted, and what they leave goes first. Only Yield, when the process or its host has no memory left, goes
//     on to the main line. What the newest held trace names stays until lower tiers have read it, and what they lend to a
//     turn may be more than the budget: the turn will hold as much.
//   - Of a conversation that outgrows the budget as much stays as fits: its live state is cut back to a snapshot.
//   - displaced ≤ prompt − matched: ids of the new part in runs of at least 32 that the session computed before or, within
//     the static prefix, any session.
//
// One lock guards it all. What frees or copies is called on the worker only; what other goroutines give up waits there.
package kvcache
