package tokjson

import (
	"bufio"
	"encoding/json"
	"io"
)

// addedToken is an entry of tokenizer.json's added_tokens.
type addedToken struct {
	ID         int    `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"`
	LStrip     bool   `json:"lstrip"`
	RStrip     bool   `json:"rstrip"`
	Normalized bool   `json:"normalized"`
	Special    bool   `json:"special"`
}

// pattern is how tokenizers writes a literal pattern.
type pattern struct {
	String string `json:"String"`
}

// WriteTokenizer writes tokenizer.json.
func (v *Vocab) WriteTokenizer(w io.Writer) error {
	out := &jsonWriter{w: bufio.NewWriterSize(w, 1<<18)}
	out.raw(`{"version":"1.0","truncation":null,"padding":null,"added_tokens":`)
	out.list(len(v.Pieces), v.added)
	out.raw(`,"normalizer":`)
	out.value(map[string]any{"type": "Replace", "pattern": pattern{" "}, "content": space})
	out.raw(`,"pre_tokenizer":`)
	out.value(map[string]any{"type": "Split", "pattern": pattern{" "}, "behavior": "MergedWithPrevious", "invert": false})
	out.raw(`,"post_processor":`)
	out.value(v.postProcessor())
	out.raw(`,"decoder":`)
	out.value(map[string]any{"type": "Sequence", "decoders": []any{
		map[string]any{"type": "Replace", "pattern": pattern{space}, "content": " "},
		map[string]any{"type": "ByteFallback"},
		map[string]any{"type": "Fuse"},
	}})
	v.writeModel(out)
	out.raw("}\n")
	if out.err != nil {
		return out.err
	}
	return out.w.Flush()
}

// added gives the added-token entry of an id that has one.
func (v *Vocab) added(id int) (any, bool) {
	if v.Kinds[id] != Control && v.Kinds[id] != UserDefined && id != v.Unk {
		return nil, false
	}
	return addedToken{ID: id, Content: v.Pieces[id], Special: v.Special(id) || id == v.Unk}, true
}

// writeModel writes the BPE itself: half a million merges, so not as one value.
func (v *Vocab) writeModel(out *jsonWriter) {
	out.raw(`,"model":{"type":"BPE","dropout":null,"unk_token":`)
	out.value(v.Pieces[v.Unk])
	out.raw(`,"continuing_subword_prefix":null,"end_of_word_suffix":null,"fuse_unk":true,"byte_fallback":true,"ignore_merges":false,"vocab":{`)
	for id, piece := range v.Pieces {
		if id > 0 {
			out.raw(",")
		}
		out.value(piece)
		out.raw(":")
		out.value(id)
	}
	out.raw(`},"merges":`)
	merges := v.merges()
	out.list(len(merges), func(i int) (any, bool) {
		return [2]string{v.Pieces[merges[i].left], v.Pieces[merges[i].right]}, true
	})
	out.raw("}")
}

// postProcessor is the template that adds bos and eos where the model was
// trained with them.
func (v *Vocab) postProcessor() any {
	special := map[string]any{}
	template := func(sequences ...string) []any {
		var out []any
		add := func(id, sequence int) {
			name := v.Pieces[id]
			special[name] = map[string]any{"id": name, "ids": []int{id}, "tokens": []string{name}}
			out = append(out, map[string]any{"SpecialToken": map[string]any{"id": name, "type_id": sequence}})
		}
		for i, s := range sequences {
			if v.AddBOS {
				add(v.BOS, i)
			}
			out = append(out, map[string]any{"Sequence": map[string]any{"id": s, "type_id": i}})
			if v.AddEOS {
				add(v.EOS, i)
			}
		}
		return out
	}
	return map[string]any{
		"type": "TemplateProcessing", "single": template("A"), "pair": template("A", "B"), "special_tokens": special,
	}
}

// Config is the content of tokenizer_config.json. maxLength is the model's
// context in tokens.
func (v *Vocab) Config(maxLength int64) map[string]any {
	c := map[string]any{
		"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": maxLength,
		"add_bos_token": v.AddBOS, "add_eos_token": v.AddEOS,
		"clean_up_tokenization_spaces": false, "spaces_between_special_tokens": false, "padding_side": "left",
	}
	for name, id := range map[string]int{"bos_token": v.BOS, "eos_token": v.EOS, "unk_token": v.Unk, "pad_token": v.Pad} {
		if id != None {
			c[name] = v.Pieces[id]
		}
	}
	return c
}

// jsonWriter streams JSON; its first error sticks.
type jsonWriter struct {
	w   *bufio.Writer
	err error
}

func (j *jsonWriter) raw(s string) {
	if j.err == nil {
		_, j.err = j.w.WriteString(s)
	}
}

func (j *jsonWriter) value(v any) {
	if j.err != nil {
		return
	}
	var b []byte
	if b, j.err = json.Marshal(v); j.err == nil {
		_, j.err = j.w.Write(b)
	}
}

// list writes the items of an array of up to n for which item says so, a line each.
func (j *jsonWriter) list(n int, item func(i int) (any, bool)) {
	separator := "[\n"
	for i := range n {
		v, ok := item(i)
		if !ok {
			continue
		}
		j.raw(separator)
		j.value(v)
		separator = ",\n"
	}
	if separator == "[\n" {
		j.raw("[")
	}
	j.raw("]")
}
