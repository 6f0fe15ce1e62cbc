// Package kvcache decides what of a prompt need not be computed again. It keeps states with the ids they stand
// for, finds the one that serves a new prompt best, and says what is left to do.
//
// It knows ids, offsets, bytes and the State interface; it must not know tensors, models, messages or HTTP, so
// its tests need none of them.
//
// Now it holds live states only, one per conversation (Live). The prefix tree, snapshots, plans with captures,
// provenance and budgets come with the cache issue and take Live's place behind the same Match.
//
// Invariants:
//
//   - matched is a match of tokens: the longest common prefix with any sequence held, before the cap.
//   - hit ≤ min(matched, prompt − 1): at least one prompt token is always computed. The cap stands in one place,
//     Live.Lookup.
//   - A live state has one owner: Take hands it over, and it is nobody else's until Put.
package kvcache
