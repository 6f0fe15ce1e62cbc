package sidebyside

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The test binary plays every engine's programs when it is called by their names: what the commands say is tested
// with the rest. Each call and each prompt is a line of the file that this variable names.
const fakeLog = "SIDEBYSIDE_FAKE_LOG"

func TestMain(m *testing.M) {
	if os.Getenv(fakeLog) != "" && !strings.HasSuffix(os.Args[0], ".test") {
		fake(filepath.Base(os.Args[0]), os.Args[1:])
		return
	}
	os.Exit(m.Run())
}

// fakes is a set-up of such programs.
func fakes(t *testing.T) (s Setup, log func() []string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, name := range []string{"reprise", "peers/llama.cpp/bin/llama-bench", "peers/llama.cpp/bin/llama-server", "peers/mlx-lm/mlx-lm-bench", "peers/mlx-lm/mlx-lm-server"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(self, path); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"model/config.json", "model.gguf", "peers/mlx-lm/VERSION"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("mlx-lm 7\nmore\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "log")
	t.Setenv(fakeLog, file)
	return Setup{Reprise: filepath.Join(dir, "reprise"), Peers: filepath.Join(dir, "peers"), Model: filepath.Join(dir, "model"),
			GGUF: filepath.Join(dir, "model.gguf"), Home: dir, Threads: 3}, func() []string {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
		}
}

// fake is what the program of that name does.
func fake(name string, args []string) {
	value := func(flag string) string {
		i := slices.Index(args, flag)
		if i < 0 {
			return ""
		}
		return args[i+1]
	}
	switch {
	case name == "reprise" && args[0] == "bench":
		note("%s %s %s threads %s", Ours, value("--prompt"), value("--gen"), value("--threads"))
		fmt.Printf(`{"points":[{"prefill_tps":100,"decode_tps":10}]}`)
	case name == "llama-bench":
		note("%s -p %s -n %s -d %s threads %s", LlamaCPP, value("-p"), value("-n"), value("-d"), value("-t"))
		fmt.Printf(`[{"n_prompt":%s,"n_gen":%s,"avg_ts":%d}]`, value("-p"), value("-n"), 50)
	case name == "mlx-lm-bench":
		note("%s %s %s threads %s", MLXLM, value("--prompt"), value("--gen"), os.Getenv("OPENBLAS_NUM_THREADS"))
		fmt.Printf(`{"prefill_tps":20,"decode_tps":2}`)
	case name == "reprise" && args[0] == "serve":
		fakeServer(Ours, value("--addr"))
	case name == "llama-server":
		fakeServer(LlamaCPP, value("--host")+":"+value("--port"))
	case name == "mlx-lm-server":
		fakeServer(MLXLM, value("--host")+":"+value("--port"))
	}
}

func note(format string, args ...any) {
	f, err := os.OpenFile(os.Getenv(fakeLog), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		panic(err)
	}
	fmt.Fprintf(f, format+"\n", args...)
	f.Close()
}

// fakeServer answers two words, counts a prompt's words as its tokens, and reuses the longest common beginning of this
// prompt and the one before, in words. It writes each prompt down.
func fakeServer(name, addr string) {
	var last []string
	http.HandleFunc("GET /health", func(http.ResponseWriter, *http.Request) {})
	http.HandleFunc("GET /v1/models", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, `{"data":[{"id":"own-name"}]}`) })
	http.HandleFunc("POST /v1/completions", func(w http.ResponseWriter, r *http.Request) {
		var req struct {
			Model       string
			Prompt      string
			Stream      bool
			Temperature *float64
			MaxTokens   int `json:"max_tokens"`
		}
		if err := json.NewDecoder(r.Body).Decode(&req); err != nil || !req.Stream || req.Temperature == nil || *req.Temperature != 0 || req.MaxTokens != answerTokens {
			http.Error(w, fmt.Sprintf("%v %+v", err, req), http.StatusBadRequest)
			return
		}
		quoted, _ := json.Marshal(req.Prompt)
		note("%s %s %s", name, req.Model, quoted)
		words := strings.Fields(req.Prompt)
		same := 0
		for same < min(len(words), len(last)) && words[same] == last[same] {
			same++
		}
		last = append(words, "two", "words")
		fmt.Fprintf(w, ": keepalive\n\ndata: {\"choices\":[{\"text\":\"\"}]}\n\ndata: {\"choices\":[{\"text\":\" two\"}]}\n\n")
		w.(http.Flusher).Flush()
		row := ""
		if name == Ours {
			row = `,"reprise":{"row":{"weights_load_ms":12.5}}`
		}
		fmt.Fprintf(w, "data: {\"choices\":[{\"text\":\" words\"}],\"error\":null}\n\n")
		fmt.Fprintf(w, "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":%d,\"completion_tokens\":2,\"prompt_tokens_details\":{\"cached_tokens\":%d}%s}}\n\ndata: [DONE]\n\n", len(words), same, row)
	})
	if err := http.ListenAndServe(addr, nil); err != nil {
		panic(err)
	}
}
