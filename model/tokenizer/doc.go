// Package tokenizer turns text into token ids and ids back into text.
//
// It owns the checkpoint's tokenizer.json: the vocabulary, the added tokens,
// the encoder (Hugging Face's Rust library behind github.com/daulet/tokenizers)
// and the decoder (Go, in this package). It knows nothing of chat templates,
// models or requests: rendering is model/chat's, the meaning of a prompt is
// server/prompt's.
//
// Why decoding is done here and not by the library: the library decodes whole
// sequences through C strings, which cannot carry a NUL, and gives no way to
// ask what one id stands for. A stream needs exactly that. Every decoder this
// package accepts maps an id to bytes independently of its neighbours, so the
// text of a sequence is the concatenation of its ids' bytes, read as UTF-8.
// A decoder that is not of that kind is refused by name when it is loaded.
//
// Invariants:
//
//   - What a Stream has returned so far, plus Flush, equals Decode of the ids
//     pushed so far, after every push.
//   - A Stream never returns part of a character; it holds back at most three
//     bytes. A push costs O(bytes of the piece).
//   - Each maximal invalid part of the byte sequence becomes one U+FFFD, as in
//     the WHATWG decoder, Rust's from_utf8_lossy and Python's errors="replace".
//     The library differs in one case: in a run of byte tokens (<0xNN>) that is
//     not valid as a whole it replaces every byte of the run, valid characters
//     included. A stream that did so would have to hold back entire runs.
//   - Ids outside the vocabulary decode to nothing, as in the library.
//   - A Memo's ids are Encode's, whatever it remembers or has forgotten.
//   - A Tokenizer and a Memo may be used by any number of goroutines; a Stream
//     by one.
package tokenizer
