// Package run holds a conversation with a loaded model from the command line: one generation, a follow-up, a chat in
// the terminal, and the figures of each turn.
//
// It owns how a conversation's next prompt is made of what was said (raw text that grows, or messages for the
// template) and how a ledger row reads for people. It must not know flags, nor how a turn is computed.
//
// Invariants:
//
//   - every figure printed is a field of the turn's row; what the row does not know is "not measured";
//   - a turn that was cancelled leaves the conversation with what had been said.
package run
