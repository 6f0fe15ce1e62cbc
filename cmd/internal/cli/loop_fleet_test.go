package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"reprise/cmd/internal/loop"
	"reprise/cmd/internal/loop/oracle"
)

// Acceptance 6.1: the sessions with processes of their own, on real weights: after a restart the disk is hit, the other process's
// state comes through L2, and a prompt computed elsewhere is handed over whole, with the transfer measured.
func TestBenchLoopProcesses(t *testing.T) {
	withModel(t)
	t.Setenv(asProgram, "1") // the servers are this program
	for _, tt := range []struct {
		args  string
		check func(row *loop.Record) bool
		of    []int // turns
	}{
		{"--session restart --turns 11 --max-tokens 1", func(r *loop.Record) bool { return r.Row.L1HitTokens.Or(0) > 200 }, []int{11}},
		{"--session remote --turns 3", func(r *loop.Record) bool { return r.Row.L2HitTokens.Or(0) > 200 && r.Row.L2TransferMs.Or(0) > 0 }, []int{2}},
		{"--session pd --turns 2", func(r *loop.Record) bool {
			return r.Row.PDTransferMs.Or(0) > 0 && r.Row.L2HitTokens.Or(0) > 0 && r.Row.PrefillTokens.Or(0) == 1 && r.Prefill != nil && r.Prefill.Worker != r.Row.Worker
		}, []int{1, 2}},
	} {
		t.Run(tt.args, func(t *testing.T) {
			dir := t.TempDir()
			r := command(t, append([]string{"bench", "loop", "--device", "cpu", "--ctx", "4096", "--check", "--json", "--out", dir}, strings.Fields(tt.args)...)...)
			if r.code != 0 {
				t.Fatalf("exit code %d\n%s\n%s", r.code, r.stderr, r.stdout)
			}
			var s loop.Summary
			if err := json.Unmarshal([]byte(r.stdout), &s); err != nil {
				t.Fatal(err)
			}
			if n := len(s.Peaks.Processes); s.Status != "complete" || n != 2 || s.Peaks.MLX == nil || (s.Handover != nil) != strings.Contains(tt.args, "pd") {
				t.Errorf("%s, peaks %+v, handed over %+v", s.Status, s.Peaks, s.Handover)
			}
			records := recordsOf(t, dir)
			for _, turn := range tt.of {
				if record := &records[turn-1]; !tt.check(record) {
					t.Errorf("turn %d: %+v", turn, record.Row)
				}
			}
			if pd := records[0].Row.PDTransferMs; pd.Known() != strings.Contains(tt.args, "pd") {
				t.Errorf("pd_transfer_ms is %v", pd)
			}
		})
	}
}

func recordsOf(t *testing.T, dir string) []loop.Record {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, loop.TraceFile))
	if err != nil {
		t.Fatal(err)
	}
	var out []loop.Record
	for line := range strings.Lines(string(raw)) {
		var r loop.Record
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		out = append(out, r)
	}
	return out
}

// killer kills a process, whose pid was said, when a turn has ended.
type killer struct {
	bytes.Buffer
	t    *testing.T
	done bool
}

var pidOfB = regexp.MustCompile(`process B \(pid (\d+)\)`)

func (k *killer) Write(b []byte) (int, error) {
	n, err := k.Buffer.Write(b)
	if m := pidOfB.FindSubmatch(k.Bytes()); m != nil && !k.done && bytes.Contains(k.Bytes(), []byte("turn 3 of 9")) {
		k.done = true
		pid, bad := strconv.Atoi(string(m[1]))
		if bad == nil {
			bad = syscall.Kill(pid, syscall.SIGKILL)
		}
		if bad != nil {
			k.t.Error(bad)
		}
	}
	return n, err
}

// Acceptance 6.7: a server that dies in the middle of a run. What was measured stays, whole, and says that it is incomplete.
func TestBenchLoopServerDies(t *testing.T) {
	withModel(t)
	t.Setenv(asProgram, "1")
	dir := t.TempDir()
	var out bytes.Buffer
	said := &killer{t: t}
	code := Run(context.Background(), []string{"bench", "loop", "--session", "remote", "--turns", "9", "--max-tokens", "1", "--device", "cpu", "--ctx", "4096", "--out", dir}, strings.NewReader(""), &out, said)
	text := said.String()
	if last := text[strings.LastIndex(strings.TrimSpace(text), "\n")+1:]; code != exitError || !strings.Contains(last, "turn 4 of 9") || !strings.Contains(last, "process B ended") {
		t.Errorf("exit code %d, %s", code, text)
	}
	var s loop.Summary
	raw, err := os.ReadFile(filepath.Join(dir, loop.SummaryFile))
	if err != nil || json.Unmarshal(raw, &s) != nil || s.Status != "incomplete" || s.Turns != 3 || !strings.Contains(s.Why, "process B ended") {
		t.Errorf("%v, %s after %d turns: %s", err, s.Status, s.Turns, s.Why)
	}
	csv, err := os.ReadFile(filepath.Join(dir, loop.TurnsFile))
	if err != nil || strings.Count(string(csv), "\n") != 4 {
		t.Errorf("%v, the CSV is\n%s", err, csv)
	}
	if turns, err := oracle.Read(filepath.Join(dir, loop.TraceFile)); err != nil || len(turns) != 3 {
		t.Errorf("%v, %d turns in the trace", err, len(turns))
	}
	claims, err := os.ReadFile(filepath.Join(dir, loop.ClaimsFile))
	if err != nil || !strings.HasPrefix(string(claims), "INCOMPLETE") || !strings.Contains(string(claims), "supports:\n  nothing\n") {
		t.Errorf("%v, the claims are\n%s", err, claims)
	}
}
