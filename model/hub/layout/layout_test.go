package layout

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"reprise/model/hub"
)

// lines are the tensors as the vectors have them: "name [2, 3]", sorted.
func lines(l *Layout) []string {
	var out []string
	for _, t := range l.Tensors {
		out = append(out, t.Name+" "+strings.ReplaceAll(fmt.Sprint(t.Shape), " ", ", "))
	}
	slices.Sort(out)
	return out
}

func of(t *testing.T, raw []byte) *Layout {
	t.Helper()
	c, err := hub.ParseConfig(raw)
	if err != nil {
		t.Fatal(err)
	}
	l, err := Of(c)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func vectors(t *testing.T, out any) {
	t.Helper()
	raw, err := os.ReadFile("testdata/mlx_lm.json")
	if err == nil {
		err = json.Unmarshal(raw, out)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestTensorsAreThoseOfMlxLm(t *testing.T) {
	var v struct {
		Small []struct {
			Name    string
			Config  json.RawMessage
			Tensors []string
		}
	}
	vectors(t, &v)
	for _, c := range v.Small {
		t.Run(c.Name, func(t *testing.T) {
			got := lines(of(t, c.Config))
			for _, line := range got {
				if !slices.Contains(c.Tensors, line) {
					t.Errorf("mlx-lm has no %s", line)
				}
			}
			for _, line := range c.Tensors {
				if !slices.Contains(got, line) {
					t.Errorf("mlx-lm has %s", line)
				}
			}
		})
	}
}

func TestRealConfigs(t *testing.T) {
	var v struct {
		Real []struct {
			File    string
			Tensors int
			SHA256  string
		}
	}
	vectors(t, &v)
	for _, c := range v.Real {
		raw, err := os.ReadFile(filepath.Join(shared, c.File))
		if errors.Is(err, os.ErrNotExist) {
			t.Skipf("%s is not there: real configs are not compared", shared)
		}
		if err != nil {
			t.Fatal(err)
		}
		got := lines(of(t, raw))
		sum := sha256.Sum256([]byte(strings.Join(got, "\n")))
		if len(got) != c.Tensors || hex.EncodeToString(sum[:]) != c.SHA256 {
			t.Errorf("%s: %d tensors, mlx-lm has %d; the lists differ", c.File, len(got), c.Tensors)
		}
	}
}

// shared is the reference material, which stands beside the checkout or beside the folder of its worktrees.
var shared = func() string {
	for _, up := range []string{"../../../..", "../../../../.."} {
		if _, err := os.Stat(up + "/shared/configs"); err == nil {
			return up + "/shared/configs"
		}
	}
	return "../../../../shared/configs"
}()

// Sizes that transformers writes layer by layer are the global ones of others: the lists are the same.
func TestSizesLayerByLayer(t *testing.T) {
	config := func(sizes string) []byte {
		return []byte(`{"model_type": "gemma4_text", "num_hidden_layers": 6, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8,
			"hidden_size": 24, "intermediate_size": 40, "vocab_size": 96, "sliding_window": 16, "num_kv_shared_layers": 2,
			"layer_types": ["sliding_attention", "sliding_attention", "full_attention", "full_attention", "sliding_attention", "full_attention"], ` + sizes + `}`)
	}
	for _, x := range []struct{ global, each string }{
		{`"global_head_dim": 16`, `"per_layer_config": {"2": {"head_dim": 16}, "3": {"head_dim": 16}, "5": {"head_dim": 16}}`},
		{`"global_head_dim": 16, "num_global_key_value_heads": 1, "attention_k_eq_v": true`,
			`"attention_k_eq_v": true, "per_layer_config": {"2": {"head_dim": 16, "num_key_value_heads": 1}, "3": {"head_dim": 16, "num_key_value_heads": 1}, "5": {"head_dim": 16, "num_key_value_heads": 1}}`},
	} {
		global, each := lines(of(t, config(x.global))), lines(of(t, config(x.each)))
		if !slices.Equal(global, each) {
			t.Errorf("%s gives\n%s\nand layer by layer\n%s", x.global, strings.Join(global, "\n"), strings.Join(each, "\n"))
		}
		if none := lines(of(t, config(`"attention_k_eq_v": false`))); slices.Equal(none, each) {
			t.Errorf("%s changes nothing", x.each)
		}
	}
}

func TestConfigsThatDoNotSay(t *testing.T) {
	for _, tt := range []struct{ config, want string }{
		{`{"model_type": "mamba9"}`, "mamba9"},
		{`{"model_type": "gemma4", "text_config": {"num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1, "hidden_size": 8, "vocab_size": 9}}`, "intermediate_size"},
		{`{"model_type": "qwen3_5", "text_config": {"num_hidden_layers": 0}}`, "num_hidden_layers"},
		{`{"model_type": "qwen3_5_moe", "text_config": {"num_hidden_layers": 1, "num_attention_heads": 2, "hidden_size": 8, "num_experts": 4}}`, "linear_"},
		{`{"model_type": "gemma3_text", "num_hidden_layers": 1, "num_attention_heads": 1, "hidden_size": -8, "vocab_size": 9}`, "hidden_size"},
		{`{"model_type": "gemma3_text", "num_hidden_layers": 1, "num_attention_heads": 1, "num_key_value_heads": 1, "intermediate_size": 2000000000, "hidden_size": 2000000000, "vocab_size": 2000000000}`, "no computer holds"},
		{`{"model_type": "gemma3_text", "num_hidden_layers": 1, "num_attention_heads": 1, "num_key_value_heads": 1, "intermediate_size": 8, "hidden_size": 8, "head_dim": 8, "vocab_size": 9, "layer_types": ["sliding_attention"]}`, "sliding_window"},
		{`{"model_type": "gemma3_text", "max_position_embeddings": -1}`, "max_position_embeddings"},
	} {
		c, err := hub.ParseConfig([]byte(tt.config))
		if err == nil {
			_, err = Of(c)
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want it to name %s", tt.config, err, tt.want)
		}
	}
}
