// Package oracle says from the token ids of a run alone what a cache could have known at every turn, and compares what
// the rows claim with it. It is brute force on purpose: every earlier sequence is compared id by id.
//
// It owns the definitions of workloads.md and of invariant 1 in design.md:
//
//   - held: the sequence that a turn leaves behind is its prompt and what it generated, as far as the ids entered the
//     model; the last sampled token did not;
//   - matched: the longest common prefix of a prompt with any sequence held before, in whatever conversation and process; a row
//     may be short of it by less than 64 ids where that part was evicted or is another process's, because ids are told of in so
//     many at a time;
//   - ceiling: matched, at most prompt − 1, because one token is always computed;
//   - displaced: the prompt's tokens behind matched that lie in a run of at least 32 ids, all of them behind matched,
//     which the conversation (for tokens of the static prefix: any conversation) held before at another place or behind
//     another prefix, in the process that is asked: what others computed it fetches, but does not search for text.
//
// It must not know the cache: nothing of kvcache is imported, rows are read by their JSON names.
package oracle
