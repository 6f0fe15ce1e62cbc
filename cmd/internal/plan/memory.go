package plan

import (
	"fmt"
	"strings"

	"reprise/cmd/internal/console"
	"reprise/model/hub"
)

// Assumptions about what other programs take. A flag replaces the sum.
const (
	systemReserve = 3.5e9 // macOS with a desktop
	toolReserve   = 2.5e9 // browser, editor, the agent and its tools
	hostReserve   = 1e9   // a Linux machine that serves only this
	deviceReserve = 1e9   // a CUDA context and its libraries
	processBytes  = 2e8   // the process beside what MLX holds: binary, tokenizer, rows
)

// leastSnapshots are those that a turn of an agent needs: the static prefix's end, before the last message, before the answer.
const leastSnapshots = 3

// inFlight is the share of all layers' outputs of a step that is held at once. On Metal and CUDA a step's graph runs ahead, so that outputs of
// many layers are held at once; the shares are fitted to one measured peak each (Metal: mlx-vlm's 5.807 GB behind 285 tokens
// of E4B; CUDA: E4B and 27B on an H100, proofs 2026-11-26), so they are estimates everywhere else.
var inFlight = map[Backend]float64{Metal: 0.35, CUDA: 1, CPU: 0}

func (h *Hardware) text() string {
	text := fmt.Sprintf("%s, %s", h.Chip, sizeText(h.Memory))
	if h.Devices > 1 {
		text = fmt.Sprintf("%s, %d GPUs, %s together", h.Chip, h.Devices, sizeText(h.Memory))
	}
	if h.Bandwidth != nil {
		text += fmt.Sprintf(", %.0f GB/s", *h.Bandwidth)
		if h.Devices > 1 {
			text += " each"
		}
	}
	return text
}

// room works out what there is for a model.
func (p *Plan) room(o *Options) {
	h := o.Hardware
	p.Room = []Line{{"room", "memory", h.Memory, Published, ""}}
	if h.Here {
		p.Room[0].Evidence, p.Room[0].Note = "measured", "of this machine"
	}
	reserve := Line{"room", "reserved", o.Reserve, Estimated, "as --reserve says"}
	if o.Reserve < 0 {
		switch {
		case h.Backend == Metal:
			reserve.Bytes, reserve.Note = systemReserve+toolReserve, fmt.Sprintf("assumed: macOS %s, browser, agent and tools %s; one pool holds all", sizeText(systemReserve), sizeText(toolReserve))
		case h.Backend == CUDA:
			reserve.Bytes, reserve.Note = int64(h.Devices)*deviceReserve, "assumed: a CUDA context on each GPU"
		default:
			reserve.Bytes, reserve.Note = hostReserve, "assumed: the system, on a machine that serves this alone"
		}
	}
	p.Room = append(p.Room, reserve)
	p.RoomFor = h.Memory - reserve.Bytes
	limit := h.Limit
	line := Line{"room", "limit", limit, "measured", "the working set that Metal recommends here, or the control group's limit"}
	if limit == 0 && h.Backend == Metal {
		limit = workingSet(h.Memory)
		line = Line{"room", "limit", limit, Derived, "Metal's recommended working set by rule: two thirds of the memory, three quarters from 36 GB on; iogpu.wired_limit_mb raises it"}
	}
	if limit > 0 {
		p.Room = append(p.Room, line)
		p.RoomFor = min(p.RoomFor, limit)
	}
}

// workingSet is the rule that Macs follow when nobody has set iogpu.wired_limit_mb.
func workingSet(memory int64) int64 {
	if memory >= 36*gib {
		return memory / 4 * 3
	}
	return memory / 3 * 2
}

