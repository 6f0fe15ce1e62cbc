// Package held writes the grammar that an answer is held to: the form of its content (a JSON schema, a regular expression, a
// grammar), whether it calls tools, which, and with what arguments, in the dialect in which the model writes calls.
//
// It knows dialects (model/chat/parse) and schemas, and the grammar language (model/sample/grammar); it must not know
// tokens' probabilities, devices, requests or HTTP.
//
// What holds:
//
//   - Reasoning comes first and free: the grammar begins behind the marker that closes it. Where the prompt left reasoning
//     open, the answer cannot end before it is closed.
//   - The content is exactly of the form asked for. A schema or grammar that the library does only in part is an error.
//   - White space in JSON is bounded: one space, or a line feed with up to 16 spaces, between two tokens; so an answer whose
//     schema is bounded ends.
//   - A call is of a tool that was declared, with the parameters of its schema: their names, types, choices, bounds of texts
//     and numbers, patterns, lengths of lists, what is required. Of tools' schemas, which agents write for other readers, what
//     the library or the dialect cannot express does not bind (see value): a call is well-formed and typed all the same.
//   - Gemma 4 writes keys sorted and texts between quotes that are tokens; Qwen3.6 writes a text parameter as it is, up to its
//     closing tag, and anything else as JSON. What is written here is what model/chat/parse reads back.
package held
