package held

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"reprise/model/chat"
	"reprise/model/chat/jinja"
	"reprise/model/chat/parse"
	"reprise/model/sample/grammar"
	"reprise/model/tokenizer"
)

// speaker is a dialect over a vocabulary.
type speaker struct {
	name    string
	vocab   *tokenizer.Tokenizer
	dialect *parse.Dialect
	tok     *grammar.Tokenizer
	short   []bool // ids of a character or a marker
}

// speakers are Gemma 4's dialect on the real model's vocabulary, and Qwen3.6's on one of single characters: with its markers as
// tokens, and with none.
func speakers(t *testing.T) []*speaker {
	t.Helper()
	gemma := filepath.Join("..", "..", "..", "third_party", "build", "models", "gemma-3-270m")
	out := []*speaker{
		{name: "gemma4", vocab: load(t, gemma)},
		{name: "qwen3.6", vocab: load(t, characters(t, "<think>", "</think>", "<tool_call>", "</tool_call>"))},
		{name: "qwen3.6 in text", vocab: load(t, characters(t))},
	}
	for _, s := range out {
		family, _, _ := strings.Cut(map[string]string{"gemma4": "gemma-4", "qwen3.6": "qwen3.6", "qwen3.6 in text": "qwen3.6"}[s.name], " ")
		src, err := os.ReadFile(filepath.Join("..", "templates", family+".jinja"))
		if err != nil {
			t.Fatal(err)
		}
		if s.dialect = parse.For(string(src), s.vocab); s.dialect == nil {
			t.Fatalf("%s: no dialect", s.name)
		}
		if s.tok, err = grammar.New(s.vocab, s.vocab.VocabSize(), s.dialect.IsMark); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.tok.Close)
		s.short = make([]bool, s.vocab.VocabSize())
		for id := range s.short {
			s.short[id] = len(s.vocab.Bytes(int32(id))) < 2 || s.dialect.IsMark(int32(id)) || slices.Contains(s.vocab.EOS(), int32(id))
		}
	}
	return out
}

func load(t *testing.T, dir string) *tokenizer.Tokenizer {
	t.Helper()
	v, err := tokenizer.Load(dir)
	if err != nil {
		t.Fatalf("%v (make build brings the real one)", err)
	}
	t.Cleanup(func() {
		if err := v.Close(); err != nil {
			t.Error(err)
		}
	})
	return v
}

