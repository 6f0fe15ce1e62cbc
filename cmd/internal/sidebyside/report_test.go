package sidebyside

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func sample(t *testing.T) *Report {
	t.Helper()
	r, err := Read(filepath.Join("testdata", "report.json"))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestReportIsWrittenAsItWasRead(t *testing.T) {
	out := filepath.Join(t.TempDir(), "new", "report.json")
	if err := sample(t).Write(out); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(out)
	if err != nil || !bytes.Equal(got, fixture(t, "report.json")) {
		t.Errorf("%v\n%s", err, got)
	}
	if err := (&Report{Method: []string{}}).Write(out); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(out); err != nil {
		t.Errorf("a report without figures: %v", err)
	}
}

func TestFilesThatAreNoReport(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"no.json": "{", "unknown.json": `{"series":[{"metric":"beauty","engine":"reprise","rounds":[1]}]}`, "empty.json": `{"series":[{"metric":"decode","engine":"reprise"}]}`,
	} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(file); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFiguresOfRoundsAreKeptTogether(t *testing.T) {
	r := &Report{}
	r.add("decode", "0", Ours, 1.23456)
	r.add("decode", "0", LlamaCPP, 2)
	r.add("decode", "512", Ours, 3)
	r.add("decode", "0", Ours, 4)
	if got := r.rounds("decode", "0", Ours); len(got) != 2 || got[0] != 1.235 || got[1] != 4 {
		t.Errorf("%v", got)
	}
	if ratio, ok := r.ratio("decode", "0", LlamaCPP); !ok || ratio != (1.235+4)/2/2 {
		t.Errorf("ratio %v, %v", ratio, ok)
	}
	if _, ok := r.ratio("decode", "512", LlamaCPP); ok {
		t.Error("what was not measured has a ratio")
	}
}

// Medians and ranges worked out by hand: prefill 600, 620, 1580.4 → 620; 620/500 = 1.24, 620/124 = 5.
const wantText = `AMD EPYC, 2 cores, 25.0 GB, Debian 12, amd64
gemma-3-270m, reprise abc1234, MLX 0.32.2, go1.26, linux/amd64, 2026-11-25
reprise abc1234; gemma-3-270m; server: reprise serve
llama.cpp of llama-cpp-python 0.3.36; gemma-3-270m-q4_k_m.gguf; server: llama-server
mlx-lm 0.32.2; widened; server: serve
2 threads each, 3 rounds in turns, medians (lowest–highest), ratios of medians
other processes used 0.25 cores and other virtual machines 0.02 in the busiest round
a method
something was left out

prefill, tok/s | reprise | llama.cpp | mlx-lm | ÷ llama.cpp | ÷ mlx-lm
512 tokens | 620.0 (600.0–1,580) | 500.0 | 124.0 | 1.24 | 5.00

decode, tok/s | reprise | llama.cpp | mlx-lm | ÷ llama.cpp | ÷ mlx-lm
empty context | 60.0 (55.0–66.0) | 50.0 (40.0–60.0) | – | 1.20
512 tokens | 49.0 (10.0–49.5) | 50.0 (40.0–60.0) | – | 0.98

server: first text, ms | reprise | llama.cpp | mlx-lm | ÷ llama.cpp | ÷ mlx-lm
cold | 1,100 (1,000–1,200) | 2,200 (2,200–2,300) | – | 0.50

server: reused tokens | reprise | llama.cpp | mlx-lm
cold | 1 | 0 | –

server: prompt tokens | reprise | llama.cpp | mlx-lm
cold | 2,050 | – | –

server: peak memory, MB | reprise | llama.cpp | mlx-lm | ÷ llama.cpp | ÷ mlx-lm
400 (390–410) | 500 | – | 0.80
`

func TestTextTable(t *testing.T) {
	var b bytes.Buffer
	if err := sample(t).WriteText(&b); err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for line := range strings.Lines(b.String()) { // columns are two spaces apart, or more
		var cells []string
		for cell := range strings.SplitSeq(strings.TrimSpace(line), "  ") {
			if cell = strings.TrimSpace(cell); cell != "" {
				cells = append(cells, cell)
			}
		}
		got.WriteString(strings.Join(cells, " | ") + "\n")
	}
	if got.String() != wantText {
		t.Errorf("got\n%s\nwant\n%s", got.String(), wantText)
	}
}

const wantSection = `<!-- bench:begin some/file.json -->
AMD EPYC, 2 cores, 25.0 GB, Debian 12, amd64; gemma-3-270m; reprise abc1234, MLX 0.32.2, go1.26, linux/amd64, 2026-11-25; 2 threads each, 3 rounds in turns, medians (lowest–highest), ratios of medians.

| | | reprise | llama.cpp | mlx-lm | ÷ llama.cpp | ÷ mlx-lm |
|---|---|--:|--:|--:|--:|--:|
| prefill, tok/s | 512 tokens | 620.0 (600.0–1,580) | 500.0 | 124.0 | 1.24 | 5.00 |
| decode, tok/s | empty context | 60.0 (55.0–66.0) | 50.0 (40.0–60.0) | – | 1.20 |  |
|  | 512 tokens | 49.0 (10.0–49.5) | 50.0 (40.0–60.0) | – | 0.98 |  |
| server: first text, ms (less is better) | cold | 1,100 (1,000–1,200) | 2,200 (2,200–2,300) | – | 0.50 |  |
| server: reused tokens | cold | 1 | 0 | – |  |  |
| server: peak memory, MB (less is better) |  | 400 (390–410) | 500 | – | 0.80 |  |

* reprise abc1234; gemma-3-270m; server: ` + "`reprise serve`" + `
* llama.cpp of llama-cpp-python 0.3.36; gemma-3-270m-q4_k_m.gguf; server: ` + "`llama-server`" + `
* mlx-lm 0.32.2; widened; server: ` + "`serve`" + `
* other processes used 0.25 cores and other virtual machines 0.02 in the busiest round
* a method
* something was left out
<!-- bench:end -->
`

func TestSection(t *testing.T) {
	if got := sample(t).Section("some/file.json"); got != wantSection {
		t.Errorf("got\n%s\nwant\n%s", got, wantSection)
	}
}

// The README's table is what its file gives: the marker names it.
func TestReadmeTable(t *testing.T) {
	const root = "../../.."
	b, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(b), Begin)
	source, rest, named := strings.Cut(rest, " -->\n")
	section, _, ended := strings.Cut(rest, End+"\n")
	if !found || !named || !ended {
		t.Fatalf("README.md has no %s… and %s", Begin, End)
	}
	if source == "none" {
		t.Skip("README.md names no file of `make bench` yet")
	}
	r, err := Read(filepath.Join(root, source))
	if err != nil {
		t.Fatal(err)
	}
	if want := r.Section(source); Begin+source+" -->\n"+section+End+"\n" != want {
		t.Errorf("README.md differs from %s; `reprise bench peers --readme %s` prints\n%s", source, source, want)
	}
}
