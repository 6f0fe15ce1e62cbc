package speed

import (
	"context"

	"reprise/mlx"
	"reprise/server/engine"
)

// Graph is what a decode step consists of, counted in the graph that is sent out for it.
type Graph struct {
	Steps int `json:"steps"` // counted ones; the others are means over them
	// Nodes are MLX primitives; Launches those of them that compute something. A primitive may launch more than one kernel.
	Nodes    float64            `json:"nodes_per_step"`
	Launches float64            `json:"launches_per_step"`
	ByName   map[string]float64 `json:"nodes_by_name"`
}

// Counter is what counting needs: mlx.Worker.
type Counter interface {
	StartCount()
	StopCount() mlx.Graphs
}

// countSteps is how many decode steps are counted.
const countSteps = 4

// Graph counts a few decode steps behind a prompt of n tokens; nil when the text ends before the first.
func (b *Bench) Graph(ctx context.Context, w Counter, n int) (*Graph, error) {
	ids, err := b.text(n)
	if err != nil {
		return nil, err
	}
	defer w.StopCount()
	started := false
	_, err = b.profiled(ctx, ids, countSteps+2, func(ev engine.Event) error {
		if len(ev.IDs) > 0 && !started { // the step behind the first token was built with it
			started = true
			w.StartCount()
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	g := w.StopCount()
	if g.Evaluations == 0 {
		return nil, nil
	}
	steps := float64(g.Evaluations)
	nodes, launches := g.Total()
	out := &Graph{Steps: g.Evaluations, Nodes: float64(nodes) / steps, Launches: float64(launches) / steps, ByName: map[string]float64{}}
	for name, count := range g.Nodes {
		out.ByName[name] = float64(count) / steps
	}
	return out, nil
}
