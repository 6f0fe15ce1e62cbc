// Package engine runs turns: one request in, text and one ledger row out. It owns the loaded model, the live
// states and the order of a turn (see Turn, which reads top to bottom); the rooms below it do the work.
//
// It must not know HTTP or any API's JSON: adapters translate to Request and from Event and Result.
//
// Invariants:
//
//   - Every Turn writes one row, also a refused, cancelled or failed one.
//   - prefill_tokens is the sum of how far each forward call of the prefill moved the state, counted there.
//   - A state is in one place: held in kvcache.Live, or owned by the one turn that took it. A turn that fails
//     inside a forward call frees its state; one that is cancelled between two steps keeps it.
package engine
