package plan

import (
	"fmt"
	"strings"

	"reprise/model/hub"
)

// Recipe is one of the article's: which model, on what, to show what, and what not to claim from it.
type Recipe struct {
	Name     string
	Model    string // as it is published
	config   string // of this package; "": the model is arithmetic alone (kimi.go)
	Machine  string
	Profile  string
	Artifact int64 // bytes as published, 0: not said
	Target   string
	NoClaim  string
}

// Recipes are the four.
var Recipes = []Recipe{
	{
		Name: "e4b-16gb", Model: "mlx-community/gemma-4-e4b-it-4bit", config: "gemma-4-e4b.json", Machine: "m5-16gb", Profile: "16gb-max-mlx-observability", Artifact: 5.22e9,
		Target: "show the 50-turn KV/state lifecycle on the actual laptop", NoClaim: "Qwen3.6 long context, LMCache MP or vLLM/Mooncake behaviour",
	},
	{
		Name: "qwen27b-16gb", Model: "Open4bits/Qwen3.6-27B-mlx-4Bit", config: "qwen3.6-27b.json", Machine: "m5-16gb", Profile: "16gb-max-mlx-observability",
		Target: `show why "model fits" is not "agent workload fits"`, NoClaim: "a comfortable 50-turn long-context laptop set-up",
	},
	{
		Name: "qwen35b-32gb", Model: "mlx-community/Qwen3.6-35B-A3B-4bit", config: "qwen3.6-35b-a3b.json", Machine: "m5-32gb", Profile: "kimi-k26-gb200-openclaw", Artifact: 20.4e9,
		Target: "show active weights, total weights, context and KV budget as separate line items", NoClaim: `that "model loads" proves long-context agent serving`,
	},
	{
		Name: "kimi-gb200", Model: "Kimi K2.6 (1T-parameter MoE)", Machine: "gb200-nvl72", Profile: "kimi-k26-gb200-openclaw",
		Target: "show distributed KV hits, transfer time, TTFT hit and miss, cache-aware routing", NoClaim: "laptop figures as production latency or cost",
	},
}

// FindRecipe is the recipe of that name.
func FindRecipe(name string) (*Recipe, error) {
	var names []string
	for i := range Recipes {
		if Recipes[i].Name == name {
			return &Recipes[i], nil
		}
		names = append(names, Recipes[i].Name)
	}
	return nil, fmt.Errorf("--recipe %s: there are %s", name, strings.Join(names, ", "))
}

// model is the recipe's, in the form that a backend has it in.
func (r *Recipe) model(b Backend) (*Model, error) {
	if r.config == "" {
		return kimi(), nil
	}
	m, err := embedded(r.config, r.Model, b)
	if err != nil || r.Artifact == 0 {
		return m, err
	}
	// What the artifact has beside what was computed: Gemma 4's tower for sound, a tokenizer.
	rest := r.Artifact
	for _, p := range m.Parts {
		rest -= p.Bytes
	}
	for _, l := range m.Left {
		rest -= l.Bytes
	}
	if rest > r.Artifact/100 {
		m.Left = append(m.Left, Left{"rest", rest, Derived, fmt.Sprintf("the published artifact of %.2f GB less what is computed here: a tower for sound, tokenizer files; not loaded", float64(r.Artifact)/1e9)})
	}
	return m, nil
}

// Configs are the recipes' configs, with only the keys that sizes and shapes follow from: what a machine can be compared on
// without a checkpoint.
func Configs() (map[string]*hub.Config, error) {
	out := map[string]*hub.Config{}
	for _, r := range Recipes {
		if r.config == "" {
			continue
		}
		raw, err := configs.ReadFile("configs/" + r.config)
		if err != nil {
			return nil, err
		}
		if out[r.Model], err = parse(raw); err != nil {
			return nil, err
		}
	}
	return out, nil
}
