// Package tokjson turns the SentencePiece vocabulary that a GGUF file carries
// (pieces, scores, kinds) into a tokenizer.json for the Hugging Face tokenizers
// library: byte-pair merges with byte fallback.
//
// It owns that conversion and the two files' JSON. It knows no weights, no
// architecture and no chat template, and it never encodes text itself.
//
// The result must give the ids of the tokenizer that the model was published
// with. Invariants behind that:
//
//   - a piece keeps its id; a rename keeps the id and never becomes reachable
//     through merges, so special tokens come from the added-token table only;
//   - merges are ordered as SentencePiece would pick them: better score first,
//     user-defined pieces before all others;
//   - the same vocabulary gives the same bytes.
package tokjson
