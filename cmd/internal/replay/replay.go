package replay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"reprise/cmd/internal/loop"
	"reprise/kvcache/ledger"
	"reprise/server/api/responses"
	"reprise/server/api/wire"
	"reprise/server/engine"
)

// Run sends a recording to a server and writes down what its turns reuse.
type Run struct {
	Recording *Recording
	Server    *loop.Reprise
	Facts     loop.Facts
	NoReuse   bool
	Out       string
	Progress  func(text string)  // a line a turn; may be nil
	Turned    func(*loop.Record) // a turn has ended; may be nil

	responses map[string]string // ids of answers now, by the recorded ones
}

// Answers are not the model's own choice now: they come with the requests, as somebody echoed them.
const recorded = "recorded"

// Do sends the requests and sums up. Whatever happens, the files on disk are whole, and the summary of a run that was cut off says so;
// Do then returns both the summary and why.
func (r *Run) Do(ctx context.Context) (*loop.Summary, error) {
	requests := slices.Clone(r.Recording.Requests)
	slices.SortStableFunc(requests, func(a, b Request) int { return a.Time.Compare(b.Time) })
	n := len(requests)
	workload := fmt.Sprintf("the requests recorded in %s, one at a time, in their order", filepath.Base(r.Recording.Path))
	if r.NoReuse {
		workload += ", everything computed"
	}
	o := loop.Observed{
		Options: loop.Options{Turns: n, Session: recorded, Assistant: recorded, NoReuse: r.NoReuse, Scale: 1, Engine: loop.Ours},
		Facts:   r.Facts, Workload: workload, DoNotClaim: "how long the recorded clients waited: here nobody waits for another's turn", Began: time.Now(), Out: r.Out,
	}
	w, err := o.Begin()
	if err != nil {
		return nil, err
	}
	c := comparison{with: r.Recording.Path, sessions: map[string]string{}}
	for i := range requests {
		record, err := r.turn(ctx, i+1, &requests[i])
		if err == nil {
			err = w.Add(record)
		}
		if err != nil {
			err = fmt.Errorf("request %d of %d: %w", i+1, n, loop.Cancelled(err))
			c.tell(w)
			s, bad := w.Close(err.Error())
			return s, errors.Join(err, bad)
		}
		c.add(&requests[i], record)
		if r.Turned != nil {
			r.Turned(record)
		}
		if r.Progress != nil {
			r.Progress(loop.Told(record, n))
		}
	}
	// At the end, because judging computes, which a cache remembers.
	same, err := c.answers(ctx, r.Server.Gap)
	c.tell(w)
	why := ""
	if err != nil {
		why = "every request was answered, but how the answers compare is not known: " + loop.Cancelled(err).Error()
	} else {
		w.Same(same)
	}
	s, bad := w.Close(why)
	return s, errors.Join(err, bad)
}

// answer is what the four APIs have in common.
type answer struct {
	Choices []struct {
		Text    string
		Message struct{ Content string }
	}
	Content []struct{ Text string }
	Output  []struct{ Content []struct{ Text string } }
	Usage   struct{ Reprise *wire.Said }
}

// text is the answer's.
func (a *answer) text() string {
	var b strings.Builder
	if len(a.Choices) > 0 {
		b.WriteString(a.Choices[0].Text + a.Choices[0].Message.Content)
	}
	for _, part := range a.Content {
		b.WriteString(part.Text)
	}
	for _, item := range a.Output {
		for _, part := range item.Content {
			b.WriteString(part.Text)
		}
	}
	return b.String()
}

// turn sends a request again.
func (r *Run) turn(ctx context.Context, number int, x *Request) (*loop.Record, error) {
	body, err := x.Again(r.Server.Model.ID, r.NoReuse)
	if err == nil {
		err = r.goOn(x, body)
	}
	if err != nil {
		return nil, err
	}
	var a answer
	if err := r.Server.PostAs(ctx, x.Path, named(x), body, &a); err != nil {
		return nil, err
	}
	said := a.Usage.Reprise
	if said == nil || said.Row == nil || said.IDs == nil {
		return nil, fmt.Errorf("%s sent neither row nor ids of the turn: it is older than this program", r.Server)
	}
	if x.Path == responsesPath {
		if r.responses == nil {
			r.responses = map[string]string{}
		}
		r.responses[responses.AnswerID(x.TurnID)] = responses.AnswerID(said.Row.TurnID)
	}
	return &loop.Record{
		Turn: number, Conversation: said.Row.SessionID, Characters: 4 * said.Row.PromptTokensEst.Or(0), Answer: a.text(), Row: *said.Row,
		Prompt: said.IDs.Prompt, Generated: said.IDs.Generated, Computed: said.IDs.Computed, Static: said.IDs.Static,
	}, nil
}

