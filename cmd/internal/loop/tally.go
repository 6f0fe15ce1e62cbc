package loop

import (
	"math"
	"runtime"
	"strings"
	"time"

	"reprise/cmd/internal/loop/oracle"
	"reprise/cmd/internal/version"
	"reprise/kvcache/ledger"
	"reprise/kvcache/ledger/footprint/machine"
)

// tally follows a run and sums it up.
type tally struct {
	opts     Options
	facts    Facts
	oracle   oracle.Oracle
	records  []Record // without their ids
	verdicts []oracle.Verdict
	blind    bool // some turn came without ids
	vague    bool // some turn's static prefix is not known, so what was displaced is not checked
	cuts     int
	dry      bool
	began    time.Time
	ended    time.Time // zero: it has not
	begin    machine.Conditions
	observed *Observed // nil: the loop drove the turns
	same     *Sameness // nil: not compared
	found    []string  // what does not hold and the rows do not show
}

// add takes a finished turn.
func (t *tally) add(r Record) {
	if len(r.Prompt) == 0 {
		t.blind = true
	} else {
		t.vague = t.vague || r.Static < 0
		t.verdicts = append(t.verdicts, t.oracle.Add(r.turn()))
	}
	r.Prompt, r.Generated = nil, nil // the oracle has them
	t.records = append(t.records, r)
}

// turn is the record as the oracle reads it from a trace.
func (r *Record) turn() *oracle.Turn {
	pointer := func(o ledger.Opt[int]) *int {
		if n, ok := o.Get(); ok {
			return &n
		}
		return nil
	}
	claim := func(row *ledger.Row) oracle.Claim {
		return oracle.Claim{TurnID: row.TurnID, Prompt: pointer(row.PromptTokens), Matched: pointer(row.MatchedTokens), Worker: row.Worker,
			Hit: pointer(row.LookupHitTokens), Displaced: pointer(row.DisplacedTokens), MissReason: string(row.MissReason.Or(""))}
	}
	t := &oracle.Turn{Turn: r.Turn, Conversation: r.Conversation, Prompt: r.Prompt, Generated: r.Generated, Computed: r.Computed, Static: r.Static, Row: claim(&r.Row)}
	if r.Prefill != nil {
		first := claim(r.Prefill)
		t.Prefill = &first
	}
	return t
}

// summary is the run so far.
func (t *tally) summary(why string) *Summary {
	s := &Summary{Status: "complete", Why: why, Mimic: t.dry || len(t.records) == 0, Options: t.opts, Changes: changes, Machine: t.facts.Machine, Turns: len(t.records),
		Versions: version.Read(), Started: t.began.UTC().Format(time.RFC3339), Seconds: t.spent().Seconds(), Begin: t.begin}
	if why != "" {
		s.Status = "incomplete"
	} else if t.facts.Conditions != nil {
		s.End = t.facts.Conditions()
	}
	t.recipe(s)
	s.Sizes = t.sizes()
	s.Tokens = t.tokens()
	s.Reuse = t.reuse(s.Tokens)
	s.Phases = t.phases(s.Tokens)
	s.TTFT = t.ttft()
	s.Peaks = t.peaks()
	s.Tiers, s.Handover = t.tiers(s.Tokens), t.handover()
	s.Potential = t.potential(s.Tokens)
	s.Evidence = map[string]ledger.Evidence{}
	for i := range t.records {
		for field, e := range t.records[i].Row.Evidence {
			s.Evidence[field] = e
		}
	}
	s.Same = t.same
	s.Claims = t.claims(s)
	s.Problems = t.problems(s)
	return s
}

// spent is how long the turns took, with what lies between them.
func (t *tally) spent() time.Duration {
	end := t.ended
	if end.IsZero() {
		end = time.Now()
	}
	return end.Sub(t.began).Round(time.Millisecond)
}

// changes says which phase each setting changes.
var changes = []Change{
	{"--model, --device, --keep-packed, --threads, --ctx", PhaseLoad},
	{"--profile, --scale, --layout, --session, --assistant, --turns", PhaseAssembly},
	{"--layout, --session, --no-reuse: how much is left to compute", PhasePrefill},
	{"--max-tokens", PhaseDecode},
	{"--no-reuse", PhaseReuse},
}

