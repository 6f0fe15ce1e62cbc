package plan

import (
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"reprise/kvcache/ledger/footprint/machine"
	"reprise/kvcache/state"
	"reprise/model/hub"
)

// recipe plans one of the four as it is.
func recipe(t *testing.T, name string, change func(*Options)) *Plan {
	t.Helper()
	r, err := FindRecipe(name)
	if err != nil {
		t.Fatal(err)
	}
	h, err := FindHardware(r.Machine)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Recipe: r, Hardware: h, Reserve: -1}
	if change != nil {
		change(&o)
	}
	p, err := Make(o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Figures that others published or gathered from the references (shared/models.md, workloads.md), which nothing here knows.
func TestRecipesAgainstPublishedFigures(t *testing.T) {
	near := func(what string, got, want, within float64) {
		t.Helper()
		if math.Abs(got/want-1) > within {
			t.Errorf("%s is %.4g, published %.4g", what, got, want)
		}
	}
	state := func(p *Plan, kind string) StateOf {
		for _, s := range p.State {
			if s.Kind == kind {
				return s
			}
		}
		t.Fatalf("%s has no %s", p.Name, kind)
		return StateOf{}
	}
	left := func(p *Plan) (n int64) {
		for _, l := range p.Left {
			n += l.Bytes
		}
		return n
	}
	e4b, q27, q35, k := recipe(t, "e4b-16gb", nil), recipe(t, "qwen27b-16gb", nil), recipe(t, "qwen35b-32gb", nil), recipe(t, "kimi-gb200", nil)
	near("E4B's state a token", float64(state(e4b, hub.FullAttention).Token), 16*1024, 0)
	near("27B's state a token", float64(state(q27, hub.FullAttention).Token), 64*1024, 0)
	near("35B's state a token", float64(state(q35, hub.FullAttention).Token), 20*1024, 0)
	near("27B's snapshot", float64(state(q27, hub.LinearAttention).Snapshot), 154e6, 0.002)
	near("35B's snapshot", float64(state(q35, hub.LinearAttention).Snapshot), 64.4e6, 0.002)
	if s := state(e4b, hub.SlidingAttention).Snapshot; s > 21<<20 || s < 20<<20-20*2048 {
		t.Errorf("E4B's windows are %d bytes", s)
	}
	near("35B's artifact", float64(q35.Total+left(q35)), 20.4e9, 0.002) // nothing but weights and vision makes it up
	near("E4B's artifact", float64(e4b.Total+left(e4b)), 5.22e9, 1e-9)  // by construction: the rest is the difference
	if rest := e4b.Left[len(e4b.Left)-1]; rest.Name != "rest" || rest.Evidence != Derived || rest.Bytes > 0.8e9 {
		t.Errorf("the rest of E4B's artifact is %+v", rest)
	}
	near("what E4B reads for a token", float64(e4b.Active), 2.6e9, 0.01)
	m := kimi()
	near("Kimi's weights a token goes through, with head", float64(m.Through)+7168*163840, 32e9, 0.03)
	var experts float64
	for _, part := range m.Parts {
		if part.Name == "experts" {
			experts = float64(part.Bytes) * 8 / (4 + 16./32)
		}
	}
	near("Kimi's experts", experts, 1.01e12, 0.02)
	if k.Fleet == nil || k.Fleet.Agents < 100 || k.Fleet.MissMs == nil {
		t.Errorf("the fleet is %+v", k.Fleet)
	}
	for p, want := range map[*Plan][2]string{e4b: {Fits, "left"}, q27: {DoesNot, Weights}, q35: {DoesNot, Activations}, k: {Fits, "left"}} {
		if p.Verdict.Word != want[0] || p.Verdict.Figure != want[1] {
			t.Errorf("%s: %+v, want %v", p.Name, p.Verdict, want)
		}
	}
}

// The embedded configs say what the real ones do.
func TestEmbeddedConfigs(t *testing.T) {
	for ours, real := range map[string]string{"gemma-4-e4b.json": "gemma-4-e4b-it-4bit.json", "qwen3.6-27b.json": "qwen3.6-27b.json", "qwen3.6-35b-a3b.json": "qwen3.6-35b-a3b.json"} {
		var file string
		for _, up := range []string{"../../../..", "../../../../.."} {
			if path := filepath.Join(up, "shared/configs", real); exists(path) {
				file = path
			}
		}
		if file == "" {
			t.Skip("../shared/configs is not there: the embedded configs are not compared")
		}
		want, err := FromConfig(file, Metal)
		if err != nil {
			t.Fatal(err)
		}
		got, err := embedded(ours, want.Name, Metal)
		if err != nil {
			t.Fatal(err)
		}
		if a, b := asJSON(t, got), asJSON(t, want); a != b {
			t.Errorf("%s says\n%s\n%s says\n%s", ours, a, real, b)
		}
	}
}

func exists(path string) bool { _, err := os.Stat(path); return !errors.Is(err, fs.ErrNotExist) }

func asJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Parts add up, and what is not known is null.
func TestPlansAddUp(t *testing.T) {
	unknownMachine := func(o *Options) {
		o.Hardware = Detect(Seen{Machine: machine.Machine{MemoryBytes: 32e9, Processor: "a processor"}})
	}
	for _, p := range []*Plan{recipe(t, "e4b-16gb", nil), recipe(t, "qwen27b-16gb", nil), recipe(t, "qwen35b-32gb", nil), recipe(t, "kimi-gb200", nil), recipe(t, "e4b-16gb", unknownMachine)} {
		var needs, weights int64
		for _, l := range p.Lines {
			needs += l.Bytes
			if l.Section == Weights {
				weights += l.Bytes
			}
			if l.Evidence == "" || l.Bytes < 0 {
				t.Errorf("%s: %+v", p.Name, l)
			}
		}
		if needs != p.Needs || weights != p.Total || p.RoomFor-p.Needs != p.Spare || p.Active > p.Total {
			t.Errorf("%s: the lines are %d, needs %d; weights %d, %d; room %d, left %d", p.Name, needs, p.Needs, weights, p.Total, p.RoomFor, p.Spare)
		}
		r := p.Recipe
		for i, field := range []string{r.Model, r.Quantization, r.Workload, r.Hardware, r.Runtime, r.Claim} {
			if field == "" {
				t.Errorf("%s: field %d of the recipe is empty", p.Name, i)
			}
		}
		if len(p.DoNotClaim) < 3 {
			t.Errorf("%s: not to be claimed: %v", p.Name, p.DoNotClaim)
		}
		known := p.Hardware.Bandwidth != nil
		if (p.Speed.CeilingFull != nil) != known || (p.Speed.Prefill != nil) != known || (p.Loop.Seconds.With != nil) != known || (p.Loop.Rows[0].Cold != nil) != known {
			t.Errorf("%s: bandwidth known: %v, speed %+v", p.Name, known, p.Speed)
		}
		if known && math.Abs(*p.Speed.CeilingEmpty*float64(p.Active)/(*p.Hardware.Bandwidth*1e9*float64(p.Hardware.Devices))-1) > 1e-9 {
			t.Errorf("%s: the ceiling is %v", p.Name, *p.Speed.CeilingEmpty)
		}
	}
}

// The loop's sums against a count turn by turn; append-only prompts share 1 − last ÷ Σ.
func TestLoop(t *testing.T) {
	for profile, want := range map[string]struct {
		sum   int
		share float64
	}{"local": {18_625, 0.969}, "16gb-max-mlx-observability": {75_700, 0.963}, "kimi-k26-gb200-openclaw": {3_365_075, 0.964}} {
		l := recipe(t, "kimi-gb200", func(o *Options) { o.Profile, o.Context = profile, 200_000 }).Loop
		if math.Abs(float64(l.Prompts-want.sum)) > 25 || math.Abs(l.Share-want.share) > 6e-4 || l.With != l.Last {
			t.Errorf("%s: %+v", profile, l)
		}
		if first, last := l.Rows[0], l.Rows[len(l.Rows)-1]; *first.Warm != *first.Cold || *last.Warm > *last.Cold || l.Last > 1e5 && *last.Warm > *last.Cold/10 || last.Prompt != l.Last || first.New != l.First {
			t.Errorf("%s: first %+v, last %+v", profile, first, last)
		}
	}
	if l := recipe(t, "e4b-16gb", func(o *Options) { o.Turns = 12 }).Loop; l.Last != 238+(2790-238)*11/49 || l.Turns != 12 {
		t.Errorf("the first twelve turns end at %d", l.Last)
	}
}

// Keys and values at 8 and 4 bit: values, a scale and a bias in bfloat16 for 64 of them. Windows and recurrent state stay.
func TestQuantizedKV(t *testing.T) {
	plain := recipe(t, "qwen27b-16gb", nil)
	for bits, perElement := range map[int]float64{8: 1 + 4./64, 4: 0.5 + 4./64} {
		p := recipe(t, "qwen27b-16gb", func(o *Options) { o.KV = state.Quantization{Bits: bits, Group: 64} })
		for i, s := range p.State {
			want := plain.State[i]
			if s.Kind == hub.FullAttention {
				want.Token = int64(float64(want.Token) / 2 * perElement)
				want.Live = want.Token * 2816
			}
			if s != want {
				t.Errorf("%d bit: %+v, want %+v", bits, s, want)
			}
		}
	}
}

// Each verdict with the figure that decides, as the room shrinks byte by byte around the borders.
func TestVerdicts(t *testing.T) {
	room := func(n int64) func(*Options) {
		return func(o *Options) { o.Reserve = 0; h := *o.Hardware; h.Limit = n; o.Hardware = &h }
	}
	p := recipe(t, "e4b-16gb", nil)
	cold := p.Needs - p.work() + p.Cold.Bytes
	for _, tt := range []struct {
		room   int64
		word   string
		figure string
	}{
		{cold, Fits, "left"}, {cold - 1, Tight, "a cold start"}, {p.Needs, Tight, "a cold start"}, {p.Needs - 1, DoesNot, Activations},
		{p.Total, DoesNot, Process}, {p.Total - 1, DoesNot, Weights},
	} {
		if v := recipe(t, "e4b-16gb", room(tt.room)).Verdict; v.Word != tt.word || v.Figure != tt.figure || v.Why == "" {
			t.Errorf("a room of %d: %+v, want %s by %s", tt.room, v, tt.word, tt.figure)
		}
	}
	wide := func(o *Options) { room(p.Needs + p.Needs/20)(o); o.Turns = 1 } // no turn is wider than the first
	if v := recipe(t, "e4b-16gb", wide).Verdict; v.Word != Tight || v.Figure != "left" {
		t.Errorf("five percent left: %+v", v)
	}
}

func TestVision(t *testing.T) {
	plain, with := recipe(t, "e4b-16gb", nil), recipe(t, "e4b-16gb", func(o *Options) { o.Vision = true })
	if with.Total-plain.Total != plain.Left[0].Bytes || with.Active != plain.Active || len(with.Left) != len(plain.Left)-1 {
		t.Errorf("with the tower %d bytes, without %d; left %+v", with.Total, plain.Total, with.Left)
	}
}

func TestHardwareNames(t *testing.T) {
	for name, want := range map[string]struct {
		memory    int64
		bandwidth float64
	}{
		"m5-16gb": {16 << 30, 153}, "M5-32GB": {32 << 30, 153}, "m5-pro-48gb": {48 << 30, 307}, "m5-max-128gb": {128 << 30, 614}, "m5-max-460-36gb": {36 << 30, 460},
		"m4-pro-24gb": {24 << 30, 273}, "m4-max-64gb": {64 << 30, 546}, "m4-max-410-36gb": {36 << 30, 410}, "h100": {80e9, 3350}, "h200": {141e9, 4800},
		"dgx-b200": {1440e9, 8000}, "gb200-nvl72": {13.4e12, 8000},
	} {
		if h, err := FindHardware(name); err != nil || h.Memory != want.memory || *h.Bandwidth != want.bandwidth || !strings.EqualFold(h.Name, name) {
			t.Errorf("%s is %+v, %v", name, h, err)
		}
	}
	for name, want := range map[string]string{"m9-16gb": "m5-16gb", "m5": "m5-16gb", "m5-64gb": "[16 24 32]", "m5-pro": "m5-pro-48gb", "m5-pro-4gb": "4 GB", "h100-80gb": "its name is h100", "": "there are"} {
		if _, err := FindHardware(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", name, err, want)
		}
	}
}

func TestDetect(t *testing.T) {
	mac := func(name string) Seen {
		return Seen{Machine: machine.Machine{Processor: name, MemoryBytes: 16 << 30, OS: "macOS 26.1"}, GPU: name, HasMetal: true, Limit: 11e9}
	}
	for _, tt := range []struct {
		seen      Seen
		backend   Backend
		bandwidth float64 // 0: not known
		memory    int64
	}{
		{mac("Apple M5"), Metal, 153, 16 << 30},
		{mac("Apple M5 Max"), Metal, 460, 16 << 30}, // the slower of the two
		{mac("Apple M3"), Metal, 0, 16 << 30},
		{Seen{Machine: machine.Machine{Processor: "AMD EPYC", MemoryBytes: 64e9}, GPU: "NVIDIA H100 80GB HBM3", GPUSize: 85e9}, CUDA, 3350, 85e9},
		{Seen{Machine: machine.Machine{Processor: "AMD EPYC", MemoryBytes: 64e9}}, CPU, 0, 64e9},
		{Seen{}, CPU, 0, 0},
	} {
		h := Detect(tt.seen)
		if h.Backend != tt.backend || h.Memory != tt.memory || (h.Bandwidth != nil) != (tt.bandwidth > 0) || h.Bandwidth != nil && *h.Bandwidth != tt.bandwidth || !h.Here {
			t.Errorf("%+v is %+v", tt.seen, h)
		}
	}
	if got := workingSet(16 << 30); math.Abs(float64(got)-10922.67*(1<<20)) > 1<<20 { // what such a Mac's Metal says
		t.Errorf("16 GiB have a working set of %d", got)
	}
}
