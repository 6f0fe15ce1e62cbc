// Package cachecmd is what `reprise cache` does: it asks a running server what its cache holds, why a turn's prompt left
// the cached one, whether it adds up, and it reads the ledger's files.
//
// It owns how the answers are printed and what is checked in a file. It must not know flags, nor how a cache works: the
// server's answers are package api's and engine's, in their own types.
//
// Invariants:
//
//   - every figure printed is one that the server or the ledger gave;
//   - texts of prompts reach a terminal without control characters;
//   - a server that does not answer is ErrNoServer, whatever the reason, and told in one line that says what to do.
package cachecmd
