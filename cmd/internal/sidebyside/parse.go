package sidebyside

import (
	"encoding/json"
	"fmt"

	"reprise/cmd/internal/console"
	"reprise/cmd/internal/speed"
)

// readOurs reads what `reprise bench speed --json` prints for one length.
func readOurs(out []byte, s *speeds) error {
	var r speed.Report
	if err := decode(out, &r); err != nil {
		return err
	}
	if len(r.Points) != 1 {
		return fmt.Errorf("it printed %d points instead of one", len(r.Points))
	}
	s.prefill, s.decode = r.Points[0].PrefillTPS, r.Points[0].DecodeTPS
	return nil
}

// readLlamaBench reads what `llama-bench -o json` prints for one test, which is a prompt or a generation. Its
// generation computes one token at a time and reads each result, like ours, but samples none.
func readLlamaBench(out []byte, s *speeds) error {
	var tests []struct {
		Prompt int     `json:"n_prompt"`
		Gen    int     `json:"n_gen"`
		Rate   float64 `json:"avg_ts"`
	}
	if err := decode(out, &tests); err != nil {
		return err
	}
	if len(tests) != 1 {
		return fmt.Errorf("it printed %d tests instead of one", len(tests))
	}
	switch t := tests[0]; {
	case t.Prompt > 0 && t.Gen == 0:
		s.prefill = t.Rate
	case t.Gen > 0 && t.Prompt == 0:
		s.decode = t.Rate
	default:
		return fmt.Errorf("it tested a prompt of %d and a generation of %d tokens at once", t.Prompt, t.Gen)
	}
	return nil
}

// readMLXLM reads the line of model/parity/bench_mlx_lm.py.
func readMLXLM(out []byte, s *speeds) error {
	var line struct {
		Prefill float64 `json:"prefill_tps"`
		Decode  float64 `json:"decode_tps"`
	}
	if err := decode(out, &line); err != nil {
		return err
	}
	s.prefill, s.decode = line.Prefill, line.Decode
	return nil
}

func decode(out []byte, v any) error {
	if err := json.Unmarshal(out, v); err != nil {
		return fmt.Errorf("its output cannot be read (%w): %.200s", err, console.OneLine(string(out)))
	}
	return nil
}
