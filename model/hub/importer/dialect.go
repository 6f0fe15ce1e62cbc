package importer

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"reprise/model/hub/tokjson"
)

// DialectGemma4 is the value of Options.Dialect that gives Gemma 4's special
// tokens to a Gemma 3 vocabulary, whose ids for them are unused.
const DialectGemma4 = "gemma4"

// dialect is a set of special tokens put in place of others.
type dialect struct {
	names map[int]string // by id
	ends  []string       // tokens that end a generation, besides the vocabulary's eos
}

// dialectOf finds a dialect; the empty name leaves the vocabulary as it is.
func dialectOf(name string) (dialect, error) {
	switch name {
	case "":
		return dialect{ends: []string{"<end_of_turn>"}}, nil
	case DialectGemma4:
		return dialect{
			names: Gemma4Tokens(),
			// After a call the model opens the tool's response, which is not its to write.
			ends: []string{"<turn|>", "<|tool_response>"},
		}, nil
	}
	return dialect{}, fmt.Errorf("dialect %q is unknown (%s is known)", name, DialectGemma4)
}

// Gemma4Tokens are Gemma 4's special tokens by the ids that they have there, which a Gemma 3 vocabulary does not use.
func Gemma4Tokens() map[int]string {
	return map[int]string{
		46: "<|tool>", 47: "<tool|>", 48: "<|tool_call>", 49: "<tool_call|>",
		50: "<|tool_response>", 51: "<tool_response|>", 52: `<|"|>`,
		98: "<|think|>", 100: "<|channel>", 101: "<channel|>", 105: "<|turn>", 106: "<turn|>",
		255999: "<|image>", 256000: "<|audio>",
		258880: "<|image|>", 258881: "<|audio|>", 258882: "<image|>", 258883: "<audio|>",
	}
}

// apply renames the vocabulary's tokens. Only ids that are unused, or hold the
// old names of the same things, are given away: anything else means that the
// vocabulary is another one.
func (d dialect) apply(v *tokjson.Vocab) error {
	for _, id := range slices.Sorted(maps.Keys(d.names)) {
		if id < len(v.Pieces) && !Replaceable(v.Pieces[id]) {
			return fmt.Errorf("token %d is %q, not an unused one that could become %s", id, v.Pieces[id], d.names[id])
		}
		if err := v.Rename(id, d.names[id]); err != nil {
			return err
		}
	}
	return nil
}

// Replaceable says whether a token of a Gemma 3 vocabulary may become another one.
func Replaceable(piece string) bool {
	switch piece {
	case "<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<end_of_image>":
		return true
	}
	return strings.HasPrefix(piece, "<unused")
}

// eos lists the ids that end a generation, the vocabulary's own first.
func (d dialect) eos(v *tokjson.Vocab) []int {
	var ids []int
	if v.EOS != tokjson.None {
		ids = append(ids, v.EOS)
	}
	for _, name := range d.ends {
		if id := slices.Index(v.Pieces, name); id >= 0 && id != v.EOS {
			ids = append(ids, id)
		}
	}
	return ids
}
