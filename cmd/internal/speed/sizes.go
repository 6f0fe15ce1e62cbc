package speed

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"

	"reprise/cmd/internal/console"
	"reprise/model/hub"
)

// Sizes hold what `models inspect` says of the weights against what was measured behind the load, part by part.
type Sizes struct {
	Parts  []PartSize `json:"components"`
	Active PartSize   `json:"mlx_active_bytes"` // all of it, by MLX's own account
	// Worst is the largest difference of all of them, as a share.
	Worst float64 `json:"largest_difference"`
}

// PartSize is one line.
type PartSize struct {
	Name     string `json:"name"`
	Inspect  int64  `json:"inspect_bytes"`
	Measured int64  `json:"measured_bytes"`
}

func (p PartSize) difference() float64 {
	return math.Abs(float64(p.Measured-p.Inspect)) / float64(max(1, p.Inspect))
}

// CompareSizes makes the table. Inspect speaks of a GPU: on the CPU device, which holds weights as the files have them,
// nothing is compared.
func CompareSizes(in *hub.Inspection, parts map[string]int64, active int64) *Sizes {
	s := &Sizes{Active: PartSize{"all", in.HeldBytes, active}}
	seen := map[string]bool{}
	for _, c := range in.Components {
		if seen[c.Name] = true; c.Held > 0 || parts[c.Name] > 0 {
			s.Parts = append(s.Parts, PartSize{c.Name, c.Held, parts[c.Name]})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		if !seen[name] {
			s.Parts = append(s.Parts, PartSize{Name: name, Measured: parts[name]})
		}
	}
	s.Worst = s.Active.difference()
	for _, p := range s.Parts {
		s.Worst = max(s.Worst, p.difference())
	}
	return s
}

// Inspect is what `models inspect` says of the made-up model.
func (m *Synthetic) Inspect() (*hub.Inspection, error) {
	return hub.Describe(m.Config, m.Layout.Weights(m.Config))
}

func (s *Sizes) writeText(out io.Writer) {
	for _, p := range append(slices.Clone(s.Parts), s.Active) {
		fmt.Fprintf(out, "  %-22s %10s   inspect says %10s\n", strings.ReplaceAll(p.Name, "_", " "), console.Bytes(p.Measured), console.Bytes(p.Inspect))
	}
	fmt.Fprintf(out, "  the largest difference is %.2f %%\n", 100*s.Worst)
}
