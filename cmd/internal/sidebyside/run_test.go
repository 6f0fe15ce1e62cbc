package sidebyside

import (
	"context"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func countWords(text string) (int, error) { return len(strings.Fields(text)), nil }

func TestLibrariesTakeTurns(t *testing.T) {
	setup, log := fakes(t)
	b := Bench{Setup: setup, Count: countWords}
	r, err := b.Measure(context.Background(), Options{Engines: Engines, Parts: []string{Libraries}, Contexts: []int{0, 64, 4096}, Gen: 8, Tokens: 300, Rounds: 2})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"reprise 1 8 threads 3", "llama.cpp -p 0 -n 8 -d 0 threads 3", "mlx-lm 1 8 threads 3",
		"reprise 64 8 threads 3", "llama.cpp -p 64 -n 0 -d  threads 3", "llama.cpp -p 0 -n 8 -d 64 threads 3", "mlx-lm 64 8 threads 3",
		"reprise 4096 8 threads 3", "llama.cpp -p 4096 -n 0 -d  threads 3", "llama.cpp -p 0 -n 8 -d 4096 threads 3",
		// The next round begins with the next engine.
		"llama.cpp -p 0 -n 8 -d 0 threads 3", "mlx-lm 1 8 threads 3", "reprise 1 8 threads 3",
		"llama.cpp -p 64 -n 0 -d  threads 3", "llama.cpp -p 0 -n 8 -d 64 threads 3", "mlx-lm 64 8 threads 3", "reprise 64 8 threads 3",
		"llama.cpp -p 4096 -n 0 -d  threads 3", "llama.cpp -p 0 -n 8 -d 4096 threads 3", "reprise 4096 8 threads 3",
	}
	if got := log(); !slices.Equal(got, want) {
		t.Errorf("ran\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if got := r.rounds("prefill", "0", Ours); got != nil {
		t.Errorf("an empty context has a prefill speed of %v", got)
	}
	for _, tt := range []struct {
		metric, at, engine string
		want               []float64
	}{
		{"decode", "0", Ours, []float64{10, 10}}, {"prefill", "64", LlamaCPP, []float64{50, 50}}, {"decode", "4096", LlamaCPP, []float64{50, 50}},
		{"prefill", "64", MLXLM, []float64{20, 20}}, {"decode", "4096", MLXLM, nil},
	} {
		if got := r.rounds(tt.metric, tt.at, tt.engine); !slices.Equal(got, tt.want) {
			t.Errorf("%s at %s of %s: %v, want %v", tt.metric, tt.at, tt.engine, got, tt.want)
		}
	}
	if len(r.LeftOut) != 1 || !strings.Contains(r.LeftOut[0], "mlx-lm: contexts above 2,048") {
		t.Errorf("left out: %q", r.LeftOut)
	}
	if len(r.Others) != 2 || len(r.Engines) != 3 || r.Engines[2].Version != "mlx-lm 7" {
		t.Errorf("%+v", r)
	}
}

// One conversation with each server, and what its prompts have to do with each other.
func TestServersAreLedThroughOneConversation(t *testing.T) {
	setup, log := fakes(t)
	b := Bench{Setup: setup, Count: countWords}
	r, err := b.Measure(context.Background(), Options{Engines: Engines, Parts: []string{Servers}, Gen: 8, Tokens: 300, Rounds: 1})
	if err != nil {
		t.Fatal(err)
	}
	prompts := map[string][]string{}
	for _, line := range log() {
		name, rest, _ := strings.Cut(line, " ")
		model, quoted, _ := strings.Cut(rest, " ")
		if want := map[string]string{Ours: "own-name", LlamaCPP: "any", MLXLM: "default_model"}[name]; model != want {
			t.Errorf("%s was asked for the model %s, want %s", name, model, want)
		}
		var prompt string
		if err := json.Unmarshal([]byte(quoted), &prompt); err != nil {
			t.Fatal(err)
		}
		prompts[name] = append(prompts[name], prompt)
	}
	p := prompts[Ours]
	if len(p) != 14 || !slices.Equal(p, prompts[LlamaCPP]) || !slices.Equal(p, prompts[MLXLM]) {
		t.Fatalf("%d prompts to reprise, %d to llama.cpp, %d to mlx-lm; they must be the same 14", len(p), len(prompts[LlamaCPP]), len(prompts[MLXLM]))
	}
	checkConversation(t, p)
	checkFigures(t, r, p)
}

func checkConversation(t *testing.T, p []string) {
	t.Helper()
	cold, again, longer, edited, longest := p[1], p[2], p[3], p[4], p[5]
	if n, _ := countWords(cold); n < 300 || n > 400 {
		t.Errorf("the conversation has %d words, want 300 and a few", n)
	}
	if p[0] != greeting || p[12] != greeting || again != cold || p[13] != longest {
		t.Error("greeting, second time, or the prompt after the restart is another one")
	}
	if !strings.HasPrefix(longer, cold+" two words\nUser: ") || !strings.HasPrefix(longest, longer+" two words\nUser: ") {
		t.Error("appending is not prompt + answer + message")
	}
	same := 0
	for same < len(cold) && cold[same] == edited[same] {
		same++
	}
	if same < len(cold)*2/5 || same > len(cold)*3/5 || cold[len(cold)*3/4:] != strings.TrimSuffix(edited, " ")[len(edited)-1-(len(cold)-len(cold)*3/4):] {
		t.Errorf("the edit begins at byte %d of %d, or reaches the end", same, len(cold))
	}
	for i := 6; i < 12; i++ {
		if i < 8 {
			if n, _ := countWords(p[i]); n < 150 || n > 230 {
				t.Errorf("session %d has %d words, want 150 and a few", i-5, n)
			}
		} else if !strings.HasPrefix(p[i], p[i-2]+" two words\nUser: ") {
			t.Errorf("prompt %d does not continue its own session", i)
		}
	}
	if strings.HasPrefix(p[7], p[6][:40]) || strings.HasPrefix(p[6], cold[:40]) {
		t.Error("sessions begin alike")
	}
}

func checkFigures(t *testing.T, r *Report, p []string) {
	t.Helper()
	if want := []string{cold, warm, appended, edit, branch, interleaved, restarted}; !slices.Equal(r.places("ttft"), want) {
		t.Errorf("steps %v, want %v", r.places("ttft"), want)
	}
	words := func(i int) float64 { n, _ := countWords(p[i]); return float64(n) }
	for _, tt := range []struct {
		metric, at string
		want       float64
	}{
		{"prompt", cold, words(1)}, {"prompt", branch, words(5)}, {"prompt", interleaved, words(11)}, {"prompt", restarted, words(5)},
		{"reused", warm, words(1)}, {"reused", appended, words(1) + 2}, {"own-load", "", 12.5},
	} {
		if got := r.rounds(tt.metric, tt.at, Ours); len(got) != 1 || got[0] != tt.want {
			t.Errorf("%s at %q: %v, want %v", tt.metric, tt.at, got, tt.want)
		}
	}
	for _, engine := range Engines {
		if r.rounds("first", "", engine) == nil || r.rounds("answer", cold, engine) == nil {
			t.Errorf("%s lacks figures", engine)
		}
		if _, err := os.Stat("/proc/self/status"); err == nil && r.rounds("memory", "", engine)[0] < r.rounds("anonymous", "", engine)[0] {
			t.Errorf("%s: the peak of memory is below a part of it", engine)
		}
	}
	if r.rounds("load", "", Ours) == nil || r.rounds("load", "", MLXLM) != nil || len(r.LeftOut) != 1 {
		t.Errorf("a server that is healthy before it has loaded has a load time, or nothing says why it has none: %v", r.LeftOut)
	}
}

func TestWhatIsMissingIsNamed(t *testing.T) {
	setup, _ := fakes(t)
	setup.GGUF += ".not"
	o := Options{Engines: []string{LlamaCPP}, Parts: Parts, Contexts: []int{0}, Gen: 8, Tokens: 300, Rounds: 1}
	if _, err := (&Bench{Setup: setup}).Measure(context.Background(), o); err == nil || !strings.Contains(err.Error(), setup.GGUF) || !strings.Contains(err.Error(), "make bench") {
		t.Errorf("%v", err)
	}
}

func TestAServerThatEndsIsQuoted(t *testing.T) {
	e := &engine{name: "x", server: func(int) command {
		return command{path: "/bin/sh", args: []string{"-c", "echo the port is cursed >&2; exit 3"}}
	}}
	p, err := e.start(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop()
	if _, err := p.ready(context.Background()); err == nil || !strings.Contains(err.Error(), "the port is cursed") || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("%v", err)
	}
}

func TestAProgramThatFailsIsQuoted(t *testing.T) {
	_, err := command{path: "/bin/sh", args: []string{"-c", "echo no such model >&2; exit 1"}}.output(context.Background())
	if err == nil || !strings.Contains(err.Error(), "no such model") {
		t.Errorf("%v", err)
	}
}

func TestStreamsThatSayNothing(t *testing.T) {
	for _, tt := range []struct{ stream, want string }{
		{"", "no text"}, {"data: {\"choices\":[{\"text\":\"\"}]}\n", "no text"}, {"data: {\n", "the stream holds"},
		{"data: {\"error\":{\"message\":\"too long\"}}\n", "too long"},
	} {
		if _, err := readStream(strings.NewReader(tt.stream), func() time.Duration { return 1 }); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v, want %q", tt.stream, err, tt.want)
		}
	}
}
