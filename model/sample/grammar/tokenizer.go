package grammar

/*
#cgo LDFLAGS: -ltokenizers -ldl -lm -lstdc++
#include <stdlib.h>
#include "bridge.h"
*/
import "C"

import (
	"fmt"
	"runtime/cgo"
	"slices"
	"unsafe"
)

// Vocabulary is what a grammar asks of a tokenizer.
type Vocabulary interface {
	VocabSize() int
	Bytes(id int32) []byte // what the id stands for inside a text
	Special(id int32) bool // it carries structure, not text
	Piece(id int32) string // as it is written
	EOS() []int32          // ids that end an answer; at least one
	Encode(text string, addSpecial bool) ([]int32, error)
}

// Tokenizer is a vocabulary made ready: a trie of its tokens' bytes.
type Tokenizer struct {
	vocab   Vocabulary
	width   int
	special []bool
	ends    []int32
	handle  cgo.Handle
	tok     *C.LlgTokenizer
}

// specialMark is the byte with which the library wants a special token's name to begin; no UTF-8 has it.
const specialMark = 0xFF

// New makes a vocabulary ready for logits of width ids; what the vocabulary does not have of them is never allowed.
// marker tells of ids that are structure though the vocabulary has them as text; nil: none.
func New(v Vocabulary, width int, marker func(id int32) bool) (*Tokenizer, error) {
	t := &Tokenizer{vocab: v, width: width, special: make([]bool, width)}
	for _, id := range v.EOS() {
		if id >= 0 && int(id) < width && !slices.Contains(t.ends, id) {
			t.ends = append(t.ends, id)
		}
	}
	if len(t.ends) == 0 {
		return nil, fmt.Errorf("grammar: the vocabulary names no id that ends an answer")
	}
	lens, bytes := make([]C.uint32_t, width), make([]byte, 0, 8*width)
	for id := range min(width, v.VocabSize()) {
		text := v.Bytes(int32(id))
		if t.special[id] = v.Special(int32(id)) || slices.Contains(t.ends, int32(id)) || marker != nil && marker(int32(id)); t.special[id] {
			text = append([]byte{specialMark}, v.Piece(int32(id))...)
		} else if len(text) > 0 && text[0] == specialMark {
			text = nil // the byte alone: part of no text
		}
		lens[id], bytes = C.uint32_t(len(text)), append(bytes, text...)
	}
	ends := make([]C.uint32_t, len(t.ends))
	for i, id := range t.ends {
		ends[i] = C.uint32_t(id)
	}
	t.handle = cgo.NewHandle(t)
	var problem [512]C.char
	t.tok = C.reprise_grammar_tokenizer(C.uint32_t(width), &lens[0], (*C.uint8_t)(unsafe.SliceData(bytes)), &ends[0], C.uint32_t(len(ends)),
		C.uintptr_t(t.handle), &problem[0], C.size_t(len(problem)))
	if t.tok == nil {
		t.handle.Delete()
		return nil, fmt.Errorf("grammar: the vocabulary of %d tokens: %s", width, C.GoString(&problem[0]))
	}
	return t, nil
}

// Close frees the trie.
func (t *Tokenizer) Close() {
	if t.tok != nil {
		C.llg_free_tokenizer(t.tok)
		t.handle.Delete()
		t.tok = nil
	}
}

//export repriseGrammarTokenize
func repriseGrammarTokenize(handle C.uintptr_t, bytes *C.uint8_t, n C.size_t, out *C.uint32_t, room C.size_t) C.size_t {
	t := cgo.Handle(handle).Value().(*Tokenizer)
	ids := t.encode(string(unsafe.Slice((*byte)(bytes), n)))
	to := unsafe.Slice(out, room)
	for i, id := range ids[:min(len(ids), int(room))] {
		to[i] = C.uint32_t(id)
	}
	return C.size_t(len(ids))
}

// encode are a text's ids, none of them special: a name that the text spells out is cut before the tokenizer sees it whole.
// Empty, which the library takes for "not forced", where the tokenizer fails.
func (t *Tokenizer) encode(text string) []int32 {
	ids, err := t.vocab.Encode(text, false)
	if err != nil {
		return nil
	}
	if !slices.ContainsFunc(ids, t.isSpecial) {
		return ids
	}
	if len(text) < 2 {
		return nil
	}
	at := len(text) / 2
	for at < len(text)-1 && text[at]&0xC0 == 0x80 {
		at++
	}
	return append(t.encode(text[:at]), t.encode(text[at:])...)
}

func (t *Tokenizer) isSpecial(id int32) bool {
	return id < 0 || int(id) >= t.width || t.special[id]
}
