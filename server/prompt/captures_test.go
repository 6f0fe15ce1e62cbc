package prompt

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"reprise/model/chat"
)

// streamed reads the stream that a captured request was answered with: what the model said, and the message that the
// client made of it.
func streamed(t *testing.T, family, name string) (answer, chat.Message) {
	t.Helper()
	f, err := os.Open(filepath.Join(sharedDir(t), "captures", name+".sse"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var said answer
	type call struct{ ID, Name, Arguments string }
	var calls []call
	scanner := bufio.NewScanner(f)
	for scanner.Scan() {
		data, ok := strings.CutPrefix(scanner.Text(), "data: ")
		if !ok || data == "[DONE]" {
			continue
		}
		var chunk struct {
			Choices []struct {
				Delta struct {
					Content   string
					Reasoning string `json:"reasoning_content"`
					ToolCalls []struct {
						Index    int
						ID       string
						Function struct{ Name, Arguments string }
					} `json:"tool_calls"`
				}
			}
		}
		if err := json.Unmarshal([]byte(data), &chunk); err != nil {
			t.Fatal(err)
		}
		for _, c := range chunk.Choices {
			said.text += c.Delta.Content
			said.reasoning += c.Delta.Reasoning
			for _, x := range c.Delta.ToolCalls {
				if x.Index == len(calls) {
					calls = append(calls, call{})
				}
				calls[x.Index].ID += x.ID
				calls[x.Index].Name += x.Function.Name
				calls[x.Index].Arguments += x.Function.Arguments
			}
		}
	}
	given := fmt.Sprintf(`{"role":"assistant","content":%s`, quote(said.text))
	var list []string
	for _, c := range calls {
		list = append(list, callJSON(c.ID, c.Name, c.Arguments))
		said.calls = append(said.calls, asModel(t, family, c.Name, c.Arguments))
	}
	if list != nil {
		given += `,"tool_calls":[` + strings.Join(list, ",") + `]`
	}
	return said, message(t, "%s", given+"}")
}

// asModel is a call as the model would have written it.
func asModel(t *testing.T, family, name, arguments string) said {
	t.Helper()
	v, err := chat.DecodeOrdered([]byte(arguments))
	if err != nil {
		t.Fatal(err)
	}
	s := said{name: name}
	for i := range v.(*chat.Dict).Len() {
		key, value := v.(*chat.Dict).At(i)
		text := fmt.Sprint(value)
		if str, ok := value.(string); ok {
			text = gemmaText(family, str)
		}
		s.params = append(s.params, [2]string{key.(string), text})
	}
	return s
}

// TestCapturedSessions plays what the agents really sent, answered with what they were really answered: every answer
// is put back in every later prompt, and what the next prompt shares with this one ends where state is wanted.
func TestCapturedSessions(t *testing.T) {
	for _, family := range familyNames {
		for _, agent := range []string{"hermes", "openclaw"} {
			t.Run(family+"/"+agent, func(t *testing.T) {
				a := assembler(t, family)
				var before *Prompt
				var fed []int32
				generated := 0
				for n := 1; n <= 5; n++ {
					name := fmt.Sprintf("%s-%d", agent, n)
					in := captured(t, name)
					p := assemble(t, a, in)
					if p.Spliced != generated {
						t.Errorf("%s: %d tokens were put back, want %d", name, p.Spliced, generated)
					}
					if before != nil {
						shared := common(fed, p.IDs)
						if agent == "hermes" && shared != len(fed) {
							t.Errorf("%s: %d tokens were fed, the prompt has the first %d of them", name, len(fed), shared)
						}
						if kept := lastWanted(before, len(fed), shared); shared-kept > 4 {
							t.Errorf("%s: it shares %d tokens with what was fed, state is wanted at %d: %v", name, shared, kept, before.Wanted)
						}
						if shared < before.FirstUserEnd || before.FirstUserEnd == 0 || before.StaticEnd >= before.FirstUserEnd {
							t.Errorf("%s: it shares %d tokens; static prefix %d, first user's message %d", name, shared, before.StaticEnd, before.FirstUserEnd)
						}
						if before.SHA256 != assemble(t, a, captured(t, fmt.Sprintf("%s-%d", agent, n-1))).SHA256 {
							t.Errorf("%s: the prompt before it has other ids now", name)
						}
					}
					x, given := streamed(t, family, name)
					ids := sampled(t, a, x.output(family, true))
					if !a.Remember(p, ids, given) {
						t.Fatalf("%s: the answer is not remembered", name)
					}
					before, fed, generated = p, slices.Concat(p.IDs, ids), generated+len(ids)-1
				}
			})
		}
	}
}

// lastWanted is the last offset up to a place where state of a turn is: one of those wanted, or the end of all that
// was fed.
func lastWanted(p *Prompt, fed, at int) int {
	if at == fed {
		return fed
	}
	last := 0
	for _, w := range p.Wanted {
		if w <= at {
			last = w
		}
	}
	return last
}

// Two fresh sessions of an agent share the static prefix, and part before the end of the first user's message.
func TestCapturedStaticPrefix(t *testing.T) {
	for _, family := range familyNames {
		a := assembler(t, family)
		for _, agent := range []string{"hermes", "openclaw"} {
			in := captured(t, agent+"-1")
			one := assemble(t, a, in)
			for i, m := range in.Messages {
				if m.Role() == "user" {
					in.Messages[i] = m.With("content", "Something else.")
					break
				}
			}
			two := assemble(t, a, in)
			shared := common(one.IDs, two.IDs)
			if one.StaticEnd != two.StaticEnd || shared < one.StaticEnd || shared-one.StaticEnd > 8 || shared >= one.FirstUserEnd || one.StaticEnd < 3000 {
				t.Errorf("%s, %s: they share %d tokens; static prefix %d and %d, first user's message %d", family, agent, shared, one.StaticEnd, two.StaticEnd, one.FirstUserEnd)
			}
			if !slices.Contains(one.Wanted, one.StaticEnd) || !slices.Contains(one.Wanted, one.Generation) && one.Generation < len(one.IDs) {
				t.Errorf("%s, %s: wanted %v, static prefix %d, generation prompt %d", family, agent, one.Wanted, one.StaticEnd, one.Generation)
			}
			labels := map[string]int{}
			for _, s := range one.Spans {
				labels[s.String()] += s.End - s.Start
			}
			if labels["system"] < 1000 || labels["tools"] < 1000 || labels["message 1 user"] == 0 || labels["template"] > 800 {
				t.Errorf("%s, %s: labels %v", family, agent, labels)
			}
		}
	}
}
