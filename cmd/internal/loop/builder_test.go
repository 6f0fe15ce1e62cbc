package loop

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"reprise/cmd/internal/loop/fixture"
)

// options are the defaults of a profile with changes.
func options(t testing.TB, profile string, change func(*Options)) Options {
	t.Helper()
	o := Defaults()
	o.Profile = profile
	if change != nil {
		change(&o)
	}
	if err := o.Check(); err != nil {
		t.Fatal(err)
	}
	return o
}

// prompts are those of a run whose model answers as it is told to.
func prompts(t testing.TB, o Options, answer func(turn int) string) ([]*Prompt, *builder) {
	t.Helper()
	b, err := newBuilder(o)
	if err != nil {
		t.Fatal(err)
	}
	var out []*Prompt
	said := ""
	for turn := range o.Turns {
		p, err := b.next(said)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, p)
		if said = b.standIn(); answer != nil {
			said = answer(turn + 1)
		}
	}
	return out, b
}

// contents is everything of a prompt that counts, in order, without markup.
func contents(p *Prompt) string {
	var b strings.Builder
	b.WriteString(p.Messages[0].Content)
	for _, tool := range p.Tools {
		b.Write(tool)
	}
	for _, m := range p.Messages[1:] {
		b.WriteString(m.Content)
	}
	return b.String()
}

// counted is what the server counts of a prompt: contents, and of schemas names and values.
func counted(p *Prompt) int {
	n := 0
	for _, m := range p.Messages {
		n += len([]rune(m.Content))
	}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case string:
			n += len([]rune(v))
		case []any:
			for _, x := range v {
				walk(x)
			}
		case map[string]any:
			for k, x := range v {
				walk(k)
				walk(x)
			}
		default:
			n += len(fmt.Sprint(v))
		}
	}
	for _, tool := range p.Tools {
		var v any
		if err := json.Unmarshal(tool, &v); err != nil {
			panic(err)
		}
		walk(v)
	}
	return n
}

// The figures of workloads.md, from prompts that are really made.
func TestOrientationFigures(t *testing.T) {
	for _, tt := range []struct {
		profile     string
		first, last int
		only, bound float64 // percent
	}{
		{"local", 166, 579, 96.9, 98.85},
		{"16gb-max-mlx-observability", 238, 2790, 96.3, 99.62},
		{"kimi-k26-gb200-openclaw", 12166, 122437, 96.4, 99.64},
	} {
		list, _ := prompts(t, options(t, tt.profile, nil), nil)
		first, last, sum, shared := 0, 0, 0, 0
		before := []rune{}
		for i, p := range list {
			// Tools are counted in another form than they are sent in: outside of this comparison, they are the same in all.
			text := []rune(contents(&Prompt{Messages: p.Messages}))
			fixed := p.Characters - len(text)
			n := 0
			for n < min(len(before), len(text)) && before[n] == text[n] {
				n++
			}
			if i > 0 {
				shared += n + fixed
			}
			before = text
			sum += p.Characters
			if last = p.Estimated(); i == 0 {
				first = last
			}
		}
		only := 100 * float64(shared) / float64(sum)
		bound := 100 * (1 - float64(4*(first+len(list)-1))/float64(sum))
		if first != tt.first || last != tt.last || math.Abs(only-tt.only) > 0.05 || math.Abs(bound-tt.bound) > 0.005 {
			t.Errorf("%s: %d to %d, prompts share %.2f %%, bound %.3f %%; want %+v", tt.profile, first, last, only, bound, tt)
		}
	}
}

