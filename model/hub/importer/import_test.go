package importer

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"reprise/model/hub/gguf"
	"reprise/model/hub/gguf/gguftest"
)

// tiny is a gemma3 of two layers, hidden size 32, two heads of 32, with every
// kind of tensor data; its vocabulary reaches the dialect's ids below 128.
func tiny() *gguftest.Builder {
	const vocab, hidden, ffn, heads, headDim, layers = 128, 32, 256, 2, 32, 2
	b := &gguftest.Builder{}
	b.Set("general.architecture", "gemma3")
	for key, n := range map[string]uint32{
		"block_count": layers, "context_length": 512, "embedding_length": hidden, "feed_forward_length": ffn,
		"attention.head_count": heads, "attention.head_count_kv": 1, "attention.key_length": headDim, "attention.sliding_window": 64,
	} {
		b.Set("gemma3."+key, n)
	}
	slices.SortFunc(b.Keys, func(a, c gguftest.Key) int { return strings.Compare(a.Name, c.Name) })
	b.Set("gemma3.attention.layer_norm_rms_epsilon", float32(1e-6))
	b.Set("gemma3.rope.freq_base", float32(1e6))
	setVocabulary(b, vocab)

	rng := rand.New(rand.NewPCG(7, 7))
	add := func(name string, typ gguf.Type, shape ...int64) {
		elements := int64(1)
		for _, d := range shape {
			elements *= d
		}
		data := make([]byte, elements/int64(typ.BlockElements())*int64(typ.BlockBytes()))
		for i := range data {
			data[i] = byte(rng.UintN(256))
		}
		// Bytes that keep scales and floats finite: 0x3? is a half of about 1 and
		// the top of a float32 of about 1e-9…1.
		for at := 1; at < len(data); at += 2 {
			if typ == gguf.F32 || typ == gguf.F16 || at%typ.BlockBytes() < 4 || typ == gguf.Q6_K && at%typ.BlockBytes() == 209 {
				data[at] = 0x30 | data[at]&0x8f
			}
		}
		b.Add(name, uint32(typ), shape, data)
	}
	add("token_embd.weight", gguf.Q8_0, vocab, hidden)
	add("output_norm.weight", gguf.F32, hidden)
	for i := range layers {
		p := fmt.Sprintf("blk.%d.", i)
		for _, norm := range []string{"attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm"} {
			add(p+norm+".weight", gguf.F32, hidden)
		}
		add(p+"attn_q_norm.weight", gguf.F32, headDim)
		add(p+"attn_k_norm.weight", gguf.F32, headDim)
		add(p+"attn_q.weight", gguf.Q5_0, heads*headDim, hidden)
		add(p+"attn_k.weight", gguf.Q4_0, headDim, hidden)
		add(p+"attn_v.weight", gguf.F16, headDim, hidden)
		add(p+"attn_output.weight", gguf.Q5_1, hidden, heads*headDim)
		add(p+"ffn_gate.weight", gguf.Q4_1, ffn, hidden)
		add(p+"ffn_up.weight", gguf.Q5_0, ffn, hidden)
		add(p+"ffn_down.weight", []gguf.Type{gguf.Q6_K, gguf.Q4_K}[i], hidden, ffn)
	}
	return b
}

func setVocabulary(b *gguftest.Builder, size int) {
	pieces, kinds := make([]string, size), make([]int32, size)
	for i := range pieces {
		pieces[i], kinds[i] = fmt.Sprintf("<unused%d>", i), 3
	}
	copy(pieces, []string{"<pad>", "<eos>", "<bos>", "<unk>"})
	pieces[105], pieces[106] = "<start_of_turn>", "<end_of_turn>"
	for i := 107; i < size; i++ {
		pieces[i], kinds[i] = string(rune('a'+i-107)), 1
	}
	b.Set("tokenizer.ggml.model", "llama")
	b.Set("tokenizer.ggml.tokens", pieces)
	b.Set("tokenizer.ggml.scores", make([]float32, size))
	b.Set("tokenizer.ggml.token_type", kinds)
	b.Set("tokenizer.ggml.add_space_prefix", false)
	for key, id := range map[string]uint32{"padding": 0, "eos": 1, "bos": 2, "unknown": 3} {
		b.Set("tokenizer.ggml."+key+"_token_id", id)
	}
	slices.SortStableFunc(b.Keys, func(a, c gguftest.Key) int { return strings.Compare(a.Name, c.Name) })
}

