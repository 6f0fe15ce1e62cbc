package gemma4

import (
	"math"

	"reprise/mlx"
	"reprise/model/nn"
	"reprise/model/weights"
)

// perLayer makes of each token an embedding for each layer: a row of a table of its own plus a projection of the token's
// ordinary embedding.
type perLayer struct {
	table      nn.Embedding
	projection nn.Linear
	norm       nn.RMSNorm
	layers     int
	width      int
}

func buildPerLayer(st *weights.Store, cfg *Config) *perLayer {
	all := cfg.Layers * cfg.PLE
	p := &perLayer{
		table:      st.Embedding("model.embed_tokens_per_layer", cfg.PLEVocab, all),
		projection: st.Linear("model.per_layer_model_projection", cfg.Hidden, all),
		// The projection is multiplied by hidden^-½ before its norm, which only eps would see.
		norm:   norm(st, "model.per_layer_projection_norm", cfg.PLE, cfg.NormEps*float32(cfg.Hidden)),
		layers: cfg.Layers, width: cfg.PLE,
	}
	p.table.Scale = float32(math.Sqrt(float64(cfg.PLE)))
	return p
}

// inputs are the embeddings of ids [1, T], whose ordinary ones are h, for all layers: [1, T, layers·width].
func (p *perLayer) inputs(s *mlx.Scope, ids, h mlx.Array) mlx.Array {
	if p == nil || s.Err() != nil {
		return mlx.Array{}
	}
	split := func(x mlx.Array) mlx.Array { return s.Reshape(x, []int{1, ids.Dim(1), p.layers, p.width}) }
	projected := p.norm.Forward(s, split(nn.Project(s, h, nil, &p.projection)[0]))
	sum := s.Add(projected, split(p.table.Forward(s, ids)))
	return s.Reshape(s.Multiply(sum, s.Scalar(math.Sqrt(0.5), h.Dtype())), []int{1, ids.Dim(1), p.layers * p.width})
}

// split are the layers' parts of inputs, [1, T, width] each; without per-layer embeddings all are none.
func (p *perLayer) split(s *mlx.Scope, inputs mlx.Array, layers int) []mlx.Array {
	if p == nil || s.Err() != nil {
		return make([]mlx.Array, layers)
	}
	return s.Split(inputs, layers, 2)
}

// injection brings a layer's own embedding into its result.
type injection struct {
	gate, projection nn.Linear
	norm             nn.RMSNorm
}

func buildInjection(st *weights.Store, cfg *Config, path string) *injection {
	return &injection{
		gate:       st.Linear(path+"per_layer_input_gate", cfg.Hidden, cfg.PLE),
		projection: st.Linear(path+"per_layer_projection", cfg.PLE, cfg.Hidden),
		norm:       norm(st, path+"post_per_layer_input_norm", cfg.Hidden, cfg.NormEps),
	}
}

// forward is h [1, T, hidden] with own [1, T, width] added, as h lets it through, times a factor [1], for a layer that
// begins with next.
func (j *injection) forward(s *mlx.Scope, h, own, factor mlx.Array, next *nn.RMSNorm) nn.Rows {
	through := nn.GatedBy(s, h, mlx.GateGELU, &j.gate, own)
	return nn.ProjectOntoFor(s, h, through, &j.projection, &j.norm, factor, next)
}
