package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"reprise/cmd/internal/cachecmd"
	"reprise/cmd/internal/loop"
	"reprise/kvcache/ledger"
)

// Last names the session that was served last, in place of its id.
const Last = "last"

// Served is what a ledger has of a server's turns.
type Served struct {
	Path     string
	Rows     []ledger.Row
	Problems []ledger.Problem // lines that are no rows, skipped
}

// ReadLedger reads a segment of REPRISE_HOME/ledger, that folder, or what /v1/cache/ledger answers, written to a file.
func ReadLedger(path string) (*Served, error) {
	s := &Served{Path: path}
	info, err := os.Stat(path)
	switch {
	case err != nil:
	case info.IsDir():
		s.Rows, s.Problems, err = ledger.ReadDir(path)
	default:
		err = s.readFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("--ledger %s cannot be read: %w", path, err)
	}
	if len(s.Rows) == 0 {
		why := "there is no row in it"
		if len(s.Problems) > 0 {
			why = s.Problems[0].String()
		}
		return nil, fmt.Errorf("--ledger %s is no ledger (%s): name a file of REPRISE_HOME/ledger, that folder, or what /v1/cache/ledger answers", path, why)
	}
	return s, nil
}

func (s *Served) readFile(path string) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var answer struct {
		Rows []ledger.Row `json:"rows"`
	}
	if json.Unmarshal(raw, &answer) == nil && answer.Rows != nil {
		s.Rows = answer.Rows
		return nil
	}
	s.Rows, s.Problems, err = ledger.Read(bytes.NewReader(raw))
	for i := range s.Problems {
		s.Problems[i].File = path
	}
	return err
}

// Sessions are those with turns in them, the latest first.
func (s *Served) Sessions() []cachecmd.Session {
	return slices.DeleteFunc(cachecmd.Sessions(s.Rows), func(x cachecmd.Session) bool { return x.Turns == 0 })
}

// mostNamed sessions are named where one is not there.
const mostNamed = 5

// Find is the session of that id, or the last one.
func (s *Served) Find(id string) (string, error) {
	known := s.Sessions()
	if id == Last && len(known) > 0 {
		return known[0].ID, nil
	}
	var names []string
	for _, x := range known {
		if x.ID == id {
			return id, nil
		}
		names = append(names, x.ID)
	}
	switch n := len(names); {
	case n == 0:
		return "", fmt.Errorf("--ledger %s has no session: no turn in it looked anything up", s.Path)
	case n > mostNamed:
		names = append(names[:mostNamed], fmt.Sprintf("%d more", n-mostNamed))
	}
	return "", fmt.Errorf("--session %s is not in %s, which has %s", id, s.Path, strings.Join(names, ", "))
}

// unseen is what a ledger does not hold, for the claims.
const unseen = "a ceiling, or how exact the reused and displaced tokens are: a ledger has neither texts nor ids, so no oracle checked them, and only the rows' own identities were checked"

// Write makes a run's files of a session's turns.
func (s *Served) Write(session, dir string) (*loop.Summary, error) {
	var turns []ledger.Row
	for _, r := range s.Rows {
		if r.SessionID == session && r.Purpose == ledger.PurposeTurn {
			turns = append(turns, r)
		}
	}
	if len(turns) == 0 {
		return nil, fmt.Errorf("--session %s has no turns of its own in %s, only audits or warm-ups", session, s.Path)
	}
	slices.SortStableFunc(turns, func(a, b ledger.Row) int { return a.Time.Compare(b.Time) })
	records := make([]loop.Record, len(turns))
	for i, r := range turns {
		records[i] = loop.Record{Turn: i + 1, Conversation: session, Characters: 4 * r.PromptTokensEst.Or(0), Row: r}
	}
	o := loop.Observed{
		Options:  loop.Options{Turns: len(turns), Session: loop.Resumed, Assistant: loop.Generated, Scale: 1, Engine: loop.Ours},
		Facts:    loop.Facts{Model: turns[0].Model, Runtime: "reprise's server, " + workers(turns) + "; its version and flags are not in a ledger"},
		Workload: fmt.Sprintf("the served session %s, from %s", session, s.Path), DoNotClaim: "what another session would show", Unknown: unseen,
		Began: turns[0].Time, Ended: ended(&turns[len(turns)-1]), Out: dir,
	}
	var found []string
	for _, p := range s.Problems {
		found = append(found, p.String())
	}
	return o.Write(records, found...)
}

// ended is about when a turn did.
func ended(r *ledger.Row) time.Time {
	return r.Time.Add(time.Duration((r.TTFTMs.Or(0) + r.DecodeMs.Or(0)) * float64(time.Millisecond)))
}

// workers names the processes that served the rows.
func workers(rows []ledger.Row) string {
	var names []string
	for _, r := range rows {
		if r.Worker != "" && !slices.Contains(names, r.Worker) {
			names = append(names, r.Worker)
		}
	}
	if len(names) == 1 {
		return "process " + names[0]
	}
	return fmt.Sprintf("%d processes", len(names))
}
