package agents

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"reprise/cmd/internal/connect"
	"reprise/cmd/internal/loop"
	"reprise/cmd/internal/loop/fixture"
	"reprise/cmd/internal/replay"
	"reprise/kvcache/ledger"
)

// Variant is a way to drive an agent.
type Variant struct {
	Name    string
	Agent   string
	Layout  string // as package loop names it
	Session string
}

// Variants are all of them. OpenClaw's last message is gone from its next prompt, whatever one does.
var Variants = []Variant{
	{"hermes-fresh", "hermes", loop.Stable, loop.Fresh},
	{"hermes-resumed", "hermes", loop.Stable, loop.Resumed},
	{"hermes-moved", "hermes", loop.Moving, loop.Fresh},
	{"openclaw-stable", "openclaw", loop.Ephemeral, loop.Resumed},
	{"openclaw-moved", "openclaw", loop.Moving, loop.Resumed},
}

// Bench measures the real agents against a server of its own. Each variant begins with an empty cache and an agent without a past.
type Bench struct {
	At       *Installed
	Binary   string   // reprise
	Flags    []string // of serve
	Turns    int      // the user's, in each variant
	Facts    loop.Facts
	Out      string // gets a folder for each variant
	Progress func(text string)
}

// Run runs one variant and writes its files.
func (b *Bench) Run(ctx context.Context, v Variant) (_ *loop.Summary, err error) {
	dir, err := os.MkdirTemp("", "reprise-agents-*") // homes, with the agents' own files
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	began, trace := time.Now(), filepath.Join(dir, "trace.jsonl")
	var log bytes.Buffer
	s, err := Serve(ctx, b.Binary, filepath.Join(dir, "reprise"), &log, append(slices.Clone(b.Flags), "--record", trace)...)
	if err != nil {
		return nil, fmt.Errorf("%w; it said:\n%s", err, &log)
	}
	records, err := b.drive(ctx, s, v, filepath.Join(dir, "home"), trace)
	if err = errors.Join(err, s.Stop()); err != nil {
		return nil, fmt.Errorf("%s: %w", v.Name, err)
	}
	o := loop.Observed{
		Options:  loop.Options{Turns: b.Turns, Layout: v.Layout, Session: v.Session, Assistant: loop.Generated, Scale: 1, Engine: loop.Ours},
		Facts:    b.Facts,
		Workload: "the real " + v.Agent + " with its own prompt and tools", DoNotClaim: "what another version of " + v.Agent + " or another setting of it would send",
		Began: began, Out: filepath.Join(b.Out, v.Name),
	}
	return o.Write(records)
}

// drive has the agent take its turns, and reads what the server recorded.
func (b *Bench) drive(ctx context.Context, s *Server, v Variant, home, trace string) ([]loop.Record, error) {
	a, err := b.agent(v, home)
	if err != nil {
		return nil, err
	}
	if err := b.connect(ctx, s, v.Agent, home); err != nil {
		return nil, err
	}
	session := ""
	for turn := range b.Turns {
		if err := documents(a.workspace, v.Layout == loop.Moving, turn); err != nil {
			return nil, err
		}
		if v.Session == loop.Fresh {
			session = ""
		}
		text := fmt.Sprintf("What does %s say about %s? Answer in one sentence.", file, titles[turn%len(titles)])
		start := time.Now()
		var out *Output
		if session, out, err = a.say(ctx, session, text); err != nil {
			return nil, fmt.Errorf("turn %d: %w", turn+1, err)
		}
		if b.Progress != nil {
			b.Progress(fmt.Sprintf("%s: turn %d of %d took %v, exit code %d", v.Name, turn+1, b.Turns, time.Since(start).Round(100*time.Millisecond), out.Code))
		}
	}
	return s.recorded(ctx, trace)
}

// agent is either of them.
type agent struct {
	workspace string // where it looks for documents
	say       func(ctx context.Context, session, text string) (string, *Output, error)
}

func (b *Bench) agent(v Variant, home string) (*agent, error) {
	if v.Agent == "hermes" {
		h, err := b.At.Hermes(home)
		return &agent{home, h.Say}, err
	}
	o, err := b.At.OpenClaw(home)
	return &agent{filepath.Join(home, ".openclaw", "workspace"), func(ctx context.Context, session, text string) (string, *Output, error) {
		if session == "" {
			session = "bench"
		}
		out, err := o.Say(ctx, session, text)
		return session, out, err
	}}, err
}

// connect writes the agent's configuration as `reprise connect` does.
func (b *Bench) connect(ctx context.Context, s *Server, name, home string) error {
	about, err := connect.Ask(ctx, s.URL, "")
	if err != nil {
		return err
	}
	a, err := connect.Find(name)
	if err != nil {
		return err
	}
	change, err := connect.Prepare(a, home, about, connect.Chat)
	if err != nil {
		return err
	}
	_, err = change.Write(time.Now())
	return err
}

// file is what both agents put into their system text.
const file = "AGENTS.md"

var titles = []string{"the river works", "the night watch", "the archive", "the bridges", "the harbour", "the observatory"}

// documents writes the file: the same sections every turn, in the same order or in another one.
func documents(dir string, moved bool, turn int) error {
	var text strings.Builder
	for i := range titles {
		if moved {
			i = (i + turn) % len(titles)
		}
		fmt.Fprintf(&text, "## About %s\n\n%s\n\n", titles[i], fixture.Embedded().Document(i+1, 900))
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, file), []byte(text.String()), 0o600)
}

// recorded makes records of what the server wrote down. The ids of a prompt are asked for again: they must be those of the row.
func (s *Server) recorded(ctx context.Context, trace string) ([]loop.Record, error) {
	recording, err := replay.Read(trace)
	if err != nil {
		return nil, err
	}
	if len(recording.Notes) > 0 {
		return nil, errors.New(recording.Notes[0])
	}
	var out []loop.Record
	for _, x := range recording.Requests {
		r := loop.Record{Turn: len(out) + 1, Conversation: x.Row.SessionID, Characters: 4 * x.Row.PromptTokensEst.Or(0), Answer: x.Answer.Text,
			Static: -1, Generated: x.Answer.IDs, Computed: x.Row.LookupHitTokens.Or(0) + x.Row.StoredTokens.Or(0), Row: *x.Row}
		if x.Static != nil {
			r.Static = *x.Static
		}
		var ids struct{ Tokens []int32 }
		if err := s.ask(ctx, "/tokenize", x.Body, &ids); err != nil {
			return nil, err
		}
		if x.Row.PromptSHA256 != ledger.Some(checksum(ids.Tokens)) {
			return nil, fmt.Errorf("turn %s: the same request gives other ids now", x.TurnID)
		}
		r.Prompt = ids.Tokens
		out = append(out, r)
	}
	return out, nil
}
