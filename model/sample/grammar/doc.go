// Package grammar says which tokens may come next where an answer is held to a JSON schema, a regular expression or a
// grammar. It is a thin wrapper of llguidance (Rust, through its C header; one static library with the tokenizer's).
//
// It knows a vocabulary and grammars; it must not know models, devices, chat dialects or requests: model/chat/held writes
// the grammars of calls, server/engine puts the masks before the sampler.
//
// Invariants:
//
//   - What the library cannot do, or would do only in part (its warnings), is a CompileError; nothing is left out.
//   - A special token is no text: no string or regular expression of a grammar lets it through, only its id in a grammar
//     (<[106]>). A text that spells one is made of other tokens.
//   - A token is allowed exactly if the answer with it can still be completed. Ids that end an answer are allowed exactly
//     where it is complete.
//   - A Tokenizer may be used by any number of goroutines, a Matcher by one at a time. Matchers are closed before their
//     Tokenizer.
package grammar
