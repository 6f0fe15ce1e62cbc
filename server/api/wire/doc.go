// Package wire is what the adapters of all APIs share between a socket and a turn: reading a request body, taking
// its fields apart strictly, running the turn, keeping a stream of server-sent events alive, and errors that no
// API's shape has been given to yet.
//
// It must not know any API's field names or JSON shapes, nor what a prompt says: nothing here logs one.
//
// Invariants:
//
//   - A field of a request is taken, refused by name, or accepted by name; Object.Unknown refuses the rest.
//   - No answer is silent for longer than Silence, streamed (Stream) or not (Whole).
//   - An error before the first byte of an answer has a status; one after it cuts the connection (ErrCut), because
//     clients take a clean end for a whole answer, whatever it says.
//   - An answer is written by the goroutine that runs the turn or by the answer's own timer, one at a time; after
//     Close nobody writes.
package wire
