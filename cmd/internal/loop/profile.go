package loop

import (
	"fmt"
	"math"

	"reprise/cmd/internal/loop/fixture"
)

// Profile is a workload: how long the prompt is estimated to be on the first and on the last of its 50 turns.
type Profile struct {
	Name        string
	First, Last int // estimated tokens
	MaxTokens   int // of an answer
	Note        string
	DoNotClaim  string
}

// Profiles are the workloads of the loop.
var Profiles = []Profile{
	{"local", 166, 579, 4, "the small local OpenClaw-shaped loop", "Qwen3.6 long context, LMCache MP or vLLM/Mooncake behaviour"},
	{"16gb-max-mlx-observability", 238, 2790, 16, "the recommended run on a 16 GB machine", "Qwen3.6 long context, LMCache MP or vLLM/Mooncake behaviour"},
	{"kimi-k26-gb200-openclaw", 12166, 122437, 16, "the shape of a production trace", "laptop figures as production latency or cost: only the trace's shape"},
}

// turns is how many turns a profile's line has.
const turns = fixture.Turns

// FindProfile is the profile of that name.
func FindProfile(name string) (*Profile, error) {
	for i := range Profiles {
		if Profiles[i].Name == name {
			return &Profiles[i], nil
		}
	}
	names := make([]string, len(Profiles))
	for i, p := range Profiles {
		names[i] = p.Name
	}
	return nil, fmt.Errorf("--profile %s: there are %v", name, names)
}

// line is how many estimated tokens the prompt of a turn should have.
func (p *Profile) line(turn int, scale float64) int {
	step := float64(p.Last-p.First) / (turns - 1)
	return int(math.Round(scale * (float64(p.First) + step*float64(turn-1))))
}

// growth is how many characters the prompt grows by each turn.
func (p *Profile) growth(scale float64) int {
	return int(scale * 4 * float64(p.Last-p.First) / (turns - 1))
}