const (
	responsesPath = "/v1/responses"
	previous      = "previous_response_id"
)

// goOn has a request that continues a recorded answer continue the one that stands for it now.
func (r *Run) goOn(x *Request, body map[string]json.RawMessage) error {
	raw, ok := body[previous]
	if x.Path != responsesPath || !ok || string(raw) == "null" {
		return nil
	}
	var then string
	if err := json.Unmarshal(raw, &then); err != nil {
		return fmt.Errorf("line %d: %s is no text (%.40s)", x.Line, previous, raw)
	}
	now, ok := r.responses[then]
	if !ok {
		return fmt.Errorf("line %d continues the answer %.80q, which is not in the recording: leave that line out", x.Line, then)
	}
	raw, err := json.Marshal(now)
	body[previous] = raw
	return err
}

// named is the session's name where the client gave it one, perhaps by a header, which a recording does not keep; else its prompts say
// what it continues.
func named(x *Request) string {
	if engine.Unnamed(x.Row.SessionID) {
		return ""
	}
	return x.Row.SessionID
}

// comparison is how the turns compare with the recorded ones.
type comparison struct {
	with     string
	sessions map[string]string // by the recorded ones
	prompts  []string          // turns whose prompts are not the recorded ones
	parted   []string          // turns in another session
	pairs    []pair
	sampled  int // answers that are others, as chance had it
}

// pair is an answer beside the recorded one.
type pair struct {
	now  loop.Record // without its row
	then []int32
}

func (c *comparison) add(x *Request, r *loop.Record) {
	if session, ok := c.sessions[x.Row.SessionID]; !ok {
		c.sessions[x.Row.SessionID] = r.Row.SessionID
	} else if session != r.Row.SessionID {
		c.parted = append(c.parted, fmt.Sprintf("turn %d (line %d): session %s goes on as %s, its earlier turns were %s", r.Turn, x.Line, x.Row.SessionID, r.Row.SessionID, session))
	}
	if then, now := x.Row.PromptSHA256, r.Row.PromptSHA256; then != now {
		text := fmt.Sprintf("turn %d (line %d): the prompt has other ids than when it was recorded, %d of them and then %d", r.Turn, x.Line, len(r.Prompt), x.Row.PromptTokens.Or(0))
		if x.Row.Model != r.Row.Model {
			text += fmt.Sprintf("; the model is %s, it was %s", r.Row.Model, x.Row.Model)
		}
		c.prompts = append(c.prompts, text)
		return
	}
	p := pair{loop.Record{Turn: r.Turn, Prompt: r.Prompt, Generated: r.Generated}, x.Answer.IDs}
	switch x.Row.FinishReason.Or("") {
	case ledger.FinishStop, ledger.FinishLength, ledger.FinishToolCalls:
	default: // of an answer that was cut off, as far as it went
		n := min(len(p.now.Generated), len(p.then))
		p.now.Generated, p.then = p.now.Generated[:n], p.then[:n]
	}
	if !x.Greedy() && !slices.Equal(p.now.Generated, p.then) {
		c.sampled++
		return
	}
	c.pairs = append(c.pairs, p)
}

// tell makes problems of what differs: the first of each kind, and how many more.
func (c *comparison) tell(w *loop.Observation) {
	for _, list := range [][]string{c.prompts, c.parted} {
		if len(list) == 0 {
			continue
		}
		text := list[0]
		if n := len(list) - 1; n > 0 {
			text += fmt.Sprintf("; %d more turns like it", n)
		}
		w.Problem("%s", text)
	}
}

// answers compares those whose prompts are the recorded ones.
func (c *comparison) answers(ctx context.Context, judge loop.Judge) (*loop.Sameness, error) {
	s := &loop.Sameness{With: c.with, Turns: len(c.pairs), Sampled: c.sampled, Ties: []string{}, Wrong: []string{}}
	for i := range c.pairs {
		if err := s.Answers(ctx, &c.pairs[i].now, c.pairs[i].then, judge); err != nil {
			return nil, err
		}
	}
	return s, nil
}