// needs fills the budget's lines.
func (p *Plan) needs(m *Model) {
	add := func(section, name string, bytes int64, e Evidence, note string) {
		p.Lines = append(p.Lines, Line{section, name, bytes, e, note})
		p.Needs += bytes
	}
	weights := Computed
	if m.widths.Hidden > 0 && len(m.Notes) > 0 && m.Kinds[0].Kind == "latent_attention" {
		weights = Derived
	}
	for _, part := range m.Parts {
		add(Weights, part.Name, part.Bytes, weights, "a token reads "+sizeText(part.Active))
	}
	first, warm := p.Loop.First, p.Loop.widest()
	step := min(p.Form.Step, max(first, warm))
	p.State = m.StateAt(p.Context, step, p.Form)
	var snapshot int64
	for _, s := range p.State {
		note := fmt.Sprintf("%d layers, a constant", s.Layers)
		if s.Token > 0 {
			note = fmt.Sprintf("%d layers, %s a token, %s tokens", s.Layers, sizeText(s.Token), console.Count(p.Context))
		}
		add(KVState, s.Kind, s.Live, weights, note)
		snapshot += s.Snapshot
	}
	if snapshot > 0 {
		add(Snapshots, "least", leastSnapshots*snapshot, weights, fmt.Sprintf("%d of %s: the static prefix, before the last message, before the answer", leastSnapshots, sizeText(snapshot)))
	}
	at := func(tokens int) Line {
		return Line{Activations, fmt.Sprintf("a step of %s tokens", console.Count(tokens)), m.work(tokens, p.Hardware.Backend, p.Form.Element), Estimated, ""}
	}
	work := at(step)
	add(work.Section, work.Name, work.Bytes, work.Evidence, "the widest of a loop that starts cold and then reuses; see the assumptions")
	add(Process, "beside MLX", processBytes, Estimated, "binary, tokenizer, rows")
	p.Cold = at(min(p.Form.Step, p.Loop.Last))
	p.Spare = p.RoomFor - p.Needs
	if snapshot > 0 {
		wanted := 10 + p.Context/1024 // around the last four messages, static prefix, answer, then a sparse grid
		p.Kept = &Kept{snapshot, wanted, int(min(int64(wanted), leastSnapshots+max(0, p.Spare)/snapshot))}
	}
}

// work is what a step of that many tokens holds beside weights and state.
func (m *Model) work(tokens int, b Backend, element int64) int64 {
	w := &m.widths
	mlp := w.MLP
	if w.ExpertMLP > 0 {
		mlp = max(w.TopK, w.GemmaTopK)*w.ExpertMLP + w.SharedMLP
	}
	var all, widest int64
	for _, k := range m.Kinds {
		heads := w.Heads * max(w.HeadDim, dimOf(k.Kind, w))
		if w.Gated {
			heads *= 2
		}
		if k.Kind == hub.LinearAttention {
			heads = 2*w.KeyHeads*w.KeyDim + 2*w.ValHeads*w.ValDim
		}
		layer := 8*w.Hidden + 3*mlp + 2*heads
		all, widest = all+int64(k.Layers)*layer, max(widest, layer)
	}
	held := max(float64(widest), inFlight[b]*float64(all))
	return int64(held)*int64(tokens)*element + w.Vocab*4
}

func dimOf(kind string, w *widths) int64 {
	if kind == hub.FullAttention {
		return w.GlobalDim
	}
	return 0
}

// Verdict is the plan's answer.
type Verdict struct {
	Word   string `json:"verdict"` // fits, tight, does not fit
	Figure string `json:"deciding_figure"`
	Bytes  int64  `json:"deciding_bytes"`
	Why    string `json:"why"`
}

// The verdicts.
const (
	Fits    = "fits"
	Tight   = "tight"
	DoesNot = "does not fit"
)

// margin is the share of the room that should be left.
const margin = 0.10

// decide makes the verdict.
func (p *Plan) decide() {
	v := &p.Verdict
	missing := func(by int64) string {
		return fmt.Sprintf("%s more than the room of %s", sizeText(by), sizeText(p.RoomFor))
	}
	var sum int64
	for _, section := range []string{Weights, Process, KVState, Snapshots, Activations} {
		var part int64
		for _, l := range p.Lines {
			if l.Section == section {
				part += l.Bytes
			}
		}
		if sum += part; sum > p.RoomFor {
			*v = Verdict{DoesNot, section, part, fmt.Sprintf("%s of %s bring the sum to %s, %s", section, sizeText(part), sizeText(sum), missing(sum-p.RoomFor))}
			return
		}
	}
	if cold := p.Needs - p.work() + p.Cold.Bytes; cold > p.RoomFor {
		*v = Verdict{Tight, "a cold start", p.Cold.Bytes, fmt.Sprintf("while state is reused %s are left; computing the last prompt again in steps of %s tokens would need %s, %s", sizeText(p.Spare), steps(p.Cold.Name), sizeText(cold), missing(cold-p.RoomFor))}
		return
	}
	if float64(p.Spare) < margin*float64(p.RoomFor) {
		*v = Verdict{Tight, "left", p.Spare, fmt.Sprintf("%s are left of a room of %s, less than %.0f %%", sizeText(p.Spare), sizeText(p.RoomFor), 100*margin)}
		return
	}
	*v = Verdict{Fits, "left", p.Spare, fmt.Sprintf("%s are left of a room of %s", sizeText(p.Spare), sizeText(p.RoomFor))}
}

// work is the activations' line.
func (p *Plan) work() int64 {
	for _, l := range p.Lines {
		if l.Section == Activations {
			return l.Bytes
		}
	}
	return 0
}

func steps(name string) string {
	return strings.TrimSuffix(strings.TrimPrefix(name, "a step of "), " tokens")
}
