package replay

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"

	"reprise/server/api"
)

// Recording is what a file of `serve --record` holds.
type Recording struct {
	Path     string
	Requests []Request // that became turns, in the order in which they ended
	Notes    []string  // what was left out, and why
}

// Request is one that was answered.
type Request struct {
	Line int // of the file, from 1
	api.Trace
}

// Read reads a recording.
func Read(path string) (*Recording, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("the recording %s cannot be read: %w", path, errors.Unwrap(err))
	}
	defer f.Close()
	r := &Recording{Path: path}
	in := bufio.NewReaderSize(f, 1<<20)
	for n := 1; ; n++ {
		line, err := in.ReadBytes('\n')
		last := errors.Is(err, io.EOF)
		if err != nil && !last {
			return nil, fmt.Errorf("the recording %s cannot be read: %w", path, err)
		}
		if text := bytes.TrimSpace(line); len(text) > 0 {
			if bad := r.take(n, text); bad != nil && last {
				r.note(n, "is cut off: the server ended while it wrote")
			} else if bad != nil {
				return nil, fmt.Errorf("%s:%d: %w", path, n, bad)
			}
		}
		if last {
			break
		}
	}
	if len(r.Requests) == 0 {
		return nil, fmt.Errorf("%s holds no request that was answered: name a file of `reprise serve --record FILE`", path)
	}
	return r, nil
}

func (r *Recording) note(line int, format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf("line %d %s; left out", line, fmt.Sprintf(format, args...)))
}

// take reads one line.
func (r *Recording) take(n int, text []byte) error {
	x := Request{Line: n}
	if err := json.Unmarshal(text, &x.Trace); err != nil {
		return fmt.Errorf("not a request of `serve --record`: %w", err)
	}
	switch {
	case x.Path == "" && bytes.Contains(text, []byte(`"prompt_ids"`)):
		return errors.New("a turn of a run's trace.jsonl, not a request: replay takes what `serve --record FILE` wrote")
	case x.Path == "" || x.Version == 0:
		return errors.New("not a request of `serve --record`: it has no path and version")
	case x.Version > api.TraceVersion:
		return fmt.Errorf("version %d of a recording: this program reads up to %d", x.Version, api.TraceVersion)
	case !slices.Contains(api.Recorded, x.Path):
		return fmt.Errorf("path %q: none that runs turns, which are %v", x.Path, api.Recorded)
	case x.Status != http.StatusOK:
		r.note(n, "was answered %d", x.Status)
	case x.Row == nil || x.Answer == nil || len(x.Body) == 0:
		r.note(n, "became no turn")
	case !x.Row.PromptSHA256.Known():
		r.note(n, "ended before its prompt was made")
	default:
		if _, err := x.Again("", false); err != nil {
			return err
		}
		if len(x.More) > 0 {
			r.Notes = append(r.Notes, fmt.Sprintf("line %d has %d answers to one prompt: the first is asked for again", n, 1+len(x.More)))
		}
		r.Requests = append(r.Requests, x)
	}
	return nil
}

// limits are the fields that bound an answer, by path; the first is written.
var limits = map[string][]string{
	responsesPath: {"max_output_tokens"},
	"":            {"max_tokens", "max_completion_tokens"},
}

// Again is the request's body as it is sent again: to this model, unstreamed, for one answer of as many tokens as it had, and with row and
// ids of the turn in its usage.
func (x *Request) Again(model string, noReuse bool) (map[string]json.RawMessage, error) {
	var body, own map[string]json.RawMessage
	if err := json.Unmarshal(x.Body, &body); err != nil || body == nil {
		return nil, fmt.Errorf("its body is no JSON object (%.40s)", x.Body)
	}
	if raw, ok := body["reprise"]; ok {
		if err := json.Unmarshal(raw, &own); err != nil {
			return nil, fmt.Errorf("reprise in its body is no JSON object (%.40s)", raw)
		}
	}
	if own == nil {
		own = map[string]json.RawMessage{}
	}
	own["ledger"], own["ids"] = json.RawMessage("true"), json.RawMessage("true")
	if noReuse {
		own["reuse"] = json.RawMessage("false")
	}
	for _, gone := range []string{"pd", "stored"} { // of other processes that shared state with it
		delete(own, gone)
	}
	for _, gone := range []string{"stream", "stream_options", "n"} {
		delete(body, gone)
	}
	fields := limits[x.Path]
	if fields == nil {
		fields = limits[""]
	}
	for _, field := range fields {
		delete(body, field)
	}
	var err error
	put := func(key string, value any) {
		raw, bad := json.Marshal(value)
		body[key], err = raw, errors.Join(err, bad)
	}
	put(fields[0], max(1, len(x.Answer.IDs)))
	put("model", model)
	put("reprise", own)
	return body, err
}

// Greedy says whether the answer follows from the prompt alone: the request asked for no chance.
func (x *Request) Greedy() bool {
	var body struct {
		Temperature *float64 `json:"temperature"`
	}
	return json.Unmarshal(x.Body, &body) == nil && body.Temperature != nil && *body.Temperature == 0
}
