package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"reprise/mlx"
	"reprise/model/arch"
	"reprise/model/hub"
	"reprise/model/synth"
)

// kernels compares the kernels that the model would use with plain ops, which needs no weights.
func (r *Report) kernels(ctx context.Context, cfg *hub.Config, d device) {
	if !d.works {
		return // the finding about the device says why
	}
	checks, err := CompareKernels(ctx, cfg, d.kind)
	r.kernelChecks(checks, err)
}

func (r *Report) kernelChecks(checks []mlx.KernelCheck, err error) {
	const mend = "answers stay right, only slower: plain ops take its place; please report this line with the machine's name"
	if err != nil {
		r.add("kernels", Warning, "download the checkpoint again; if it stays, run with --device cpu", "%v", err)
		return
	}
	var off []string
	for _, c := range checks {
		if !c.On {
			off = append(off, c.Kernel+": "+c.Reason)
		}
	}
	switch {
	case len(off) > 0:
		r.add("kernels", Warning, mend, "switched off: %s", strings.Join(off, "; "))
	case len(checks) > 0:
		r.ok("kernels", "%d compared with plain ops, all agree", len(checks))
	}
}

// loadCut builds a model of the config's widths with made-up weights, as few layers as have all kinds, and a small vocabulary:
// every kernel that loading the real one would compare is compared.
func loadCut(s *mlx.Scope, cfg *hub.Config, d mlx.Device) error {
	small, err := cut(cfg)
	if err != nil {
		return err
	}
	m, err := arch.Build(s, small, synth.Source(small, 1), arch.Options(d))
	if err != nil {
		return err
	}
	m.Free()
	return nil
}

// cutVocabulary is what is left of the vocabulary.
const cutVocabulary = 1024

func cut(cfg *hub.Config) (*hub.Config, error) {
	kinds, err := hub.LayerTypes(cfg)
	if err != nil {
		return nil, err
	}
	ch := synth.Change{}
	for _, kind := range slices.Compact(slices.Sorted(slices.Values(kinds))) {
		ch.Layers = max(ch.Layers, slices.Index(kinds, kind)+1)
	}
	var sizes struct {
		Table    int `json:"vocab_size_per_layer_input"`
		Experts  int `json:"num_experts"`
		TopK     int `json:"num_experts_per_tok"`
		GemmaTop int `json:"top_k_experts"`
	}
	if err := json.Unmarshal(cfg.Text, &sizes); err != nil {
		return nil, err
	}
	ch.Set = append(ch.Set, fmt.Sprintf("vocab_size=%d", cutVocabulary))
	if sizes.Table > 0 {
		ch.Set = append(ch.Set, fmt.Sprintf("vocab_size_per_layer_input=%d", cutVocabulary))
	}
	if k := max(sizes.TopK, sizes.GemmaTop); sizes.Experts > k && k > 0 {
		ch.Set = append(ch.Set, fmt.Sprintf("num_experts=%d", k))
	}
	raw, err := ch.Apply(cfg.Raw)
	if err != nil {
		return nil, err
	}
	small, err := hub.ParseConfig(raw)
	if err != nil {
		return nil, err
	}
	small.Path = cfg.Path
	return small, nil
}
