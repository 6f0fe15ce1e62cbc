package grammar

/*
#include <stdlib.h>
#include "bridge.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"strings"
	"unsafe"
)

// Kind is the language that a grammar is written in.
type Kind string

// The languages.
const (
	JSONSchema Kind = "json_schema"
	Regex      Kind = "regex"
	Lark       Kind = "lark"
	Joined     Kind = "llguidance" // several grammars, each by its name; the first one is the answer's
)

// Spec is a grammar's source.
type Spec struct {
	Kind   Kind
	Source string
	// Lenient takes a grammar that the library can hold to only in part: its warnings are no errors.
	Lenient bool
}

// CompileError says why a grammar cannot be held to.
type CompileError struct {
	Kind    Kind
	Problem string
}

func (e *CompileError) Error() string { return e.Problem }

// Matcher follows one answer through a grammar.
type Matcher struct {
	tok  *Tokenizer
	m    *C.LlgMatcher
	bits []uint32
}

const maxProblem = 2048

// Compile makes a matcher at the beginning of an answer. A grammar that the library can hold to only in part is an error.
func (t *Tokenizer) Compile(spec Spec) (*Matcher, error) {
	if strings.IndexByte(spec.Source, 0) >= 0 {
		return nil, &CompileError{spec.Kind, "it has a NUL character"}
	}
	kind, source := C.CString(string(spec.Kind)), C.CString(spec.Source)
	defer C.free(unsafe.Pointer(kind))
	defer C.free(unsafe.Pointer(source))
	var init C.LlgConstraintInit
	C.reprise_grammar_init(&init, t.tok)
	var problem [maxProblem]C.char
	if got := C.llg_validate_grammar(&init, kind, source, &problem[0], maxProblem); got < 0 || got > 0 && !spec.Lenient {
		return nil, &CompileError{spec.Kind, oneLine(C.GoString(&problem[0]))}
	}
	m := &Matcher{tok: t, m: C.llg_new_matcher(&init, kind, source)}
	if err := m.failure(); err != nil {
		m.Close()
		return nil, &CompileError{spec.Kind, oneLine(err.Error())}
	}
	m.bits = make([]uint32, int(C.llg_matcher_get_mask_byte_size(m.m))/4)
	return m, nil
}

// oneLine is a problem in one line of bounded length, without what the library says for its own logs.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(strings.ReplaceAll(s, "WARNING:", "")), " ")
	if len(s) > 400 {
		s = strings.ToValidUTF8(s[:400], "") + "…"
	}
	return s
}

// Clone is a second matcher at the same place.
func (m *Matcher) Clone() *Matcher {
	return &Matcher{tok: m.tok, m: C.llg_clone_matcher(m.m), bits: make([]uint32, len(m.bits))}
}

// Allowed fills dst, one entry an id of the logits, with whether it may come next.
func (m *Matcher) Allowed(dst []bool) error {
	if len(dst) != m.tok.width {
		return fmt.Errorf("grammar: %d entries for logits of %d ids", len(dst), m.tok.width)
	}
	if C.llg_matcher_compute_mask_into(m.m, (*C.uint32_t)(unsafe.SliceData(m.bits)), C.size_t(4*len(m.bits))) != 0 {
		return m.failure()
	}
	for i := range dst {
		dst[i] = m.bits[i>>5]>>(i&31)&1 != 0
	}
	return nil
}

// Take goes on behind id, which must have been allowed.
func (m *Matcher) Take(id int32) error {
	if C.llg_matcher_consume_token(m.m, C.uint32_t(id)) != 0 {
		return m.failure()
	}
	return nil
}

// Complete tells whether the answer may end here.
func (m *Matcher) Complete() bool { return bool(C.llg_matcher_is_accepting(m.m)) }

// Ends are the ids that end an answer.
func (m *Matcher) Ends() []int32 { return m.tok.ends }

func (m *Matcher) failure() error {
	if text := C.llg_matcher_get_error(m.m); text != nil {
		return errors.New("grammar: " + oneLine(C.GoString(text)))
	}
	return nil
}

// Close frees the matcher.
func (m *Matcher) Close() {
	if m != nil && m.m != nil {
		C.llg_free_matcher(m.m)
		m.m = nil
	}
}
