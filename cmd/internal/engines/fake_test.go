package engines

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"reprise/cmd/internal/loop"
)

// played is a server that shows recorded metrics pages and answers what a test says. The pages are those of real
// servers; this only stands where the real one stood.
type played struct {
	mu       sync.Mutex
	before   string // its metrics page until a turn was answered; "": 404
	after    string
	late     int // readings after the answer that still show the page before
	answered bool
	readings int
	usage    string // JSON
	timings  string
	body     string // of the last request
	broken   bool   // the stream ends early
}

func (p *played) serve(t *testing.T) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"data":[{"id":"small"}]}`) })
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"status":"ok"}`) })
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		page := p.before
		if p.answered {
			if p.readings++; p.readings > p.late {
				page = p.after
			}
		}
		if page == "" {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, page)
	})
	mux.HandleFunc("POST /v1/chat/completions", func(w http.ResponseWriter, r *http.Request) {
		var b strings.Builder
		if err := r.Write(&b); err != nil {
			t.Error(err)
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.body, p.answered = b.String(), true
		for _, text := range []string{"one", " two", " three"} {
			fmt.Fprintf(w, "data: {\"id\":\"chat-1\",\"choices\":[{\"delta\":{\"content\":%q},\"finish_reason\":null}]}\n\n", text)
			w.(http.Flusher).Flush()
			time.Sleep(2 * time.Millisecond)
		}
		if p.broken {
			return
		}
		fmt.Fprint(w, "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"length\"}]}\n\n")
		fmt.Fprintf(w, "data: {\"choices\":[],\"usage\":%s", p.usage)
		if p.timings != "" {
			fmt.Fprintf(w, ",\"timings\":%s", p.timings)
		}
		fmt.Fprint(w, "}\n\ndata: [DONE]\n\n")
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL
}

// also marks that a second server's pages (LMCache's) turn with this one's answers.
func (p *played) also(t *testing.T, before, after string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.answered {
			fmt.Fprint(w, after)
			return
		}
		fmt.Fprint(w, before)
	}))
	t.Cleanup(s.Close)
	return s.URL + "/metrics"
}

func usageOf(prompt, cached, generated int) string {
	return fmt.Sprintf(`{"prompt_tokens":%d,"completion_tokens":%d,"prompt_tokens_details":{"cached_tokens":%d}}`, prompt, generated, cached)
}

// page is a recorded one.
func page(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// ask has one turn answered by an engine.
func ask(t *testing.T, c Config) (*loop.Answer, error) {
	t.Helper()
	e, err := Dial(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	e.settling = 200 * time.Millisecond
	return e.Turn(t.Context(), &loop.Prompt{Turn: 3, Conversation: "c", Messages: []loop.Message{{Role: "user", Content: "count"}}, Characters: 4 * 300}, &loop.Options{MaxTokens: 16})
}
