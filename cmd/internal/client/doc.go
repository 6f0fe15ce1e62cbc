// Package client sends requests to a server: JSON there and back, with its key.
//
// It owns how a server's URL is written, the connection, and what is said of a server that is not there, refuses, or answers
// something else. It must not know what a request asks for, nor whose server it is.
//
// Invariants:
//
//   - a server that does not answer is ErrNoServer, one that refuses is *Refused, and an answer that is no JSON is ErrOther;
//   - an error names the server, and never the password that its URL may hold.
package client
