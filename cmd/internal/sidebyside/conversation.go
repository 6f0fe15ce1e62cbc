package sidebyside

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// talk makes conversations as raw text. What it makes depends on its seed only, so every engine gets the same.
type talk struct {
	rng   *rand.Rand
	count func(text string) (int, error) // tokens of a text
}

func newTalk(seed int, count func(string) (int, error)) *talk {
	return &talk{rng: rand.New(rand.NewPCG(uint64(seed), 5)), count: count}
}

var (
	who   = []string{"The miller", "A young clerk", "The keeper of the bridge", "Our neighbour", "The old captain", "A traveller from the coast", "The schoolmaster", "Her sister"}
	did   = []string{"counted", "carried", "sold", "repaired", "found", "described", "measured", "painted"}
	what  = []string{"seven sacks of barley", "a copper lamp", "the broken water wheel", "a map of the valley", "two heavy doors", "the northern fence", "a box of letters", "the long ladder"}
	where = []string{"behind the market hall", "at the edge of the forest", "near the second lock", "in the house by the harbour", "below the castle wall", "on the road to the mountains"}
	when  = []string{"before the rain came", "while the others slept", "on the last day of March", "as the bells rang", "when the ferry had left", "after a long argument"}
)

func (t *talk) pick(words []string) string { return words[t.rng.IntN(len(words))] }

func (t *talk) sentence() string {
	return fmt.Sprintf("%s %s %s %s %s. ", t.pick(who), t.pick(did), t.pick(what), t.pick(where), t.pick(when))
}

func (t *talk) sentences(n int) string {
	var b strings.Builder
	for range n {
		b.WriteString(t.sentence())
	}
	return strings.TrimSpace(b.String())
}

// message is a short one of the user's, up to where the answer begins.
func (t *talk) message() string {
	return fmt.Sprintf("\nUser: %s What happened then?\nAssistant:", t.sentences(2))
}

// conversation is a text of at least that many tokens that ends where an answer begins.
func (t *talk) conversation(name string, tokens int) (string, error) {
	text := fmt.Sprintf("Conversation %s, number %d. The assistant knows the valley and answers in full sentences.\n%s", name, t.rng.IntN(1e6), t.sentences(3))
	for {
		whole := text + t.message()
		n, err := t.count(whole)
		if err != nil {
			return "", err
		}
		if n >= tokens {
			return whole, nil
		}
		text = whole + " " + t.sentences(2)
	}
}

// edited is a text with one sentence in its middle replaced by another.
func (t *talk) edited(text string) string {
	half := len(text) / 2
	from := half + strings.Index(text[half:], ". ") + 2
	to := from + strings.Index(text[from:], ".") + 1
	return text[:from] + "Nobody had expected the flood of that year." + text[to:]
}
