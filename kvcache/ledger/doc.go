// Package ledger is the record of what happened: one Row per turn, and the printers of it.
//
// It owns the row's fields and their names, the identities that hold between them (Check), the JSONL files under
// REPRISE_HOME/ledger, the last rows in memory, and the totals that /metrics prints. It must not know models,
// states, prompts' text or who asks: the engine measures and fills in a Row, everything else reads it.
//
// Invariants:
//
//   - What was not measured is null (an Opt without a value), never 0.
//   - A row is checked once, by Seal, before anyone sees it. One that breaks an identity carries the arithmetic
//     in identity_error and is counted; it is never dropped and never repaired.
//   - A sealed row is read only: printers share its map and its slice.
//   - Names and their order are those of Row's json tags, for JSONL and CSV alike. Fields are added, not renamed,
//     and a reader ignores fields that it does not know.
//   - A ledger that cannot be written costs a warning and a count, never a turn.
package ledger
