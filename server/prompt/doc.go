// Package prompt is prompt assembly, the second phase of a turn: a conversation or a raw text becomes ids, in one
// rendering, timed, with the spans that its messages have and the offsets where state is wanted. It puts answers that
// a client sends back into the prompt as they were generated, and says in what two prompts part (where they part is
// kvcache's to find).
//
// It knows messages, templates, tokenizers and what was generated in a conversation (Record); it must not know states,
// plans or HTTP.
//
// How an answer comes back: Remember notes the ids of a generated message under the key of its conversation, a hash
// over the canonical forms of everything before it and of itself. The next prompt that has the same message at the
// same place, in whatever spelling, gets those ids in place of the template's rendering, from the opening that they
// were generated behind up to where the template closes the message. What was fed to the model is then a prefix of the
// next prompt wherever the template goes on in the same way.
//
// Invariants:
//
//   - The ids are a function of the input and of the record, never of what a cache holds, of what text is remembered,
//     or of the requests between; processes that share a record's store (Share) make the same ids. An answer that a prompt has had is not replaced in the record.
//   - Without an entry in the record the ids are those of the template's text, tokenized as a whole.
//   - A rendered conversation is tokenized without adding special tokens (its template writes them out), a raw text
//     with them, whole.
//   - Spans cover the ids in order and without gaps. What could not be located in a rendering is labelled template;
//     nothing is put back there.
//   - A client's messages are never written to.
package prompt
