package hub

import (
	"slices"
	"testing"
)

func TestReadConfig(t *testing.T) {
	dir := folder(t, map[string]string{
		"config.json": `{"model_type":"gemma4","architectures":["A"],"torch_dtype":"float16","eos_token_id":[1,106],
			"text_config":{"model_type":"gemma4_text","dtype":"bfloat16","max_position_embeddings":131072,"eos_token_id":1,"bos_token_id":2,"pad_token_id":0},
			"quantization":{"group_size":64,"bits":4,"mode":"affine","a.b":{"bits":8,"group_size":32},"c":false,"d":true,"e":{}}}`,
		"generation_config.json": `{"eos_token_id":[1,106,50],"temperature":0.7,"top_k":64,"suppress_tokens":[5,6]}`,
	})
	c, err := ReadConfig(dir)
	if err != nil {
		t.Fatal(err)
	}
	if c.ModelType != "gemma4" || c.TextModelType != "gemma4_text" || c.DType != "bfloat16" || c.Context != 131072 || c.Architectures[0] != "A" {
		t.Errorf("%+v", c)
	}
	if !slices.Equal(c.Special.EOS, []int32{1, 106, 50}) || !slices.Equal(c.Special.BOS, []int32{2}) || !slices.Equal(c.Special.Pad, []int32{0}) {
		t.Errorf("special ids %+v", c.Special)
	}
	if g := c.Generation; g.Temperature == nil || *g.Temperature != 0.7 || g.TopK == nil || *g.TopK != 64 || g.TopP != nil || !slices.Equal(g.Suppress, []int32{5, 6}) {
		t.Errorf("generation %+v", g)
	}
	for path, want := range map[string]*Spec{
		"x":                  {64, 4, "affine"},
		"a.b":                {32, 8, "affine"},
		"language_model.a.b": {32, 8, "affine"}, // with and without the prefix
		"c":                  nil,
		"d":                  {64, 4, "affine"},
		"e":                  {64, 4, "affine"}, // MLX's defaults
	} {
		got, ok := c.Quantization.For(path)
		if ok != (want != nil) || (ok && got != *want) {
			t.Errorf("%s: %+v %v, want %+v", path, got, ok, want)
		}
	}
	if err := c.Supported([]string{"gemma3_text", "gemma4"}); err != nil {
		t.Error(err)
	}
	wantError(t, c.Supported([]string{"qwen3_5", "gemma3_text"}), `"gemma4"`, "gemma3_text, qwen3_5", "config.json")
}

func TestFlatConfig(t *testing.T) {
	c, err := ReadConfig(folder(t, map[string]string{
		"config.json": `{"model_type":"gemma3_text","torch_dtype":"float32","max_position_embeddings":32768,"eos_token_id":1,"text_config":null,"quantization":null}`}))
	if err != nil {
		t.Fatal(err)
	}
	if c.TextModelType != "" || c.DType != "float32" || c.Context != 32768 || !slices.Equal(c.Special.EOS, []int32{1}) || string(c.Text) != string(c.Raw) {
		t.Errorf("%+v", c)
	}
	if _, ok := c.Quantization.For("x"); ok || c.Quantization != nil {
		t.Error("a config without the block says that a module is quantized")
	}
}

func TestReadConfigErrors(t *testing.T) {
	tests := []struct {
		name, config string
		parts        []string
	}{
		{"truncated", `{"model_type":`, []string{"config.json", "invalid JSON"}},
		{"no type", `{}`, []string{"model_type is absent"}},
		{"text_config of the wrong kind", `{"model_type":"x","text_config":3}`, []string{"text_config"}},
		{"a foreign method", `{"model_type":"x","quantization_config":{"quant_method":"gptq","bits":4}}`, []string{`"gptq"`, "not supported"}},
		{"an unknown mode", `{"model_type":"x","quantization":{"mode":"q9"}}`, []string{`"q9"`}},
		{"odd bits", `{"model_type":"x","quantization":{"bits":7,"group_size":64}}`, []string{"7 bits"}},
		{"an odd group", `{"model_type":"x","quantization":{"bits":4,"group_size":48}}`, []string{"groups of 48"}},
		{"an odd override", `{"model_type":"x","quantization":{"bits":4,"group_size":64,"m.q":{"bits":9}}}`, []string{"m.q", "9 bits"}},
		{"a mode with other bits", `{"model_type":"x","quantization":{"mode":"mxfp4","bits":4,"group_size":64}}`, []string{"mxfp4", "group 32"}},
		{"an id that is none", `{"model_type":"x","eos_token_id":"end"}`, []string{"config.json"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := ReadConfig(folder(t, map[string]string{"config.json": test.config}))
			wantError(t, err, test.parts...)
		})
	}
	_, err := ReadConfig(t.TempDir())
	wantError(t, err, "has no config.json")
	_, err = ReadConfig(folder(t, map[string]string{"config.json": `{"model_type":"x"}`, "generation_config.json": "["}))
	wantError(t, err, "generation_config.json")
}

// Shapes of MLX's affine quantization: in = 640 inputs a row, packed to
// 640·bits/32 words, with 640/group scales.
func TestFit(t *testing.T) {
	q := &Quantization{Spec: Spec{64, 4, "affine"}, Overrides: map[string]*Spec{"eight": {64, 8, "affine"}, "no": nil}}
	tests := []struct {
		path           string
		packed, scales int64
		want           Spec
	}{
		{"plain", 80, 10, Spec{64, 4, "affine"}},
		{"eight", 160, 10, Spec{64, 8, "affine"}},
		{"unlisted eight", 160, 10, Spec{64, 8, "affine"}},
		{"unlisted five of 32", 100, 20, Spec{32, 5, "affine"}},
		{"no", 80, 10, Spec{64, 4, "affine"}}, // the config denies it, the scales do not
	}
	for _, test := range tests {
		if got, err := q.Fit(test.path, test.packed, test.scales); err != nil || got != test.want {
			t.Errorf("%s: %+v, %v; want %+v", test.path, got, err, test.want)
		}
	}
	for _, bad := range [][2]int64{{80, 11}, {80, 0}, {0, 10}, {80, 3000}, {7, 7}} {
		if got, err := q.Fit("m.up", bad[0], bad[1]); err == nil {
			t.Errorf("%v words and scales fit %+v", bad, got)
		} else {
			wantError(t, err, "m.up")
		}
	}
}
