package tokenizer

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	rust "github.com/daulet/tokenizers"

	"reprise/model/hub"
)

// Tokenizer is one checkpoint's tokenizer. It is safe for concurrent use;
// Close waits for encodings under way.
type Tokenizer struct {
	path  string // of tokenizer.json, for errors
	vocab *vocab
	bos   int32 // -1: none
	eos   []int32

	mu      sync.RWMutex // read: the library is in use; write: it is being closed
	encoder *rust.Tokenizer
}

// Load reads dir's tokenizer.json and, where they exist, tokenizer_config.json,
// generation_config.json and config.json for the ids that begin and end a text.
//
// The library needs about 0.7 s for Gemma's 15 MB and 514,906 merges on the
// development machine's two cores (the vocabulary and its reverse 0.3 s, finding
// the merges' ids, which uses every core, 0.2 s), so a caller that also loads
// weights should do both at once. third_party/tokenizers has what it took: as
// published, it needs 2.3 s.
func Load(dir string) (*Tokenizer, error) {
	path := filepath.Join(dir, "tokenizer.json")
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("tokenizer: %s has no tokenizer.json: the checkpoint is incomplete, or its tokenizer is of a form that reprise does not read (only tokenizer.json is)", dir)
	}
	if err != nil {
		return nil, fmt.Errorf("tokenizer: %w", err)
	}
	t, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("tokenizer: %s: %w", path, err)
	}
	t.path = path
	if err := t.loadEnds(dir); err != nil {
		return nil, errors.Join(fmt.Errorf("tokenizer: %w", err), t.Close())
	}
	return t, nil
}

// parse builds both halves at once: the library parses while this package
// reads the vocabulary.
func parse(data []byte) (*Tokenizer, error) {
	type result struct {
		encoder *rust.Tokenizer
		err     error
	}
	done := make(chan result, 1)
	go func() {
		encoder, err := newEncoder(data)
		done <- result{encoder, err}
	}()
	v, err := parseVocab(data)
	r := <-done
	if err != nil { // ours first: it names the place
		if r.encoder != nil {
			err = errors.Join(err, r.encoder.Close())
		}
		return nil, err
	}
	if r.err != nil {
		return nil, r.err
	}
	return &Tokenizer{vocab: v, bos: -1, encoder: r.encoder}, nil
}

func newEncoder(data []byte) (*rust.Tokenizer, error) {
	if len(data) == 0 {
		return nil, errTruncated
	}
	return rust.FromBytes(data)
}

// loadEnds finds the ids that begin and end a text. For the beginning the
// tokenizer's own configuration decides where there is one; a generation ends
// where the model's configuration says.
func (t *Tokenizer) loadEnds(dir string) error {
	ids, err := hub.ReadSpecialIDs(dir)
	if err != nil {
		return err
	}
	if bos, ok := t.named(ids.BOSToken); ok {
		t.bos = bos
	} else if len(ids.BOS) > 0 && (!ids.TokenizerNames || ids.BOSToken != "") {
		t.bos = ids.BOS[0]
	}
	t.eos = ids.EOS
	if eos, ok := t.named(ids.EOSToken); ok && len(t.eos) == 0 {
		t.eos = []int32{eos}
	}
	return nil
}

func (t *Tokenizer) named(token string) (int32, bool) {
	if token == "" {
		return 0, false
	}
	return t.vocab.id(token)
}

// Encode returns text's ids. Special tokens written out in the text become
// their ids; addSpecial also adds what tokenizer.json's post-processor puts
// around a text (for Gemma: <bos>). Invalid UTF-8 is read as U+FFFD.
func (t *Tokenizer) Encode(text string, addSpecial bool) ([]int32, error) {
	if err := checkNUL(text); err != nil {
		return nil, err
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.encoder == nil {
		return nil, fmt.Errorf("tokenizer: %s: used after Close", t.path)
	}
	encoded := t.encoder.EncodeWithOptions(text, addSpecial).IDs
	if len(encoded) == 0 && text != "" && !t.mayVanish(text) {
		return nil, fmt.Errorf("tokenizer: %s: the library could not encode a text of %d bytes", t.path, len(text))
	}
	ids := make([]int32, len(encoded))
	for i, id := range encoded {
		ids[i] = int32(id)
	}
	return ids, nil
}

func checkNUL(text string) error {
	if at := strings.IndexByte(text, 0); at >= 0 {
		return fmt.Errorf("tokenizer: the text has a NUL character at byte %d, which the tokenizer library cannot take: remove it", at)
	}
	return nil
}

// mayVanish tells whether no ids at all is a possible answer: a text of white
// space alone can be stripped away by a normalizer. The library reports a
// failure in no other way than by returning nothing.
func (t *Tokenizer) mayVanish(text string) bool {
	return strings.TrimSpace(text) == ""
}

// Decode returns the text of ids. skipSpecial leaves out special tokens.
func (t *Tokenizer) Decode(ids []int32, skipSpecial bool) string {
	var text strings.Builder
	s := t.NewStream(skipSpecial)
	for _, id := range ids {
		text.WriteString(s.Push(id))
	}
	text.WriteString(s.Flush())
	return text.String()
}

// NewStream returns a decoder for ids that arrive one at a time.
func (t *Tokenizer) NewStream(skipSpecial bool) *Stream {
	return &Stream{vocab: t.vocab, skipSpecial: skipSpecial, strip: t.vocab.decode.strip}
}

// Bytes returns the bytes that id stands for inside a sequence: not always
// whole characters. It is nil for an id outside the vocabulary.
func (t *Tokenizer) Bytes(id int32) []byte {
	if !t.vocab.has(id) {
		return nil
	}
	return t.vocab.decode.appendPiece([]byte{}, t.vocab.pieces[id])
}

// ID returns the id of a piece exactly as tokenizer.json writes it ("▁the",
// "<0x0A>", "<|turn>").
func (t *Tokenizer) ID(piece string) (int32, bool) { return t.vocab.id(piece) }

// Piece returns id's piece as tokenizer.json writes it, "" for an id outside
// the vocabulary.
func (t *Tokenizer) Piece(id int32) string {
	if !t.vocab.has(id) {
		return ""
	}
	return t.vocab.pieces[id]
}

// Special tells whether id carries structure instead of text.
func (t *Tokenizer) Special(id int32) bool { return t.vocab.has(id) && t.vocab.special[id] }

// VocabSize returns one more than the largest id. A model's logits may be
// wider (padding) or narrower (ids of another modality).
func (t *Tokenizer) VocabSize() int { return len(t.vocab.pieces) }

// BOS returns the id that begins a text, if the checkpoint names one. Whether
// Encode adds it is the post-processor's business, not implied by this.
func (t *Tokenizer) BOS() (int32, bool) { return t.bos, t.bos >= 0 }

// EOS returns the ids that end a generation: generation_config.json's, else
// config.json's, else tokenizer_config.json's. The slice is the caller's.
func (t *Tokenizer) EOS() []int32 { return slices.Clone(t.eos) }

// Close frees the library's memory. Encode fails afterwards; decoding works.
func (t *Tokenizer) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.encoder == nil {
		return nil
	}
	err := t.encoder.Close()
	t.encoder = nil
	return err
}
