package loop

import (
	"fmt"
	"io"
	"strings"

	"reprise/cmd/internal/console"
)

// Claim is one of the article's, and whether this run supports it.
type Claim struct {
	Claim      string `json:"claim"`
	Supported  bool   `json:"supported"`
	Shows      string `json:"shows"`       // what this run has to say
	StillNeeds string `json:"still_needs"` // to be said at large
}

// laptop is the most memory of a machine that the article calls one of 16 GB, in bytes.
const laptop = 18e9

// claims judges the article's claims by the run.
func (t *tally) claims(s *Summary) []Claim {
	ran := s.Status == "complete" && !s.Mimic
	model := strings.ToLower(t.facts.Model)
	several := ran && s.Turns > 1 // what happens between turns needs two
	peaks := fmt.Sprintf("%s on %s: MLX peak %s, process footprint %s", s.Recipe.Model, t.machine(), bytesOf(s.Peaks.MLX), bytesOf(s.Peaks.Footprint))
	nothing := "nothing: no model ran to the end"
	say := func(text string) string {
		if !ran {
			return nothing
		}
		return text
	}
	l2, remote := s.Tokens.L2.Get()
	layout := known(t.opts.Layout)
	onLaptop := t.facts.Machine != nil && float64(t.facts.Machine.MemoryBytes) <= laptop
	return []Claim{
		{"repeated agent state grows across turns", several && s.Reuse.RepeatedShare != nil && t.opts.Session != Fresh,
			say(fmt.Sprintf("exact tokens per turn: %s in prompts, %s reused, %s computed; repeated state %s", count(s.Tokens.Prompt), count(s.Tokens.Hit), count(s.Tokens.Prefill), percent(s.Reuse.RepeatedShare))),
			"engine traces in production"},
		{"E4B is the right 16 GB model", ran && strings.Contains(model, "gemma-4-e4b") && onLaptop && s.Peaks.MLX != nil && s.Peaks.Footprint != nil,
			say(peaks), "gemma-4-e4b on the 16 GB Mac that is meant"},
		{"Qwen3.6 fits the agent workload", false, say(peaks), "the budget line by line (`reprise plan`), and the real prompt length, tools and model on the target"},
		{"a shared remote tier of ours avoids misses across processes", ran && remote && l2 > 0 && (t.opts.Session == Remote || t.opts.Session == PD),
			say(fmt.Sprintf("%s tokens came from L2", count(s.Tokens.L2))), "`--session remote` or `pd`, on the machines and the network that are meant"},
		{"LMCache MP improves TTFT", ran && t.opts.Engine == "lmcache" && s.TTFT.Hit != nil && s.TTFT.Miss != nil,
			t.foreign("lmcache", ran, fmt.Sprintf("first token with hits %s, without %s", millis(s.TTFT.Hit), millis(s.TTFT.Miss))), "LMCache's counters and TTFT with hits and without, on the hardware that is meant"},
		{"vLLM with Mooncake avoids misses across workers", false, say("nothing: neither ran"), "remote hits, transfer time, placement"},
		{"prompt layout decides what a prefix tree can reuse", several && s.Reuse.HitShare != nil && s.Reuse.RepeatedShare != nil,
			say(fmt.Sprintf("layout %s: %s of the prompts reused, repeated state %s, %s tokens displaced", layout, percent(s.Reuse.HitShare), percent(s.Reuse.RepeatedShare), count(s.Tokens.Displaced))),
			"the other layouts beside it (`--layout`); of SGLang's radix tree, SGLang's own metrics"},
	}
}

// machine is the one that computed.
func (t *tally) machine() string {
	if t.facts.Machine == nil {
		return "a machine that is not known"
	}
	return t.facts.Machine.String()
}

// foreign is what the run says of another engine.
func (t *tally) foreign(engine string, ran bool, text string) string {
	if !ran || t.opts.Engine != engine {
		return fmt.Sprintf("nothing: %s did not run", engine)
	}
	return text
}

// writeClaims is claims.txt.
func (s *Summary) writeClaims(out io.Writer) error {
	var b strings.Builder
	if s.Status != "complete" {
		fmt.Fprintf(&b, "INCOMPLETE: %s\n\n", s.Why)
	}
	r := &s.Recipe
	fmt.Fprintf(&b, "model         %s\nquantization  %s\nworkload      %s\nhardware      %s\nruntime       %s\nclaim         %s\n", r.Model, r.Quantization, r.Workload, r.Hardware, r.Runtime, r.Claim)
	for _, supported := range []bool{true, false} {
		title := "This run supports:"
		if !supported {
			title = "This run does not support:"
		}
		fmt.Fprintf(&b, "\n%s\n", title)
		none := true
		for _, c := range s.Claims {
			if c.Supported == supported {
				none = false
				fmt.Fprintf(&b, "  - %s\n      shows: %s\n      still needs: %s\n", c.Claim, c.Shows, c.StillNeeds)
			}
		}
		if none {
			b.WriteString("  nothing\n")
		}
	}
	b.WriteString("\nDo not claim:\n")
	for _, no := range s.DoNotClaim {
		fmt.Fprintf(&b, "  - %s\n", no)
	}
	if len(s.Problems) > 0 {
		fmt.Fprintf(&b, "\n%s problems, in %s\n", console.Count(len(s.Problems)), SummaryFile)
	}
	_, err := io.WriteString(out, b.String())
	return err
}
