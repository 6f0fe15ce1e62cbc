package loop

import (
	"fmt"
	"slices"
)

// Layouts, sessions and kinds of assistants.
const (
	Stable    = "stable"    // the prompt only grows
	Moving    = "moving"    // documents and tool outputs change places between turns
	Ephemeral = "ephemeral" // the last message is gone from the next prompt

	Resumed = "resumed" // one conversation
	Fresh   = "fresh"   // every turn a new one
	Restart = "restart" // the server process is replaced behind turns 10 and 30
	Remote  = "remote"  // turns alternate between two processes that share only L2
	PD      = "pd"      // one process computes the prompts, another one answers

	Ours = "reprise" // the engine whose rows come with ids; every other fills them from its own counters

	Generated = "generated" // the model's own answers are echoed
	Scripted  = "scripted"  // fixture answers stand in their place
)

// Replaced are the turns behind which a restart session replaces its server.
var Replaced = []int{10, 30}

// Options say what to run.
type Options struct {
	Profile   string  `json:"profile"`
	Turns     int     `json:"turns"`
	Layout    string  `json:"layout"`
	Session   string  `json:"session"`
	Assistant string  `json:"assistant"`
	MaxTokens int     `json:"max_tokens"` // of an answer; 0: the profile's
	NoReuse   bool    `json:"no_reuse"`
	Scale     float64 `json:"scale"`              // of the profile's line
	Engine    string  `json:"engine"`             // whose counters fill the rows; the Server knows which there are
	Fixtures  string  `json:"fixtures,omitempty"` // a folder of edited texts; "": this program's
}

// Defaults are the options of a run that nobody changed.
func Defaults() Options {
	return Options{Profile: "local", Turns: turns, Layout: Stable, Session: Resumed, Assistant: Generated, Scale: 1, Engine: Ours}
}

// Check says what is wrong with the options, in the words of the flags, and fills in what the profile decides.
func (o *Options) Check() error {
	p, err := FindProfile(o.Profile)
	if err != nil {
		return err
	}
	if o.MaxTokens == 0 {
		o.MaxTokens = p.MaxTokens
	}
	switch {
	case o.Turns < 1 || o.Turns > turns:
		return fmt.Errorf("--turns %d: must be from 1 to %d, which is how long the profiles are", o.Turns, turns)
	case o.MaxTokens < 1:
		return fmt.Errorf("--max-tokens %d: must be at least 1", o.MaxTokens)
	case !(o.Scale > 0 && o.Scale <= 16): // NaN too
		return fmt.Errorf("--scale %v: must be more than 0 and at most 16", o.Scale)
	}
	for _, x := range []struct {
		flag, value string
		known       []string
	}{
		{"--layout", o.Layout, []string{Stable, Moving, Ephemeral}},
		{"--session", o.Session, []string{Resumed, Fresh, Restart, Remote, PD}},
		{"--assistant", o.Assistant, []string{Generated, Scripted}},
	} {
		if !slices.Contains(x.known, x.value) {
			return fmt.Errorf("%s %s: must be one of %v", x.flag, x.value, x.known)
		}
	}
	if o.Engine != Ours && o.NoReuse {
		return fmt.Errorf("--no-reuse with --engine %s: only reprise can be asked to compute everything; switch the prefix cache off where that server is started", o.Engine)
	}
	_, err = newBuilder(*o) // a scale that leaves no room is known here
	return err
}

// Longest is about how many tokens the longest prompt has.
func (o *Options) Longest() int {
	p, err := FindProfile(o.Profile)
	if err != nil {
		return 0 // Check says what is wrong
	}
	if o.Session == Fresh {
		return p.line(1, o.Scale)
	}
	return p.line(o.Turns, o.Scale)
}

// Variant names the run among those of its profile: "stable-resumed-no-reuse", "stable-resumed-scripted-vllm".
func (o *Options) Variant() string {
	name := o.Layout + "-" + o.Session
	if o.Assistant != Generated {
		name += "-" + o.Assistant
	}
	if o.NoReuse {
		name += "-no-reuse"
	}
	if o.Engine != Ours {
		name += "-" + o.Engine
	}
	return name
}
