// Package parse turns what a model generates into a message: reasoning, content and tool calls, as it comes, token by
// token. It knows the forms in which Gemma 4 and Qwen3.6 were trained to write these (their chat templates write the
// same), and what they write instead when they slip.
//
// It owns the dialects, the choice between them (For), and the typing of arguments by a tool's JSON schema. It must not
// know HTTP, ids of calls, or how tokens become text.
//
// Invariants:
//
//   - A marker that is one token of the vocabulary is found by its id: the same characters written out are text. Only
//     where a vocabulary has no such token is it found by its text, and only in Qwen's dialect.
//   - Message and the events, joined, are functions of the ids and the text: they do not depend on how the text is cut
//     into pieces.
//   - Joined, the events are the message: what was given out is never taken back. So text waits only where it may be the
//     beginning of a marker, and line feeds wait for what follows; a parameter waits until its type is certain (a string
//     does not), one that is damaged until its end is.
//   - A call's arguments, its pieces joined, are a JSON object with the parameters in the order in which the model wrote
//     them, whatever it wrote and wherever it was cut off. Numbers keep their spelling.
//   - Nothing that is put right goes unsaid: Message.Repairs.
//   - Output is valid UTF-8. No input makes it panic or wait.
package parse
