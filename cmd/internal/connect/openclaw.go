package connect

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// provider is what the agents call this server.
const provider = "reprise"

// openclaw is OpenClaw: openclaw.json, JSON with comments.
type openclaw struct{}

func (openclaw) Name() string  { return "openclaw" }
func (openclaw) title() string { return "OpenClaw" }

// least is the context below which it warns.
func (openclaw) least() int { return 8_000 }

func (openclaw) path(home string) string {
	if p := os.Getenv("OPENCLAW_CONFIG_PATH"); p != "" {
		return p
	}
	if dir := os.Getenv("OPENCLAW_STATE_DIR"); dir != "" {
		return filepath.Join(dir, "openclaw.json")
	}
	if dir := os.Getenv("OPENCLAW_HOME"); dir != "" {
		home = dir
	}
	return filepath.Join(home, ".openclaw", "openclaw.json")
}

func (openclaw) parse(raw []byte) (document, error) {
	d, err := parseJSON(raw)
	if err != nil {
		return nil, fmt.Errorf("%w (what JSON with comments does not have, such as keys without quotes, only OpenClaw itself can change: `openclaw config set`)", err)
	}
	return d, nil
}

var openclawAPI = map[API]string{Chat: "openai-completions", Responses: "openai-responses", Messages: "anthropic-messages"}

// answer is the most tokens of an answer that the agents are told to ask for.
const answer = 4096

func (openclaw) merge(d document, s *Server, api API) error {
	e := &edit{document: d}
	e.offer("merge", "models", "mode")
	at := []string{"models", "providers", provider}
	url := s.URL + "/v1"
	if api == Messages { // its client adds /v1/messages itself
		url = s.URL
	}
	e.put(url, under(at, "baseUrl")...)
	e.put(s.shownKey(), under(at, "apiKey")...)
	e.put(openclawAPI[api], under(at, "api")...)
	e.offer(900, under(at, "timeoutSeconds")...) // of silence: a long prompt on a small machine takes its time
	if _, ok := e.get(under(at, "models")...).([]any); !ok {
		e.put([]any{}, under(at, "models")...)
	}
	model := under(at, "models", openclawModel(d, s.Model))
	if model[len(model)-1] == "-" {
		e.put(map[string]any{"id": s.Model}, model...)
		model = under(at, "models", openclawModel(d, s.Model))
	}
	e.offer(s.Model, under(model, "name")...)
	e.offer(false, under(model, "reasoning")...)
	e.offer([]string{"text"}, under(model, "input")...)
	e.put(s.Context, under(model, "contextWindow")...)
	if n, ok := e.get(under(model, "maxTokens")...).(float64); !ok || int(n) > s.Context/2 {
		e.put(min(answer, s.Context/4), under(model, "maxTokens")...)
	}
	e.offer(map[string]any{"input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0}, under(model, "cost")...)
	e.offer(true, under(model, "compat", "supportsPromptCacheKey")...) // the session gets its name by it
	e.put(provider+"/"+s.Model, "agents", "defaults", "model", "primary")
	if allowed, ok := e.get("agents", "defaults", "models").(map[string]any); ok && len(allowed) > 0 {
		e.offer(map[string]any{}, "agents", "defaults", "models", provider+"/"+s.Model)
	}
	return e.err
}

// openclawModel is the place of the model in the provider's list, "-" when it has none.
func openclawModel(d document, id string) string {
	list, _ := d.get("models", "providers", provider, "models").([]any)
	for i, m := range list {
		if lookup(m, []string{"id"}) == id {
			return strconv.Itoa(i)
		}
	}
	return "-"
}

func (openclaw) read(d document) Connection {
	c := Connection{URL: word(d.get("models", "providers", provider, "baseUrl"))}
	if c.URL == "" {
		return c
	}
	primary := word(d.get("agents", "defaults", "model", "primary"))
	if primary == "" {
		primary = word(d.get("agents", "defaults", "model"))
	}
	c.Model, c.Chosen = strings.CutPrefix(primary, provider+"/")
	c.Other = primary
	if at := openclawModel(d, c.Model); at != "-" {
		n, _ := d.get("models", "providers", provider, "models", at, "contextWindow").(float64)
		c.Context = int(n)
	}
	return c
}

func word(v any) string {
	s, _ := v.(string)
	return s
}