// Whatever the model answers, sizes lie within 2 % of the line, and what is said about them is so.
func TestSizes(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	answers := map[string]func(int) string{
		"nothing":  func(int) string { return "" },
		"as meant": nil,
		"any":      func(int) string { return strings.Repeat("wörter ", rng.IntN(30)) },
		"much":     func(int) string { return strings.Repeat("語", 2000) },
		"blanks":   func(int) string { return strings.Repeat(" \n", rng.IntN(40)) },
	}
	for _, profile := range []string{"local", "16gb-max-mlx-observability"} {
		for _, layout := range []string{Stable, Moving, Ephemeral} {
			for name, answer := range answers {
				for _, scale := range []float64{1, 3} {
					o := options(t, profile, func(o *Options) { o.Layout, o.Scale = layout, scale })
					list, b := prompts(t, o, answer)
					for _, p := range list {
						if p.Characters != counted(p) {
							t.Fatalf("%s %s %s turn %d: %d characters, counted %d", profile, layout, name, p.Turn, p.Characters, counted(p))
						}
						if off := math.Abs(float64(p.Characters)/float64(4*p.Line) - 1); off > sizeLimit {
							t.Errorf("%s %s ×%v %s turn %d: %d characters, the line is %d: %.1f %% off", profile, layout, scale, name, p.Turn, p.Characters, 4*p.Line, 100*off)
						}
						for _, m := range p.Messages {
							if m.Role != "assistant" && (m.Content == "" || strings.TrimSpace(m.Content) != m.Content) {
								t.Fatalf("%s %s turn %d: a template would trim %q", profile, layout, p.Turn, m.Content)
							}
						}
					}
					if (b.cuts > 0) != (name == "much") && name != "any" && name != "blanks" {
						t.Errorf("%s %s ×%v %s: %d answers cut", profile, layout, scale, name, b.cuts)
					}
				}
			}
		}
	}
}

// What a layout keeps and what it moves.
func TestLayouts(t *testing.T) {
	make := func(layout string) []*Prompt {
		list, _ := prompts(t, options(t, "16gb-max-mlx-observability", func(o *Options) { o.Layout = layout }), nil)
		return list
	}
	stable, moving, ephemeral := make(Stable), make(Moving), make(Ephemeral)
	lines := func(p *Prompt) []string {
		var all []string
		for _, m := range p.Messages {
			all = append(all, strings.Split(m.Content, "\n")...)
		}
		slices.Sort(all)
		return all
	}
	for i := 1; i < len(stable); i++ {
		if n := len(stable[i-1].Messages); !slices.Equal(stable[i-1].Messages, stable[i].Messages[:n]) {
			t.Errorf("stable turn %d does not begin with turn %d", i+1, i)
		}
		if !slices.Equal(lines(stable[i]), lines(moving[i])) || stable[i].Characters != moving[i].Characters {
			t.Errorf("turn %d: moving has not the lines of stable", i+1)
		}
		if a, b := moving[i-1].Messages, moving[i].Messages; a[1] != b[1] || a[2].Content[:40] == b[2].Content[:40] {
			t.Errorf("moving turn %d: the request must stay and the context must begin with another piece:\n%s\n%s", i+1, a[2].Content, b[2].Content)
		}
		a, b := ephemeral[i-1].Messages, ephemeral[i].Messages
		if n := len(a) - 1; !slices.Equal(a[:n], b[:n]) || b[n].Role != "assistant" {
			t.Errorf("ephemeral turn %d does not begin with turn %d but for its last message", i+1, i)
		}
		if note := a[len(a)-1]; note.Role != "user" || slices.Contains(b, note) {
			t.Errorf("the note of turn %d is still there: %+v", i, note)
		}
	}
}

// Every fresh conversation has the static prefix, material of its own and no history.
func TestFresh(t *testing.T) {
	for _, layout := range []string{Stable, Moving, Ephemeral} {
		list, _ := prompts(t, options(t, "local", func(o *Options) { o.Session, o.Layout = Fresh, layout }), nil)
		seen := map[string]bool{}
		for _, p := range list {
			want := 3
			if layout == Ephemeral {
				want = 4
			}
			if len(p.Messages) != want || p.Messages[0] != list[0].Messages[0] || p.Line != 0 || p.Characters != 4*166 || seen[p.Conversation] {
				t.Errorf("%s turn %d of %s: %d messages, line %d, %d characters", layout, p.Turn, p.Conversation, len(p.Messages), p.Line, p.Characters)
			}
			for _, m := range p.Messages[1:] {
				if seen[m.Content] {
					t.Errorf("turn %d repeats %q", p.Turn, m.Content)
				}
				seen[m.Content] = true
			}
			seen[p.Conversation] = true
		}
	}
}

// Two runs make the same prompts, and scripted ones do not depend on the model.
func TestPromptsAreDeterministic(t *testing.T) {
	o := options(t, "16gb-max-mlx-observability", func(o *Options) { o.Assistant = Scripted })
	a, _ := prompts(t, o, nil)
	b, _ := prompts(t, o, func(int) string { return "something else" })
	for i := range a {
		if contents(a[i]) != contents(b[i]) {
			t.Fatalf("turn %d differs:\n%s\n%s", i+1, contents(a[i]), contents(b[i]))
		}
	}
	if !slices.Contains(a[1].Messages, Message{"assistant", fixture.Embedded().Answer(1, fixture.Sentence)}) {
		t.Errorf("turn 2 has not the scripted answer: %+v", a[1].Messages)
	}
}

