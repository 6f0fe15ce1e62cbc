package gguf

import "fmt"

// Type is a tensor's element type, numbered as ggml numbers it.
type Type uint32

// The types that Dequantize widens.
const (
	F32  Type = 0
	F16  Type = 1
	Q4_0 Type = 2
	Q4_1 Type = 3
	Q5_0 Type = 6
	Q5_1 Type = 7
	Q8_0 Type = 8
	Q4_K Type = 12
	Q5_K Type = 13
	Q6_K Type = 14
	BF16 Type = 30
)

// layout is the shape of a type's blocks.
type layout struct {
	name     string
	elements int // in a block
	bytes    int // of a block
}

// superBlock is the number of elements in a block of the K quantizations.
const superBlock = 256

// layoutOf gives the block layout of a type. Types that Dequantize does not
// widen have a layout too, so that a file holding one opens and the refusal can
// name the tensor; ok is false for a number that ggml has not given out.
func layoutOf(t Type) (l layout, ok bool) {
	switch t {
	case F32:
		return layout{"F32", 1, 4}, true
	case F16:
		return layout{"F16", 1, 2}, true
	case BF16:
		return layout{"BF16", 1, 2}, true
	case Q4_0:
		return layout{"Q4_0", 32, 2 + 16}, true
	case Q4_1:
		return layout{"Q4_1", 32, 4 + 16}, true
	case Q5_0:
		return layout{"Q5_0", 32, 2 + 4 + 16}, true
	case Q5_1:
		return layout{"Q5_1", 32, 4 + 4 + 16}, true
	case Q8_0:
		return layout{"Q8_0", 32, 2 + 32}, true
	case Q4_K:
		return layout{"Q4_K", superBlock, 4 + 12 + 128}, true
	case Q5_K:
		return layout{"Q5_K", superBlock, 4 + 12 + 32 + 128}, true
	case Q6_K:
		return layout{"Q6_K", superBlock, 128 + 64 + 16 + 2}, true
	}
	return otherLayout(t)
}

// otherLayout covers the types that are known and not supported.
func otherLayout(t Type) (l layout, ok bool) {
	switch t {
	case 10:
		return layout{"Q2_K", superBlock, 84}, true
	case 11:
		return layout{"Q3_K", superBlock, 110}, true
	case 16:
		return layout{"IQ2_XXS", superBlock, 66}, true
	case 17:
		return layout{"IQ2_XS", superBlock, 74}, true
	case 18:
		return layout{"IQ3_XXS", superBlock, 98}, true
	case 19:
		return layout{"IQ1_S", superBlock, 50}, true
	case 20:
		return layout{"IQ4_NL", 32, 18}, true
	case 21:
		return layout{"IQ3_S", superBlock, 110}, true
	case 22:
		return layout{"IQ2_S", superBlock, 82}, true
	case 23:
		return layout{"IQ4_XS", superBlock, 136}, true
	case 24:
		return layout{"I8", 1, 1}, true
	case 25:
		return layout{"I16", 1, 2}, true
	case 26:
		return layout{"I32", 1, 4}, true
	case 27:
		return layout{"I64", 1, 8}, true
	case 28:
		return layout{"F64", 1, 8}, true
	case 29:
		return layout{"IQ1_M", superBlock, 56}, true
	case 34:
		return layout{"TQ1_0", superBlock, 54}, true
	case 35:
		return layout{"TQ2_0", superBlock, 66}, true
	case 39:
		return layout{"MXFP4", 32, 17}, true
	}
	return layout{}, false
}

// String is ggml's name of the type.
func (t Type) String() string {
	if l, ok := layoutOf(t); ok {
		return l.name
	}
	return fmt.Sprintf("type %d", uint32(t))
}

// BlockElements is the number of elements that share a block, 0 when unknown.
func (t Type) BlockElements() int {
	l, _ := layoutOf(t)
	return l.elements
}

// BlockBytes is the length of a block in bytes, 0 when unknown.
func (t Type) BlockBytes() int {
	l, _ := layoutOf(t)
	return l.bytes
}
