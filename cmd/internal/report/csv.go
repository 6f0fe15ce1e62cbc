package report

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
)

// proxy are the article's columns, under the row's names. Theirs are estimates.
var proxy = map[string]string{
	"vllm_l0_prefix_hit_tokens_est": "l0_hit_tokens",
	"lmcache_mp_l1_hit_tokens_est":  "l1_hit_tokens",
	"remote_or_l2_hit_tokens_est":   "l2_hit_tokens",
	"lookup_requested_tokens_est":   "prompt_tokens",
	"lookup_hit_tokens_est":         "lookup_hit_tokens",
	"recompute_tokens_est":          "recompute_tokens",
	"pd_transfer_ms_proxy":          "pd_transfer_ms",
}

// line is one of a CSV by column name.
type line struct {
	file   string
	number int
	cells  map[string]string
	err    error // the first cell that is not what it should be
}

func (l *line) number64(name string) *float64 {
	text := l.cells[name]
	if text == "" {
		return nil
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || !(v >= 0) || math.IsInf(v, 0) {
		if l.err == nil {
			l.err = fmt.Errorf("%s:%d: %s is %q, not a number from 0 up", l.file, l.number, name, text)
		}
		return nil
	}
	return &v
}

// readCSV reads the turns.
func (r *Run) readCSV(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("%s is no run: %w", r.Path, err)
	}
	defer f.Close()
	in := csv.NewReader(f)
	header, err := in.Read()
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%s is empty: it has not even a header", path)
	}
	if err != nil {
		return fmt.Errorf("%s is no CSV: %w", path, err)
	}
	names, err := r.names(path, header)
	if err != nil {
		return err
	}
	for {
		cells, err := in.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s is no CSV: %w", path, err)
		}
		at, _ := in.FieldPos(0)
		l := &line{file: path, number: at, cells: make(map[string]string, len(cells))}
		for i, cell := range cells {
			l.cells[names[i]] = cell
		}
		t := l.turn(len(r.Turns) + 1)
		if l.err != nil {
			return l.err
		}
		if r.Estimated {
			t.estimated()
		}
		r.Turns = append(r.Turns, t)
	}
}

// names are the columns under the row's names.
func (r *Run) names(path string, header []string) ([]string, error) {
	header[0] = strings.TrimPrefix(header[0], "\ufeff")
	names := slices.Clone(header)
	for i, name := range header {
		if as, ok := proxy[name]; ok {
			names[i] = as
			r.Estimated = true
			r.Evidence = append(r.Evidence, Pair{name, "estimated"})
		}
	}
	if slices.Contains(header, "turn_id") {
		if r.Estimated {
			return nil, fmt.Errorf("%s has both turn_id and the article's _est columns: whose is it?", path)
		}
		return names, nil
	}
	if !r.Estimated {
		return nil, fmt.Errorf("%s is not a run's CSV: it has neither turn_id nor one of the article's _est columns", path)
	}
	return names, nil
}

func (l *line) turn(number int) Turn {
	n := l.number64
	return Turn{
		Number: number, ID: l.cells["turn_id"], Model: l.cells["model"],
		Prompt: n("prompt_tokens"), Hit: n("lookup_hit_tokens"), L0: n("l0_hit_tokens"), L1: n("l1_hit_tokens"), L2: n("l2_hit_tokens"),
		Recompute: n("recompute_tokens"), New: n("new_tokens"), Displaced: n("displaced_tokens"), PaidAgain: n("paid_again_tokens"), Prefill: n("prefill_tokens"),
		TTFT: n("ttft_ms"), PrefillTPS: n("prefill_tps"), DecodeTPS: n("decode_tps"),
		Footprint: n("footprint_peak_bytes"), MLXPeak: n("mlx_peak_bytes"), Transfer: n("pd_transfer_ms"), L2Transfer: n("l2_transfer_ms"),
		Miss: l.cells["miss_reason"], LimitedBy: l.cells["limited_by"], DivergedIn: l.cells["diverged_in"], DivergedAt: n("diverged_at"),
		Finish: l.cells["finish_reason"], Identity: l.cells["identity_error"], Evidence: l.cells["evidence"], Checksum: l.cells["prompt_sha256"],
	}
}

// estimated completes a line of the article: what is neither a hit nor recomputed is new, where the three can add up to
// the prompt, and all that it recomputes is paid for again.
func (t *Turn) estimated() {
	t.PaidAgain = t.Recompute
	if t.Prompt == nil || t.Hit == nil || t.Recompute == nil {
		return
	}
	if rest := *t.Prompt - *t.Hit - *t.Recompute; rest >= 0 {
		t.New = &rest
	}
}