func write(t *testing.T, b *gguftest.Builder) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tiny.gguf")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// contents reads every file of a directory.
func contents(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, e := range entries {
		if files[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

func decode(t *testing.T, data []byte) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestImportTiny(t *testing.T) {
	source := write(t, tiny())
	out := filepath.Join(t.TempDir(), "models", "tiny")
	var last, total int64
	report, err := Import(context.Background(), source, out, Options{Progress: func(d, n int64) { last, total = d, n }})
	if err != nil {
		t.Fatal(err)
	}
	if last == 0 || last != total {
		t.Errorf("progress ended at %d of %d", last, total)
	}
	files := contents(t, out)
	if len(files) != 5 {
		t.Errorf("%d files, want 5", len(files))
	}
	config := decode(t, files["config.json"])
	for key, want := range map[string]any{
		"model_type": "gemma3_text", "num_hidden_layers": 2.0, "hidden_size": 32.0, "head_dim": 32.0, "vocab_size": 128.0,
		"rms_norm_eps": 1e-6, "rope_theta": 1e6, "sliding_window": 64.0, "tie_word_embeddings": true,
		"bos_token_id": 2.0, "eos_token_id": 1.0, "query_pre_attn_scalar": 32.0, "rope_scaling": nil,
		"layer_types": []any{"sliding_attention", "sliding_attention"},
		"quantization": map[string]any{
			"group_size": 32.0, "bits": 5.0, "mode": "affine",
			"model.embed_tokens":              map[string]any{"group_size": 32.0, "bits": 8.0},
			"model.layers.0.mlp.down_proj":    map[string]any{"group_size": 32.0, "bits": 8.0},
			"model.layers.0.mlp.gate_proj":    map[string]any{"group_size": 32.0, "bits": 4.0},
			"model.layers.0.self_attn.k_proj": map[string]any{"group_size": 32.0, "bits": 4.0},
			"model.layers.1.mlp.down_proj":    map[string]any{"group_size": 32.0, "bits": 4.0},
			"model.layers.1.mlp.gate_proj":    map[string]any{"group_size": 32.0, "bits": 4.0},
			"model.layers.1.self_attn.k_proj": map[string]any{"group_size": 32.0, "bits": 4.0},
		},
		"reprise": map[string]any{"importer": 1.0, "source": "tiny.gguf", "source_sha256": report.SourceSHA256, "base_model": true, "dialect": ""},
	} {
		if got, ok := config[key]; !ok || !reflect.DeepEqual(got, want) {
			t.Errorf("config %s is %v, want %v", key, got, want)
		}
	}
	generation := decode(t, files["generation_config.json"])
	if want := []any{1.0, 106.0}; !reflect.DeepEqual(generation["eos_token_id"], want) {
		t.Errorf("eos ids %v, want %v", generation["eos_token_id"], want)
	}
	inexact := 0
	for _, r := range report.Tensors {
		if !r.Exact() {
			inexact++
			if r.Name != "model.layers.0.mlp.down_proj.weight" || r.RMSError >= r.RMS/50 {
				t.Errorf("%s is not exact: %+v", r.Name, r)
			}
			if !strings.Contains(report.String(), r.Name+": Q6_K to 8 bits, max error") {
				t.Errorf("the summary does not state the error of %s:\n%s", r.Name, report)
			}
		}
	}
	if inexact != 1 || !strings.Contains(report.String(), "28 tensors, 27 exact") {
		t.Errorf("%d inexact tensors, want 1:\n%s", inexact, report)
	}
	checkTensors(t, source, out)
}

func TestImportGivesTheSameBytes(t *testing.T) {
	source := write(t, tiny())
	var first map[string][]byte
	for run, procs := range []int{1, 4} {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
		out := filepath.Join(t.TempDir(), fmt.Sprint("run", run))
		if _, err := Import(context.Background(), source, out, Options{ChatTemplate: "{{ x }}"}); err != nil {
			t.Fatal(err)
		}
		files := contents(t, out)
		if first == nil {
			first = files
		}
		for name := range first {
			if !bytes.Equal(first[name], files[name]) {
				t.Errorf("%s differs between runs", name)
			}
		}
	}
}
