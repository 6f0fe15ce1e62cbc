// Package engine runs turns: one request in, text and one ledger row out. It owns the loaded model, its
// cache and the order of a turn (see Turn, which reads top to bottom); the rooms below it do the work.
//
// It must not know HTTP or any API's JSON: adapters translate to Request and from Event and Result.
//
// Invariants:
//
//   - Every Turn writes one row, also a refused, cancelled or failed one.
//   - prefill_tokens is the sum of how far each forward call of the prefill moved the state, counted there.
//   - A state is the cache's; a turn owns the one that its plan restored until it commits. A turn that fails inside a
//     forward call drops it; one that is cancelled between two steps commits what it computed.
//   - Generated ids become text, reasoning and calls (model/chat/parse) on the turn's own goroutine, while the device computes
//     the next step: the worker parses nothing. A raw text's continuation is not parsed.
//   - An answer is remembered (server/prompt) before the client learns that it is complete; one that broke off within a call
//     is not.
//   - No turn begins, goes on to its next call or lengthens its answer unless what that takes, by what was seen to be taken
//     (memory, appetite), fits the limit, the device and the host. A refusal has the figures; nothing is evicted for one.
//   - What admission evicts, and what the budget takes once it is stored, is on the row of the turn whose sweep comes next. What
//     the host's pressure evicts is on no row: it is MemoryStats.PressEvicted and reprise_pressure_evicted_tokens_total.
//   - An audit is a replay of provenance on a state of its own, a step at a time when no turn is under way, with a row of
//     its own: purpose audit, parent_turn_id the audited turn.
package engine
