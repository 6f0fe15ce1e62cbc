// Package agents drives the real clients, OpenClaw, Hermes and the SDKs, against a real server, and works out from what went over
// the wire how much of each request was there to be reused.
//
// It owns where the clients were installed (third_party/clients.sh), their isolated homes, the server's process, and a tap between
// them that records and changes nothing. It must not know how an answer is made: what a turn reused is read from the server's
// ledger, and what it could have reused from the prompts' ids, which the server is asked for once the client is done.
//
// Invariants:
//
//   - a client sees no home but its own, and no proxy or key of this machine; what it leaves running is ended with it;
//   - every wait has a limit;
//   - ids that the server names afterwards are those of the turn itself: their checksum is the row's.
package agents
