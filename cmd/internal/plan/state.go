package plan

import (
	"reprise/kvcache/state"
	"reprise/model/hub"
)

// Form is how state is kept.
type Form struct {
	Element int64 `json:"element_bytes"`       // of a value: 2 in bfloat16, 4 in float32
	KVBits  int   `json:"kv_bits"`             // of growing layers' keys and values; 0: not quantized
	Group   int   `json:"kv_group,omitempty"`  // values that share a scale and a bias
	Step    int   `json:"prefill_step_tokens"` // the absolute grid's
}

// FormOn is the form that state has on a backend.
func FormOn(b Backend, kv state.Quantization, weights int64) Form {
	f := Form{Element: 2, KVBits: kv.Bits, Group: kv.Group, Step: gridStep(b, weights)}
	if b == CPU {
		f.Element = 4
	}
	return f
}

func (f Form) kv() state.Quantization { return state.Quantization{Bits: f.KVBits, Group: f.Group} }

// gridStep is the engine's rule (server/engine, gridStep): the test compares them.
func gridStep(b Backend, weights int64) int {
	switch {
	case b == CPU:
		return 256
	case weights > 12e9:
		return 512
	case weights > 6e9:
		return 1024
	}
	return 2048
}

// growing is the bytes of a token's elements in growing layers.
func (f Form) growing(elements int64) int64 { return f.kv().ElementBytes(elements, int(f.Element)) }

// StateOf is the state of one conversation in layers of one kind.
type StateOf struct {
	Kind     string `json:"kind"`
	Layers   int    `json:"layers"` // with state of their own
	Token    int64  `json:"token_bytes"`
	Live     int64  `json:"live_bytes"`     // of the conversation under way, as buffers are allocated
	Snapshot int64  `json:"snapshot_bytes"` // what a kept offset costs; growing layers need none
}

// StateAt sizes the state of a conversation of that many tokens whose widest call had width tokens.
func (m *Model) StateAt(tokens, width int, f Form) []StateOf {
	var out []StateOf
	for _, k := range m.Kinds {
		s := StateOf{Kind: k.Kind, Layers: k.Cached}
		switch k.Kind {
		case hub.LinearAttention:
			s.Live = k.StateElements*4 + k.ConvElements*f.Element // the matrix is float32 everywhere
			s.Snapshot = s.Live
		case hub.SlidingAttention:
			row := k.TokenElements * f.Element
			s.Live = int64(state.SlidingRows(int(m.Window), width)) * row
			s.Snapshot = int64(min(tokens, int(m.Window)-1)) * row
		default:
			s.Token = f.growing(k.TokenElements)
			s.Live = int64(state.GrowingRows(tokens)) * s.Token
		}
		out = append(out, s)
	}
	return out
}

// readState is what a decode step reads of the state at a context: every layer's rows that it attends to, those of layers that
// reuse another one's too, and the recurrent state.
func (m *Model) readState(tokens int, f Form) int64 {
	var n int64
	for _, k := range m.Kinds {
		switch k.Kind {
		case hub.LinearAttention:
			n += k.StateElements*4 + k.ConvElements*f.Element
		case hub.SlidingAttention:
			n += int64(min(tokens, int(m.Window))) * k.TokenElements * f.Element * int64(k.Layers) / int64(max(1, k.Cached))
		default:
			n += int64(tokens) * f.growing(k.TokenElements) * int64(k.Layers) / int64(max(1, k.Cached))
		}
	}
	return n
}
