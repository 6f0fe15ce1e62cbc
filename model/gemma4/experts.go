package gemma4

import (
	"math"

	"reprise/mlx"
	"reprise/model/nn"
	"reprise/model/weights"
)

// experts are the routed part of a layer's feed-forward half. Norms stand around it and, as denseNorm, behind the MLP that
// runs beside it.
type experts struct {
	router    router
	mlps      nn.Experts
	before    nn.RMSNorm // of what the experts get; the router gets the residual itself
	after     nn.RMSNorm
	denseNorm nn.RMSNorm
}

// router chooses a few experts for each token.
type router struct {
	norm  nn.RMSNorm // its weight is the router's scale · hidden^-½
	proj  nn.Linear
	scale mlx.Array // float32 [experts], of the chosen ones' weights
	topK  int
}

func buildExperts(st *weights.Store, cfg *Config, path string) *experts {
	const stack = "experts.switch_glu."
	return &experts{
		router: router{
			norm: nn.RMSNorm{Eps: cfg.NormEps, W: st.Map(path+"router.scale", []int{cfg.Hidden}, func(s *mlx.Scope, w mlx.Array) mlx.Array {
				return s.Multiply(w, s.Scalar(1/math.Sqrt(float64(cfg.Hidden)), w.Dtype()))
			})},
			proj:  st.Linear(path+"router.proj", cfg.Hidden, cfg.Experts),
			scale: st.Exact(path+"router.per_expert_scale", []int{cfg.Experts}, nil),
			topK:  cfg.TopK,
		},
		mlps: nn.Experts{
			Gate: st.Stacked(path+stack+"gate_proj", cfg.Experts, cfg.ExpertMLP, cfg.Hidden),
			Up:   st.Stacked(path+stack+"up_proj", cfg.Experts, cfg.ExpertMLP, cfg.Hidden),
			Down: st.Stacked(path+stack+"down_proj", cfg.Experts, cfg.Hidden, cfg.ExpertMLP),
			Act:  mlx.GateGELU,
		},
		before:    norm(st, path+"pre_feedforward_layernorm_2", cfg.Hidden, cfg.NormEps),
		after:     norm(st, path+"post_feedforward_layernorm_2", cfg.Hidden, cfg.NormEps),
		denseNorm: norm(st, path+"post_feedforward_layernorm_1", cfg.Hidden, cfg.NormEps),
	}
}

// forward is what the experts make of h [1, T, hidden], normed.
func (e *experts) forward(s *mlx.Scope, h mlx.Array) mlx.Array {
	chosen, weights := e.router.choose(s, h)
	return e.after.Forward(s, e.mlps.Forward(s, e.before.Forward(s, h), chosen, weights))
}

// choose is the experts of each token of h and their weights, both [1, T, topK]. The softmax over the chosen is that over
// all, renormalised. Scores are compared and weighed in float32.
func (r *router) choose(s *mlx.Scope, h mlx.Array) (chosen, weights mlx.Array) {
	if s.Err() != nil {
		return
	}
	scores := s.AsType(nn.Project(s, h, &r.norm, &r.proj)[0], mlx.Float32)
	best := s.ArgPartitionAxis(s.Negative(scores), r.topK-1, -1)
	chosen = s.Slice(best, []int{0, 0, 0}, []int{1, h.Dim(1), r.topK}, []int{1, 1, 1})
	weights = s.SoftmaxAxis(s.TakeAlongAxis(scores, chosen, -1), -1, true)
	return chosen, s.AsType(s.Multiply(weights, s.Take(r.scale, chosen, 0)), h.Dtype())
}