func (t *tally) recipe(s *Summary) {
	workload, not := t.workload()
	hardware := "not known"
	if m := t.facts.Machine; m != nil {
		hardware = m.String()
	}
	s.Recipe = Recipe{
		Model: known(t.facts.Model), Quantization: known(t.facts.Quantization), Hardware: hardware, Runtime: known(t.facts.Runtime),
		Workload: workload,
		Claim:    "repeated agent state grows across turns: exact tokens, reused and recomputed, per turn, of this model on this machine",
	}
	if t.facts.Machine == nil {
		s.Recipe.Claim = strings.Replace(s.Recipe.Claim, "this machine", t.machine(), 1)
	}
	if t.opts.Fixtures != "" {
		s.Recipe.Workload += ", edited texts in " + t.opts.Fixtures
	}
	s.DoNotClaim = append(not, "that LMCache MP improves TTFT", "that vLLM or Mooncake avoids misses across workers",
		"what another model or machine than the ones named here would do")
	if runtime.GOOS != "darwin" && t.facts.Machine != nil {
		s.DoNotClaim = append(s.DoNotClaim, "figures of a Mac")
	}
	if s.Mimic {
		s.Recipe.Claim = "the sizes and the layout of the prompts, and what a prefix tree knows of them, estimated: no model ran"
	}
}

func known(text string) string {
	if text == "" {
		return "not known"
	}
	return text
}

func (t *tally) sizes() Sizes {
	z := Sizes{Cut: t.cuts}
	n := len(t.records)
	if n == 0 {
		return z
	}
	first, last := &t.records[0], &t.records[n-1]
	z.First, z.Last, z.LineFirst, z.LineLast = first.Estimated(), last.Estimated(), first.Line, last.Line
	for i := range t.records {
		r := &t.records[i]
		z.Sum += r.Estimated()
		if d := deviation(r); d > z.Worst {
			z.Worst, z.WorstTurn = d, r.Turn
		}
	}
	z.Markup = sumOf(t.records, func(r *Record) ledger.Opt[int] {
		if r.Markup == nil {
			return ledger.Opt[int]{}
		}
		return ledger.Some(*r.Markup)
	})
	if z.LineFirst > 0 && z.Sum > 0 {
		only := 1 - float64(z.Last)/float64(z.Sum)
		z.PromptsOnly = &only
		z.ColdBound = 1 - float64(z.First+n-1)/float64(z.Sum)
	}
	return z
}

// deviation is how far a prompt is from its line, as a part of it.
func deviation(r *Record) float64 {
	if r.Line == 0 {
		return 0
	}
	return math.Abs(float64(r.Characters)/float64(4*r.Line) - 1)
}

func (t *tally) tokens() Tokens {
	sum := func(field func(*ledger.Row) ledger.Opt[int]) Sum {
		return sumOf(t.records, func(r *Record) ledger.Opt[int] { return field(&r.Row) })
	}
	return Tokens{
		Prompt:    sum(func(r *ledger.Row) ledger.Opt[int] { return r.PromptTokens }),
		Matched:   sum(func(r *ledger.Row) ledger.Opt[int] { return r.MatchedTokens }),
		Hit:       sum(func(r *ledger.Row) ledger.Opt[int] { return r.LookupHitTokens }),
		L0:        sum(func(r *ledger.Row) ledger.Opt[int] { return r.L0HitTokens }),
		L1:        sum(func(r *ledger.Row) ledger.Opt[int] { return r.L1HitTokens }),
		L2:        sum(func(r *ledger.Row) ledger.Opt[int] { return r.L2HitTokens }),
		Recompute: sum(func(r *ledger.Row) ledger.Opt[int] { return r.RecomputeTokens }),
		New:       sum(func(r *ledger.Row) ledger.Opt[int] { return r.NewTokens }),
		Displaced: sum(func(r *ledger.Row) ledger.Opt[int] { return r.DisplacedTokens }),
		PaidAgain: sum(func(r *ledger.Row) ledger.Opt[int] { return r.PaidAgainTokens }),
		Prefill:   sum(func(r *ledger.Row) ledger.Opt[int] { return r.PrefillTokens }),
		Generated: sum(func(r *ledger.Row) ledger.Opt[int] { return r.GeneratedTokens }),
	}
}

func (t *tally) reuse(k Tokens) Reuse {
	ceiling, displaced := Sum{unknown: t.blind || len(t.verdicts) == 0}, 0
	for _, v := range t.verdicts {
		ceiling.n += v.Ceiling
		displaced += v.Displaced
	}
	r := Reuse{CeilingShare: share(ceiling, k.Prompt), HitShare: share(k.Hit, k.Prompt), OfCeiling: share(k.Hit, ceiling),
		RepeatedShare: share(k.Matched.plus(k.Displaced), k.Prompt)}
	if n, ok := ceiling.Get(); ok {
		r.Ceiling = &n
		if !t.vague {
			r.Displaced = &displaced
		}
	}
	return r
}

func (t *tally) ttft() TTFT {
	var out TTFT
	var hits, misses []float64
	for i := range t.records {
		row := &t.records[i].Row
		ms, timed := row.TTFTMs.Get()
		hit, counted := row.LookupHitTokens.Get()
		switch {
		case !timed || !counted:
		case hit > 0:
			hits = append(hits, ms)
		default:
			misses = append(misses, ms)
		}
	}
	out.Hit, out.HitTurns, out.Miss, out.MissTurns = median(hits), len(hits), median(misses), len(misses)
	return out
}