// characters is a checkpoint folder whose vocabulary is ASCII and some markers.
func characters(t *testing.T, markers ...string) string {
	t.Helper()
	vocab := map[string]int{"\n": 0, "é": 1, "😀": 2}
	for c := ' '; c <= '~'; c++ {
		vocab[string(c)] = len(vocab)
	}
	var added []any
	for i, m := range append([]string{"<|im_end|>", "<|im_start|>"}, markers...) {
		added = append(added, map[string]any{"id": len(vocab) + i, "content": m, "special": i < 2, "normalized": false, "single_word": false, "lstrip": false, "rstrip": false})
	}
	dir := t.TempDir()
	for name, content := range map[string]any{
		"tokenizer.json": map[string]any{"version": "1.0", "added_tokens": added, "normalizer": nil, "pre_tokenizer": nil, "post_processor": nil,
			"decoder": map[string]any{"type": "Fuse"}, "model": map[string]any{"type": "BPE", "vocab": vocab, "merges": []any{}}},
		"generation_config.json": map[string]any{"eos_token_id": len(vocab)},
	} {
		raw, err := json.Marshal(content)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), raw, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// say draws an answer, each step anything that is allowed, and reads it as the engine does. Of the real vocabulary few tokens
// close anything: two draws in three are of the shortest, one in twelve of markers and ends.
func (s *speaker) say(m *grammar.Matcher, tools []chat.Value, thinking bool, rng *rand.Rand, most int) (parse.Message, string, error) {
	var all, short, shut []int32
	p, stream := s.dialect.New(tools, thinking), s.vocab.NewStream(true)
	allowed := make([]bool, s.vocab.VocabSize())
	var said strings.Builder
	for range most {
		if err := m.Allowed(allowed); err != nil {
			return p.Message(), said.String(), err
		}
		all, short, shut = all[:0], short[:0], shut[:0]
		for id, ok := range allowed {
			if ok {
				all = append(all, int32(id))
				if s.short[id] {
					short = append(short, int32(id))
				}
				if s.dialect.IsMark(int32(id)) || slices.Contains(m.Ends(), int32(id)) {
					shut = append(shut, int32(id))
				}
			}
		}
		if len(all) == 0 {
			return p.Message(), said.String(), errors.New("nothing is allowed")
		}
		from := all
		if len(short) > 0 && rng.IntN(3) > 0 {
			from = short
		}
		if len(shut) > 0 && rng.IntN(12) == 0 {
			from = shut
		}
		id := from[rng.IntN(len(from))]
		if slices.Contains(m.Ends(), id) {
			p.Push(-1, stream.Flush())
			p.Finish(false)
			return p.Message(), said.String(), nil
		}
		said.WriteString(s.vocab.Piece(id))
		if s.dialect.IsMark(id) {
			p.Push(-1, stream.Flush())
			p.Push(id, "")
		} else {
			p.Push(-1, stream.Push(id))
		}
		if err := m.Take(id); err != nil {
			return p.Message(), said.String(), err
		}
	}
	return p.Message(), said.String(), fmt.Errorf("no end after %d tokens", most)
}

func decodeTools(t *testing.T, src string) []chat.Value {
	t.Helper()
	v, err := chat.DecodeOrdered([]byte(src))
	if err != nil {
		t.Fatal(err)
	}
	return v.(*jinja.List).Items
}

// bounded has one of every kind of parameter that binds, all of them with a bound.
const bounded = `[
	{"type": "function", "function": {"name": "mix", "parameters": {"type": "object", "required": ["text", "Kind", "n"], "additionalProperties": false,
		"$defs": {"pair": {"type": "object", "properties": {"x": {"type": "integer", "minimum": 0, "maximum": 9}, "tree": {"$ref": "#/$defs/leaf"}}, "required": ["x"], "additionalProperties": false},
			"leaf": {"enum": ["oak", null, 3]}},
		"properties": {
			"text": {"type": "string", "minLength": 1, "maxLength": 6}, "Kind": {"enum": ["a b", "c{,}d", "\n"]}, "n": {"type": "integer", "minimum": -5, "maximum": 40},
			"maybe": {"type": ["boolean", "null"]}, "code": {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{1,3}$"},
			"list": {"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 3}, "minItems": 1, "maxItems": 3},
			"pairs": {"type": "array", "items": {"$ref": "#/$defs/pair"}, "maxItems": 2},
			"either": {"anyOf": [{"type": "boolean"}, {"type": "array", "items": {"type": "boolean"}, "maxItems": 1}]},
			"all": {"allOf": [{"$ref": "#/$defs/pair"}]}}}}},
	{"type": "function", "function": {"name": "none", "parameters": {"type": "object", "properties": {}, "additionalProperties": false}}}]`

func TestCallsAreOfTheSchema(t *testing.T) {
	tools := decodeTools(t, bounded)
	validators := map[string]*jsonschema.Schema{}
	for _, tool := range chat.Declared(tools) {
		c := jsonschema.NewCompiler()
		doc, err := jsonschema.UnmarshalJSON(strings.NewReader(toJSON(tool.Params)))
		if err == nil {
			err = c.AddResource("tool.json", doc)
		}
		if err != nil {
			t.Fatal(err)
		}
		validators[tool.Name] = c.MustCompile("tool.json")
	}
	for _, s := range speakers(t) {
		t.Run(s.name, func(t *testing.T) {
			for _, c := range []struct {
				calls    Calls
				thinking Thinking
			}{{Calls{Choice: Required}, NoThinking}, {Calls{Choice: Required, One: true}, NoThinking}, {Calls{Choice: Named, Name: "mix"}, NoThinking}, {Calls{Choice: Named, Name: "mix"}, SkipThought}} {
				m, ends, err := Compile(s.tok, s.dialect, tools, Want{Calls: c.calls}, c.thinking)
				if err != nil {
					t.Fatal(err)
				}
				if (len(ends) == 1) != (s.name == "gemma4") {
					t.Errorf("a call ends with %v", ends)
				}
				rng, keys, repaired := rand.New(rand.NewPCG(9, 9)), map[string]bool{}, 0
				runs := 100
				if s.name == "gemma4" { // masks of 262,144 ids
					runs = 25
				}
				for range runs {
					one := m.Clone()
					msg, said, err := s.say(one, tools, c.thinking == SkipThought, rng, 4000)
					one.Close()
					if err != nil || len(msg.Calls) == 0 || strings.TrimSpace(msg.Content+msg.Reasoning) != "" || len(msg.Calls) > 1 && (c.calls.One || c.calls.Choice == Named) {
						t.Fatalf("%+v: %q is %+v, %v", c, said, msg, err)
					}
					repaired += len(msg.Repairs)
					for _, call := range msg.Calls {
						args, err := jsonschema.UnmarshalJSON(strings.NewReader(call.Arguments))
						if err == nil && (c.calls.Name == "" || call.Name == c.calls.Name) && validators[call.Name] != nil {
							err = validators[call.Name].Validate(args)
						} else if err == nil {
							err = errors.New("another function")
						}
						if err != nil {
							t.Errorf("%+v: %s(%s): %v\nout of %q, %v", c, call.Name, call.Arguments, err, said, msg.Repairs)
						}
						for k := range args.(map[string]any) {
							keys[k] = true
						}
					}
				}
				if len(keys) < 9 || repaired > 0 {
					t.Errorf("%+v: parameters that were ever there: %v; %d repairs", c, keys, repaired)
				}
				m.Close()
			}
		})
	}
}

func TestExactArguments(t *testing.T) {
	tools := decodeTools(t, `[{"type":"function","function":{"name":"read","parameters":{"type":"object","properties":{"path":{"type":"string"},"limit":{"type":"integer"},"deep":{"type":"object"}}}}}]`)
	const want = `{"path": "a <|\"|> b\n</tool_call> é", "limit": 3, "deep": {"Z": [true, null, 1.5, ""], "a": {}}}`
	for _, s := range speakers(t) {
		for _, thinking := range []Thinking{NoThinking, SkipThought} {
			m, _, err := Compile(s.tok, s.dialect, tools, Want{Calls: Calls{Choice: Named, Name: "read", Arguments: []byte(want)}}, thinking)
			if err != nil {
				t.Fatal(err)
			}
			msg, said, err := s.say(m, tools, thinking == SkipThought, rand.New(rand.NewPCG(1, 1)), 400)
			m.Close()
			var got, exact any
			if err != nil || len(msg.Calls) != 1 || json.Unmarshal([]byte(msg.Calls[0].Arguments), &got) != nil || json.Unmarshal([]byte(want), &exact) != nil || fmt.Sprint(got) != fmt.Sprint(exact) {
				t.Errorf("%s: %q is %+v, %v, want %s", s.name, said, msg, err, want)
			}
		}
	}
}

// An answer that may call, may say something, or must be of a form beside that.
func TestContentBesideCalls(t *testing.T) {
	tools := decodeTools(t, bounded)
	for _, s := range speakers(t) {
		schema, err := Schema([]byte(`{"type":"object","properties":{"ok":{"type":"boolean"}},"required":["ok"],"additionalProperties":false}`))
		if err != nil {
			t.Fatal(err)
		}
		for name, c := range map[string]struct {
			want     Want
			thinking Thinking
		}{"form": {Want{Format: schema}, NoThinking}, "form behind thoughts": {Want{Format: schema}, IsThinking}, "form behind a thought": {Want{Format: schema}, MayThink},
			"one call": {Want{Calls: Calls{One: true}}, NoThinking}, "regex": {Want{Format: &grammar.Spec{Kind: grammar.Regex, Source: `\{"ok": ?[/]true\}`}}, IsThinking}} {
			if c.thinking == MayThink && s.name != "gemma4" {
				continue // its template opens reasoning itself
			}
			if s.name == "qwen3.6 in text" && (c.thinking == IsThinking || name == "one call") {
				continue // what closes thoughts and opens calls is text there, which nothing random writes
			}
			m, _, err := Compile(s.tok, s.dialect, tools, c.want, c.thinking)
			if err != nil {
				t.Fatalf("%s, %s: %v", s.name, name, err)
			}
			calls, texts, thoughts := 0, 0, 0
			rng := rand.New(rand.NewPCG(5, 5))
			for range 20 {
				one := m.Clone()
				msg, said, err := s.say(one, tools, c.thinking == IsThinking, rng, 6000)
				one.Close()
				if err != nil || len(msg.Repairs) > 0 {
					t.Fatalf("%s, %s: %q: %v, %v", s.name, name, said, err, msg.Repairs)
				}
				if calls += len(msg.Calls); msg.Content != "" {
					texts++
					if c.want.Format != nil && (len(msg.Calls) > 0 || !strings.Contains(msg.Content, `"ok"`) || name != "regex" && !json.Valid([]byte(msg.Content))) {
						t.Errorf("%s, %s: content %q beside %d calls", s.name, name, msg.Content, len(msg.Calls))
					}
				}
				if msg.Reasoning != "" {
					thoughts++
				}
			}
			if calls == 0 || texts == 0 || (thoughts > 0) != (c.thinking != NoThinking) {
				t.Errorf("%s, %s: %d calls, %d texts, %d thoughts", s.name, name, calls, texts, thoughts)
			}
			m.Close()
		}
	}
}

func TestRefusals(t *testing.T) {
	s := speakers(t)[1]
	tools := decodeTools(t, bounded)
	for _, c := range []struct {
		dialect *parse.Dialect
		tools   []chat.Value
		want    Want
		param   string
		says    string
	}{
		{nil, tools, Want{Calls: Calls{Choice: Required}}, "tool_choice", "no form for calls"},
		{s.dialect, nil, Want{Calls: Calls{Choice: Required}}, "tool_choice", "tools is empty"},
		{s.dialect, tools, Want{Calls: Calls{Choice: Named, Name: "other"}}, "tool_choice", `"other"`},
		{s.dialect, tools, Want{Calls: Calls{Choice: Named, Name: "mix", Arguments: []byte(`[1]`)}}, "tool_choice", "JSON object"},
		{s.dialect, nil, Want{Format: &grammar.Spec{Kind: grammar.JSONSchema, Source: `{"type":"array","uniqueItems":true}`}, Param: "text.format"}, "text.format", "uniqueItems"},
		{s.dialect, tools, Want{Format: &grammar.Spec{Kind: grammar.JSONSchema, Source: `{"type":"array","uniqueItems":true}`}}, "response_format", "uniqueItems"},
		{nil, nil, Want{Format: &grammar.Spec{Kind: grammar.Regex, Source: `(`}}, "response_format", "unclosed"},
	} {
		_, _, err := Compile(s.tok, c.dialect, c.tools, c.want, NoThinking)
		var named *Error
		if !errors.As(err, &named) || named.Param != c.param || !strings.Contains(named.Problem, c.says) {
			t.Errorf("%+v: %#v, want %s to be refused with %q", c.want, err, c.param, c.says)
		}
	}
}