// A repeated filler would make any cache look good: texts compress by less than 4×, and no 64 characters in a row occur
// twice in a run, outside what is sent again on purpose.
func TestTextsAreNoFiller(t *testing.T) {
	for _, p := range Profiles {
		for _, o := range []Options{
			options(t, p.Name, nil),
			options(t, p.Name, func(o *Options) { o.Layout = Ephemeral }),
			options(t, p.Name, func(o *Options) { o.Session = Fresh }),
			options(t, p.Name, func(o *Options) { o.Scale = 0.3 }),
		} {
			if o.Scale < 1 && p.Name == "local" {
				o.Scale = 0.8
			}
			list, _ := prompts(t, o, nil)
			last := list[len(list)-1]
			if r := ratio(t, contents(last)); r >= 4 {
				t.Errorf("%s: the last prompt compresses %.2f×", o.Profile, r)
			}
			// Everything that was ever sent, once.
			sent := map[string]bool{}
			var all []string
			for _, q := range list {
				pieces := []string{}
				for _, m := range q.Messages {
					pieces = append(pieces, m.Content)
				}
				for _, tool := range q.Tools {
					pieces = append(pieces, string(tool))
				}
				for _, text := range pieces {
					if !sent[text] {
						sent[text] = true
						all = append(all, text)
					}
				}
			}
			if text, twice := repeated(strings.Join(all, "\x00"), 64); twice {
				t.Errorf("%s %s ×%v: occurs twice: %q", o.Profile, o.Variant(), o.Scale, text)
			}
		}
	}
}

func ratio(t *testing.T, text string) float64 {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return float64(len(text)) / float64(b.Len())
}

// repeated finds n characters in a row that occur twice.
func repeated(text string, n int) (string, bool) {
	r := []rune(text)
	seen := make(map[string]struct{}, len(r))
	for i := 0; i+n <= len(r); i++ {
		w := string(r[i : i+n])
		if _, twice := seen[w]; twice {
			return w, true
		}
		seen[w] = struct{}{}
	}
	return "", false
}

func TestFillerIsSeen(t *testing.T) {
	if _, twice := repeated(strings.Repeat("The quick brown fox jumps over the lazy dog. ", 3), 64); !twice {
		t.Error("a repeated sentence was not seen")
	}
	if r := ratio(t, strings.Repeat("The quick brown fox jumps over the lazy dog. ", 30)); r < 4 {
		t.Errorf("repeated sentences compress %.2f× only", r)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, tt := range []struct {
		change func(*Options)
		want   string
	}{
		{func(o *Options) {}, ""},
		{func(o *Options) { o.Profile = "huge" }, "--profile huge: there are [local"},
		{func(o *Options) { o.Turns = 0 }, "--turns 0"},
		{func(o *Options) { o.Turns = 51 }, "--turns 51"},
		{func(o *Options) { o.MaxTokens = -1 }, "--max-tokens -1"},
		{func(o *Options) { o.Scale = 0 }, "--scale 0"},
		{func(o *Options) { o.Scale = math.NaN() }, "--scale NaN"},
		{func(o *Options) { o.Scale = 0.1 }, "--scale 0.1 leaves no room"},
		{func(o *Options) { o.Layout = "tidy" }, "--layout tidy"},
		{func(o *Options) { o.Session = "lost" }, "--session lost"},
		{func(o *Options) { o.Assistant = "human" }, "--assistant human"},
		{func(o *Options) { o.Session = "restart" }, ""},
		{func(o *Options) { o.Session = "remote" }, ""},
		{func(o *Options) { o.Session = "pd" }, ""},
		{func(o *Options) { o.Engine = "vllm" }, ""},
		{func(o *Options) { o.Engine, o.NoReuse = "vllm", true }, "--no-reuse with --engine vllm"},
	} {
		o := Defaults()
		tt.change(&o)
		err := o.Check()
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%v, want %q", err, tt.want)
		}
	}
	for profile, tokens := range map[string]int{"local": 4, "16gb-max-mlx-observability": 16, "kimi-k26-gb200-openclaw": 16} {
		if o := options(t, profile, nil); o.MaxTokens != tokens {
			t.Errorf("%s: answers of %d tokens", profile, o.MaxTokens)
		}
	}
}
