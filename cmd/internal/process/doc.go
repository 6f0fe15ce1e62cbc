// Package process starts programs that serve, waits until they do, and ends them: reprise's own server, those it is measured
// beside, and the store that several share.
//
// It owns the process, in a group of its own so that Ctrl-C is its starter's to pass on, its end, and the last of what it said.
// Of reprise it knows `serve`'s line that it is ready. It must not know what is asked of a server.
//
// Invariants:
//
//   - a program that did not become ready has ended when Ready returns its error;
//   - Stop asks as a service manager does, leaves time to store what is held, and returns when the process is gone;
//   - one goroutine waits for a process and ends with it.
package process
