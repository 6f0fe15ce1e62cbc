package tokjson

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"reprise/model/hub/gguf"
)

// Kind is a piece's role, numbered as llama.cpp numbers it in a GGUF.
type Kind int32

// The kinds a SentencePiece vocabulary uses.
const (
	Normal      Kind = 1
	Unknown     Kind = 2
	Control     Kind = 3 // never produced from text, only through its own name
	UserDefined Kind = 4 // matched in the text before anything else
	Unused      Kind = 5
	Byte        Kind = 6 // "<0x00>" … "<0xFF>"
)

// space is SentencePiece's visible space.
const space = "▁"

// None is the id of a special token that the vocabulary does not name.
const None = -1

// Vocab is a vocabulary; the slices are indexed by token id.
type Vocab struct {
	Pieces []string
	Scores []float32
	Kinds  []Kind

	BOS, EOS, Unk, Pad int // ids, or None
	AddBOS, AddEOS     bool
}

// FromGGUF reads the vocabulary of a file whose tokenizer is SentencePiece's.
func FromGGUF(f *gguf.File) (*Vocab, error) {
	model, err := gguf.Value[string](f, "tokenizer.ggml.model")
	if err != nil {
		return nil, err
	}
	if model != "llama" {
		return nil, fmt.Errorf("%s: tokenizer %q is not supported (\"llama\", SentencePiece's, is)", f.Path, model)
	}
	// llama.cpp puts a space before the text unless this key says otherwise.
	if add, err := gguf.Value[bool](f, "tokenizer.ggml.add_space_prefix"); err != nil || add {
		return nil, fmt.Errorf("%s: a tokenizer that adds a space before the text is not supported (tokenizer.ggml.add_space_prefix must be false)", f.Path)
	}
	v := &Vocab{}
	if v.Pieces, err = gguf.Value[[]string](f, "tokenizer.ggml.tokens"); err != nil {
		return nil, err
	}
	if v.Scores, err = gguf.Value[[]float32](f, "tokenizer.ggml.scores"); err != nil {
		return nil, err
	}
	kinds, err := gguf.Value[[]int32](f, "tokenizer.ggml.token_type")
	if err != nil {
		return nil, err
	}
	for _, k := range kinds {
		v.Kinds = append(v.Kinds, Kind(k))
	}
	for key, id := range map[string]*int{"bos": &v.BOS, "eos": &v.EOS, "unknown": &v.Unk, "padding": &v.Pad} {
		if *id, err = specialID(f, "tokenizer.ggml."+key+"_token_id", len(v.Pieces)); err != nil {
			return nil, err
		}
	}
	// Absent flags are llama.cpp's defaults for SentencePiece.
	v.AddBOS, v.AddEOS = flag(f, "tokenizer.ggml.add_bos_token", true), flag(f, "tokenizer.ggml.add_eos_token", false)
	if err := v.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", f.Path, err)
	}
	v.nameSpaces()
	return v, nil
}

func flag(f *gguf.File, key string, absent bool) bool {
	if v, err := gguf.Value[bool](f, key); err == nil {
		return v
	}
	return absent
}

func specialID(f *gguf.File, key string, size int) (int, error) {
	if !f.Has(key) {
		return None, nil
	}
	id, err := f.Int(key)
	if err == nil && (id < 0 || id >= int64(size)) {
		err = fmt.Errorf("%s: %s %d is outside the vocabulary of %d", f.Path, key, id, size)
	}
	return int(id), err
}

func (v *Vocab) check() error {
	if len(v.Pieces) == 0 || len(v.Scores) != len(v.Pieces) || len(v.Kinds) != len(v.Pieces) {
		return fmt.Errorf("vocabulary has %d pieces, %d scores and %d kinds", len(v.Pieces), len(v.Scores), len(v.Kinds))
	}
	seen := make(map[string]int, len(v.Pieces))
	for id, piece := range v.Pieces {
		if !utf8.ValidString(piece) {
			return fmt.Errorf("token %d is not valid UTF-8: %q", id, piece)
		}
		if before, dup := seen[piece]; dup {
			return fmt.Errorf("tokens %d and %d are both %q", before, id, piece)
		}
		seen[piece] = id
	}
	if v.Unk == None {
		return fmt.Errorf("vocabulary names no unknown token")
	}
	if v.AddBOS && v.BOS == None || v.AddEOS && v.EOS == None {
		return fmt.Errorf("vocabulary adds a bos or eos token that it does not name")
	}
	return nil
}

// nameSpaces gives user-defined pieces SentencePiece's spaces. llama.cpp's
// converter writes them with plain ones, which the normalizer would leave no
// text to match.
func (v *Vocab) nameSpaces() {
	for id, piece := range v.Pieces {
		if v.Kinds[id] == UserDefined {
			v.Pieces[id] = strings.ReplaceAll(piece, " ", space)
		}
	}
}

// Rename gives a token that only its own name produces another name. It becomes
// a control token.
func (v *Vocab) Rename(id int, name string) error {
	switch {
	case id < 0 || id >= len(v.Pieces):
		return fmt.Errorf("token %d (%s) is outside the vocabulary of %d", id, name, len(v.Pieces))
	case v.Kinds[id] != Control && v.Kinds[id] != UserDefined:
		return fmt.Errorf("token %d is the ordinary piece %q: it cannot become %s", id, v.Pieces[id], name)
	}
	if other := slices.Index(v.Pieces, name); other >= 0 && other != id {
		return fmt.Errorf("token %d cannot become %s: token %d already is", id, name, other)
	}
	v.Pieces[id], v.Kinds[id] = name, Control
	return nil
}

// Special reports whether a token is left out of text that is shown: every
// control token that has a meaning.
func (v *Vocab) Special(id int) bool {
	return v.Kinds[id] == Control && !strings.HasPrefix(v.Pieces[id], "<unused")
}
