package models

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"reprise/cmd/internal/tiny"
	"reprise/model/hub"
	"reprise/model/hub/importer"
)

// home makes an empty REPRISE_HOME with nothing else to find, and returns its models folder.
func home(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("REPRISE_HOME", dir)
	t.Setenv("HF_HUB_CACHE", filepath.Join(dir, "none"))
	t.Setenv("REPRISE_BUILD_CACHE", filepath.Join(dir, "none"))
	return filepath.Join(dir, "models")
}

func move(t *testing.T, from, to string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func TestListSaysWhatIsWrong(t *testing.T) {
	dir := home(t)
	move(t, tiny.Copy(t, "tiny-f32"), filepath.Join(dir, "good"))
	cut, other := tiny.Copy(t, "tiny-q4"), tiny.Copy(t, "tiny-f32")
	tiny.Truncate(t, cut, 1)
	tiny.Config(t, other, map[string]any{"model_type": "mamba9"})
	move(t, cut, filepath.Join(dir, "org", "cut"))
	move(t, other, filepath.Join(dir, "other"))
	list, err := List()
	if err != nil {
		t.Fatal(err)
	}
	want := []struct{ name, problem string }{{"good", ""}, {"org/cut", "truncated"}, {"other", "mamba9"}}
	if len(list) != len(want) {
		t.Fatalf("%+v", list)
	}
	var out strings.Builder
	if err := WriteList(&out, list); err != nil {
		t.Fatal(err)
	}
	for i, w := range want {
		got := list[i]
		if got.Name != w.name || (got.Problem == "") != (w.problem == "") || !strings.Contains(got.Problem, w.problem) || (got.Bytes > 0) != (w.problem == "") {
			t.Errorf("%+v, want %+v", got, w)
		}
		if told := strings.Contains(out.String(), w.name+" cannot be used"); told != (w.problem != "") {
			t.Errorf("%s: told of a problem: %v", w.name, told)
		}
	}
	if !strings.Contains(out.String(), "gemma3_text") {
		t.Errorf("the table:\n%s", out.String())
	}
}

func TestAnEmptyListSaysWhatToDo(t *testing.T) {
	home(t)
	list, err := List()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := WriteList(&out, list); err != nil || !strings.Contains(out.String(), "make build") {
		t.Errorf("%q, %v", out.String(), err)
	}
}

func TestInspect(t *testing.T) {
	home(t)
	dir := tiny.Copy(t, "tiny-q4")
	for _, tt := range []struct {
		name            string
		config          map[string]any
		base, supported bool
		note            string
	}{
		{"as it is", nil, false, true, ""},
		{"a base model", map[string]any{"reprise": map[string]any{"base_model": true}}, true, true, "base model"},
		{"another architecture", map[string]any{"model_type": "mamba9"}, true, false, `cannot run model_type "mamba9"`},
	} {
		tiny.Config(t, dir, tt.config)
		in, err := Inspect(dir)
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		if err := in.WriteText(&out); err != nil {
			t.Fatal(err)
		}
		if in.BaseModel != tt.base || in.Supported != tt.supported || !strings.Contains(out.String(), tt.note) || !strings.Contains(out.String(), "4 bit") {
			t.Errorf("%s: base %v, supported %v\n%s", tt.name, in.BaseModel, in.Supported, out.String())
		}
	}
}

// A token of full-attention layers at 8 and 4 bits: elements, and a scale and a bias for 64 of them. Heads of 32 have no such groups.
func TestInspectSizesQuantizedKV(t *testing.T) {
	in := &hub.Inspection{GrowingHeadDim: 128, LayerKinds: []hub.LayerKind{{Kind: hub.FullAttention, TokenElements: 1280}, {Kind: hub.SlidingAttention, TokenElements: 640}}}
	want := []QuantizedKV{{8, 64, 1280 + 20*4, 1280 + 20*8}, {4, 64, 640 + 20*4, 640 + 20*8}}
	if got := quantizedKV(in); !slices.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	in.GrowingHeadDim = 32
	if got := quantizedKV(in); got != nil {
		t.Errorf("heads of 32 in groups of 64: %+v", got)
	}
}

func TestImportRefusals(t *testing.T) {
	dir := home(t)
	text := filepath.Join(t.TempDir(), "text.gguf")
	if err := os.WriteFile(text, []byte("this is no GGUF file at all"), 0o644); err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(t.TempDir(), "broken.jinja")
	if err := os.WriteFile(broken, []byte("{% if %}"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		o    ImportOptions
		want string
	}{
		{"no such file", ImportOptions{File: "nosuch.gguf"}, "nosuch.gguf"},
		{"not a GGUF", ImportOptions{File: text}, text},
		{"no such template", ImportOptions{File: text, ChatTemplate: "nosuch.jinja"}, "nosuch.jinja"},
		{"a broken template", ImportOptions{File: text, ChatTemplate: broken}, broken},
		{"a broken template with a dialect", ImportOptions{File: text, ChatTemplate: broken, Dialect: importer.DialectGemma4}, broken},
	} {
		if _, err := Import(context.Background(), tt.o); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want it to name %s", tt.name, err, tt.want)
		}
	}
	if entries, err := os.ReadDir(dir); len(entries) > 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}
