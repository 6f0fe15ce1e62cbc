package importer

import (
	"fmt"
	"maps"
	"slices"

	"reprise/model/hub/tokjson"
)

// DialectGemma4 is the value of Options.Dialect that gives Gemma 4's special
// tokens to a Gemma 3 vocabulary, whose ids for them are unused.
const DialectGemma4 = "gemma4"

// dialect is a set of special tokens put in place of others.
type dialect struct {
	names map[int]string // by id
	eos   []int          // ids that end a generation
}

// dialectOf finds a dialect; the empty name leaves the vocabulary as it is.
func dialectOf(name string) (dialect, error) {
	switch name {
	case "":
		return dialect{eos: []int{1, 106}}, nil
	case DialectGemma4:
		return dialect{
			names: map[int]string{
				46: "<|tool>", 47: "<tool|>", 48: "<|tool_call>", 49: "<tool_call|>",
				50: "<|tool_response>", 51: "<tool_response|>", 52: `<|"|>`,
				98: "<|think|>", 100: "<|channel>", 101: "<channel|>", 105: "<|turn>", 106: "<turn|>",
				255999: "<|image>", 256000: "<|audio>",
				258880: "<|image|>", 258881: "<|audio|>", 258882: "<image|>", 258883: "<audio|>",
			},
			// A call ends where the model opens the tool's response.
			eos: []int{1, 106, 50},
		}, nil
	}
	return dialect{}, fmt.Errorf("dialect %q is unknown (%s is known)", name, DialectGemma4)
}

// apply renames the vocabulary's tokens.
func (d dialect) apply(v *tokjson.Vocab) error {
	for _, id := range slices.Sorted(maps.Keys(d.names)) {
		if err := v.Rename(id, d.names[id]); err != nil {
			return err
		}
	}
	return nil
}
