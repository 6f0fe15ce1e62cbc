package ledger

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// warmTurn is a turn that holds every identity: 100 tokens asked, 80 matched, 70 had, 30 paid for.
func warmTurn() Row {
	return Row{
		TurnID: "t2", SessionID: "s1", ParentTurnID: Some("t1"),
		Time:  time.Date(2026, 3, 4, 5, 6, 7, 89_000_000, time.UTC),
		Model: "gemma-3-270m", Purpose: PurposeTurn, Worker: "w1",
		Evidence:     EvidenceMap{"prompt_tokens_est": Estimated, "footprint_peak_bytes": Sampled},
		PromptTokens: Some(100), PromptTokensEst: Some(110), LookupRequestedTokens: Some(100),
		MatchedTokens: Some(80), LookupHitTokens: Some(70), LowerHitTokens: Some(20),
		L0HitTokens: Some(50), L1HitTokens: Some(15), L2HitTokens: Some(5),
		RecomputeTokens: Some(10), NewTokens: Some(20), DisplacedTokens: Some(8), PaidAgainTokens: Some(18),
		PrefillTokens: Some(30), UnprefilledTokens: Some(0), GeneratedTokens: Some(7),
		LimitedBy: Some(LimitSliding), MissReason: Some(MissNoSnapshot),
		DivergedAt: Some(80), DivergedIn: Some("message 3 user"), MatchedPath: NodePath{1, 4, 9},
		PrefillMs: Ms(12345 * time.Microsecond), PrefillTPS: Some(30 / 0.012345), TTFTMs: Some(20.5),
		KVLiveBytes: Some(int64(1 << 33)), ConcurrentTurns: Some(1), BatchWidth: Some(1),
		FinishReason: Some(FinishStop), PromptSHA256: Some("<ab&cd>"),
	}
}

func TestColumnsAreTheContract(t *testing.T) {
	text, err := os.ReadFile("../../../shared/interface.md")
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("../shared is not beside this checkout: the contract cannot be compared")
	}
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(text), "## The ledger row")
	if !ok {
		t.Fatal("interface.md has no section on the ledger row")
	}
	section, _, _ = strings.Cut(section[strings.IndexByte(section, '\n'):], "\nWith reuse off")

	// Names stand between backticks, apart from those in parentheses, which explain.
	section = regexp.MustCompile(`\([^)]*\)`).ReplaceAllString(section, "")
	var want []string
	for _, quoted := range regexp.MustCompile("`([^`]*)`").FindAllStringSubmatch(section, -1) {
		for _, name := range strings.Split(quoted[1], ",") {
			if name = strings.TrimSpace(name); name != "" {
				want = append(want, name)
			}
		}
	}
	if got := Columns(); !slices.Equal(got, want) {
		t.Errorf("columns\n%q\nwant those of interface.md\n%q", got, want)
	}
}

func TestGolden(t *testing.T) {
	got, err := encode(warmTurn())
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/row.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("row prints\n%swant\n%s", got, want)
	}
	rows, problems, err := Read(bytes.NewReader(want))
	if err != nil || len(problems) > 0 || len(rows) != 1 {
		t.Fatalf("golden row read as %d rows, %v, %v", len(rows), problems, err)
	}
	if !reflect.DeepEqual(rows[0], warmTurn()) {
		t.Errorf("read back\n%+v\nwant\n%+v", rows[0], warmTurn())
	}
}

func TestNotMeasuredIsNull(t *testing.T) {
	line, err := encode(Row{})
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(line, &fields); err != nil {
		t.Fatal(err)
	}
	plain := map[string]any{
		"turn_id": "", "session_id": "", "time": "0001-01-01T00:00:00Z", "model": "", "purpose": "", "worker": "",
		"evidence": map[string]any{},
	}
	for _, name := range Columns() {
		got, there := fields[name]
		if want := plain[name]; !there || !reflect.DeepEqual(got, want) {
			t.Errorf("%s of an empty row = %v (there: %v), want %v", name, got, there, want)
		}
	}
}

func TestNumberThatJSONCannotHold(t *testing.T) {
	r := warmTurn()
	r.PrefillTPS, r.DecodeTPS = Some(math.Inf(1)), Some(math.NaN())
	r = Seal(r)
	line, err := encode(r)
	if err != nil {
		t.Fatalf("the row is lost: %v", err)
	}
	if !bytes.Contains(line, []byte(`"prefill_tps":null,"decode_tps":null`)) {
		t.Errorf("row prints %s", line)
	}
	if got, want := r.IdentityError.Or(""), "prefill_tps is +Inf; decode_tps is NaN"; got != want {
		t.Errorf("identity error %q, want %q", got, want)
	}
}

func TestCSV(t *testing.T) {
	broken := Seal(func() Row { r := warmTurn(); r.NewTokens = Some(21); return r }())
	var b bytes.Buffer
	if err := WriteCSV(&b, []Row{warmTurn(), broken, {}}); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(b.String(), "\n"); n != 4 {
		t.Errorf("%d lines for a header and three rows", n)
	}
	lines, err := csv.NewReader(&b).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(lines[0], Columns()) {
		t.Errorf("header %v", lines[0])
	}
	cell := func(line int, name string) string { return lines[line][slices.Index(lines[0], name)] }
	for _, tt := range []struct {
		line       int
		name, want string
	}{
		{1, "turn_id", "t2"},
		{1, "time", "2026-03-04T05:06:07.089Z"},
		{1, "purpose", "turn"},
		{1, "evidence", `{"footprint_peak_bytes":"sampled","prompt_tokens_est":"estimated"}`},
		{1, "identity_error", ""},
		{1, "prompt_tokens", "100"},
		{1, "unprefilled_tokens", "0"}, // measured: not empty
		{1, "stored_tokens", ""},       // not measured
		{1, "limited_by", "sliding"},
		{1, "diverged_in", "message 3 user"},
		{1, "matched_path", "[1,4,9]"},
		{1, "prefill_ms", "12.345"},
		{1, "kv_live_bytes", "8589934592"},
		{2, "identity_error", broken.IdentityError.Or("none")},
		{3, "evidence", ""},
		{3, "matched_path", ""},
		{3, "prompt_tokens", ""},
	} {
		if got := cell(tt.line, tt.name); got != tt.want {
			t.Errorf("line %d: %s = %q, want %q", tt.line, tt.name, got, tt.want)
		}
	}
}

func TestSealSharesNothing(t *testing.T) {
	r := warmTurn()
	r.IdentityError = Some("stale")
	sealed := Seal(r)
	r.Note(Derived, "ttft_ms")
	if _, there := sealed.Evidence["ttft_ms"]; there {
		t.Error("a note after the seal shows in the sealed row")
	}
	if sealed.IdentityError.Known() {
		t.Errorf("a whole row keeps identity_error %q", sealed.IdentityError.Or(""))
	}
	var empty Row
	empty.Note(Derived, "recompute_tokens", "new_tokens")
	if len(empty.Evidence) != 2 {
		t.Errorf("evidence %v", empty.Evidence)
	}
}
