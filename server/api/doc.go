// Package api is the HTTP server: its routes, its life cycle, and what protects it. It mounts the adapters of the
// APIs (openai; others beside it) and serves what is reprise's own: health, the ledger, the cache.
//
// It must not know how a turn works: it hands requests to an engine through wire.Engine and prints rows.
//
// Invariants:
//
//   - Without an API key the server listens on loopback only.
//   - On loopback it answers only to loopback names (a web page may have its own name point here), and never to a
//     request that changes something on behalf of another origin, nor with CORS headers, unless that origin was named.
//   - Whatever a handler does, the server stays: a panic is a 500, or a cut connection once the answer has begun.
//   - Every error is JSON in the shape of its API, OpenAI's where there is none, and every path that is not in Routes is 404:
//     agents probe for other servers.
//   - The log has counts, times and addresses; no keys, and no prompts or answers unless LogPrompts asks for them. What Record
//     writes has both: it is for replaying.
//
// PARAMETERS.md is the table of every endpoint's parameters; a test of each adapter keeps it whole.
package api
