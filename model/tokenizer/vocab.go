package tokenizer

import (
	"encoding/json"
	"fmt"
	"sync"
)

// maxID bounds the ids a tokenizer.json may name, so that a bad file cannot ask
// for gigabytes of table. The largest vocabularies today have 262,145 entries.
const maxID = 1 << 22

// addedToken is an entry of tokenizer.json's added_tokens: it is cut out of the
// text before the model sees it. Special ones carry structure, not text.
type addedToken struct {
	ID         int32  `json:"id"`
	Content    string `json:"content"`
	Special    bool   `json:"special"`
	Normalized bool   `json:"normalized"` // matched in the normalized text, not in the text as it is
	SingleWord bool   `json:"single_word"`
	LStrip     bool   `json:"lstrip"`
	RStrip     bool   `json:"rstrip"`
}

// vocab is the part of tokenizer.json that decoding needs.
type vocab struct {
	pieces  []string         // by id; "" where present is false
	present []bool           // by id
	special []bool           // by id
	added   map[string]int32 // added tokens by content: they win over the model's pieces
	decode  decoder
	split   *splitter // nil: a text's parts cannot be encoded apart

	byPiece func() map[string]int32 // of the model's pieces, built when first asked for
}

// parseVocab reads the vocabulary, the added tokens and the decoder.
func parseVocab(data []byte) (*vocab, error) {
	v := &vocab{added: map[string]int32{}}
	var decoderSpec, preTokenizer []byte
	var added []addedToken
	s := &scanner{data: data}
	err := s.object(func(key string) error {
		switch key {
		case "model":
			return v.parseModel(s)
		case "added_tokens":
			raw, err := s.raw()
			if err != nil {
				return err
			}
			if err := json.Unmarshal(raw, &added); err != nil {
				return fmt.Errorf("added_tokens: %w", err)
			}
			return nil
		default:
			raw, err := s.raw()
			switch key {
			case "decoder":
				decoderSpec = raw
			case "pre_tokenizer":
				preTokenizer = raw
			}
			return err
		}
	})
	if err != nil {
		return nil, err
	}
	if s.peek() != 0 {
		return nil, s.fail("the end of the file")
	}
	if len(v.pieces) == 0 {
		return nil, fmt.Errorf("model.vocab is absent or empty")
	}
	if err := v.addTokens(added); err != nil {
		return nil, err
	}
	if v.decode, err = parseDecoder(decoderSpec); err != nil {
		return nil, err
	}
	v.split = newSplitter(added, preTokenizer)
	v.byPiece = sync.OnceValue(v.indexPieces)
	return v, nil
}

func (v *vocab) parseModel(s *scanner) error {
	return s.object(func(key string) error {
		if key != "vocab" {
			_, err := s.raw()
			return err
		}
		if s.peek() == '[' {
			return fmt.Errorf("model.vocab is a list (a Unigram model), which is not supported: only BPE is")
		}
		return s.object(func(piece string) error {
			id, err := s.integer()
			if err != nil {
				return fmt.Errorf("model.vocab, piece %q: %w", piece, err)
			}
			if err := v.set(id, piece); err != nil {
				return fmt.Errorf("model.vocab: %w", err)
			}
			return nil
		})
	})
}

// addTokens lays the added tokens over the model's vocabulary. It must come
// after parseModel, whatever the order in the file.
func (v *vocab) addTokens(added []addedToken) error {
	for _, t := range added {
		if err := v.set(t.ID, t.Content); err != nil {
			return fmt.Errorf("added_tokens: %w", err)
		}
		v.special[t.ID] = t.Special
		v.added[t.Content] = t.ID
	}
	return nil
}

func (v *vocab) set(id int32, piece string) error {
	if id < 0 || id >= maxID {
		return fmt.Errorf("piece %q has id %d: ids from 0 to %d are allowed", piece, id, maxID-1)
	}
	for int(id) >= len(v.pieces) {
		v.pieces = append(v.pieces, "")
		v.present = append(v.present, false)
		v.special = append(v.special, false)
	}
	v.pieces[id] = piece
	v.present[id] = true
	return nil
}

func (v *vocab) has(id int32) bool {
	return id >= 0 && int(id) < len(v.present) && v.present[id]
}

func (v *vocab) indexPieces() map[string]int32 {
	index := make(map[string]int32, len(v.pieces))
	for id, piece := range v.pieces {
		if v.present[id] {
			index[piece] = int32(id)
		}
	}
	return index
}

func (v *vocab) id(piece string) (int32, bool) {
	if id, ok := v.added[piece]; ok {
		return id, true
	}
	id, ok := v.byPiece()[piece]
	return id, ok
}
