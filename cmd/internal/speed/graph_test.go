package speed

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"reprise/mlx"
	"reprise/model/synth"
	"reprise/server/engine"
)

// abacus counts as a worker does, but only what it is told to have seen.
type abacus struct {
	counting, counted bool
	graphs            mlx.Graphs
}

func (a *abacus) StartCount() { a.counting, a.counted = true, true }

func (a *abacus) StopCount() mlx.Graphs {
	if !a.counting {
		return mlx.Graphs{}
	}
	a.counting = false
	return a.graphs
}

// talker answers with an event for each of its tokens.
type talker struct{ tokens int }

func (talker) ClearCache(context.Context) error { return nil }

func (k talker) Turn(_ context.Context, _ engine.Request, emit func(engine.Event) error) (*engine.Result, error) {
	for range k.tokens {
		if err := emit(engine.Event{IDs: []int32{1}}); err != nil {
			return nil, err
		}
	}
	return &engine.Result{}, nil
}

func TestAStepsNodes(t *testing.T) {
	a := &abacus{graphs: mlx.Graphs{Evaluations: 4, Nodes: map[string]int{"QuantizedMatmul": 40, "Reshape": 8, "Add": 4}}}
	b := Bench{Turner: talker{6}, Encode: words}
	g, err := b.Graph(context.Background(), a, 10)
	if err != nil || g.Steps != 4 || g.Nodes != 13 || g.Launches != 11 || g.ByName["Reshape"] != 2 {
		t.Errorf("%+v, %v", g, err)
	}
	if g, err := b.Graph(context.Background(), &abacus{}, 10); g != nil || err != nil {
		t.Errorf("a turn without a step was counted: %+v, %v", g, err)
	}
}

func TestSynthesize(t *testing.T) {
	config := func(text string) string {
		file := filepath.Join(t.TempDir(), "small.json")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	m, err := Synthesize(config(smallQwen), synth.Change{Layers: 2})
	if err != nil {
		t.Fatal(err)
	}
	if m.Layout.Layers != 2 {
		t.Errorf("%d layers", m.Layout.Layers)
	}
	var o engine.Options
	m.Use(&o)
	ids, err := m.Encode("whatever")
	if err != nil || m.Name() != "small" || o.Weights == nil || len(ids) < 8192 {
		t.Errorf("%s, %d ids, %v", m.Name(), len(ids), err)
	}
	for _, id := range ids {
		if id < 0 || id >= 639 {
			t.Fatalf("id %d is outside the vocabulary, or its end", id)
		}
	}
	if m.Close(); o.Model == "" {
		t.Error("no folder was used")
	} else if _, err := os.Stat(o.Model); err == nil {
		t.Error("the folder was left behind")
	}
	for text, want := range map[string]string{"{": "JSON", `{"model_type": "mamba9"}`: "mamba9", `{"model_type": "qwen3_5", "num_hidden_layers": 1}`: "hidden_size"} {
		if _, err := Synthesize(config(text), synth.Change{}); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "--synth") {
			t.Errorf("%s: %v, want it to name %s", text, err, want)
		}
	}
}

const smallQwen = `{"model_type": "qwen3_5", "text_config": {"model_type": "qwen3_5_text", "hidden_size": 128, "intermediate_size": 256, "num_attention_heads": 4,
	"num_key_value_heads": 2, "head_dim": 32, "vocab_size": 640, "num_hidden_layers": 4, "full_attention_interval": 4, "linear_num_key_heads": 2,
	"linear_num_value_heads": 4, "linear_key_head_dim": 32, "linear_value_head_dim": 32, "linear_conv_kernel_dim": 4, "tie_word_embeddings": false}}`
