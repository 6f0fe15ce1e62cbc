package cli

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"reprise/cmd/reprise/guide"
	"reprise/kvcache/ledger"
	"reprise/server/api/wire/wiretest"
	"reprise/server/engine"
	"reprise/server/metrics"
)

// ourMetrics are the lines of /metrics of a server on which everything was counted.
func ourMetrics(t *testing.T) string {
	t.Helper()
	e := wiretest.New(nil)
	h := metrics.Handler(e)
	for _, p := range []ledger.Purpose{ledger.PurposeTurn, ledger.PurposeAudit} {
		row := e.Finish(engine.Request{TurnID: "turn_x", Purpose: p}, "x", 3).Row
		fields := reflect.ValueOf(&row).Elem()
		for i := range fields.NumField() {
			switch f := fields.Field(i).Addr().Interface().(type) {
			case *ledger.Opt[int64]:
				*f = ledger.Some(int64(1))
			case *ledger.Opt[float64]:
				*f = ledger.Some(1.0)
			}
		}
		if row.Audit = ledger.Some(ledger.AuditMatch); p == ledger.PurposeTurn {
			row.Audit = ledger.Opt[ledger.Audit]{}
		}
		e.Ledger().Record(row)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return w.Body.String()
}

// theirMetrics are the pages of other servers that are kept here, and what their source declares, by whose column it is.
func theirMetrics(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for engine, pattern := range map[string]string{"vLLM": "vllm-*.txt", "SGLang": "sglang-*.tsv", "LMCache MP": "*lmcache*.txt"} {
		files, err := filepath.Glob(filepath.Join(packageDir, "../engines/testdata", pattern))
		if err != nil || len(files) == 0 {
			t.Fatal(engine, err, files)
		}
		for _, file := range files {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			out[engine] += string(raw)
		}
	}
	return out
}

var (
	metricName = regexp.MustCompile("`([a-z_]+:?[a-z_0-9]*)(?:\\{(\\w+=\"\\w+\")\\})?`")
	ourName    = regexp.MustCompile(`(?m)^# TYPE (reprise_\w+)`)
)

// Every name in the guide's table of metrics is one that its server has, with the label that it is given there; and every one of ours is
// in the table.
func TestTheGuidesMetrics(t *testing.T) {
	chapter, err := guide.Find("counters")
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(chapter.Text, "| here | vLLM | SGLang | LMCache MP |")
	if !ok {
		t.Fatal("the chapter has no table of metrics")
	}
	pages := theirMetrics(t)
	pages["here"] = ourMetrics(t)
	columns := []string{"here", "vLLM", "SGLang", "LMCache MP"}
	named, rows := map[string]bool{}, 0
	for line := range strings.Lines(table) {
		if !strings.HasPrefix(line, "| `") {
			if rows > 0 {
				break
			}
			continue
		}
		rows++
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != len(columns) {
			t.Fatalf("%d cells in %q", len(cells), line)
		}
		for i, cell := range cells {
			for _, m := range metricName.FindAllStringSubmatch(cell, -1) {
				name, label := m[1], m[2]
				if i > 0 && !strings.ContainsAny(name, ":") && !strings.HasPrefix(name, "lmcache_") || i == 0 && !strings.HasPrefix(name, "reprise_") {
					continue // a label
				}
				named[name] = true
				has := strings.Contains(pages[columns[i]], "# TYPE "+name+" ") || strings.Contains(pages[columns[i]], "\t"+name+"\t")
				if label != "" {
					has = has && regexp.MustCompile(`(?m)^`+name+`\{[^}]*`+label).MatchString(pages[columns[i]])
				}
				if !has {
					t.Errorf("%s has no %s %s", columns[i], name, label)
				}
			}
		}
	}
	ours := ourName.FindAllStringSubmatch(pages["here"], -1)
	for _, m := range ours {
		if !named[m[1]] {
			t.Errorf("%s is not in the guide's table", m[1])
		}
	}
	if rows < 25 || len(ours) < 50 {
		t.Errorf("%d rows, %d names of ours", rows, len(ours))
	}
}
