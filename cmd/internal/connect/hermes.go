package connect

import (
	"os"
	"path/filepath"
)

// hermes is Hermes agent: config.yaml.
type hermes struct{}

func (hermes) Name() string  { return "hermes" }
func (hermes) title() string { return "Hermes" }

// least is the context below which it does not start.
func (hermes) least() int { return 64_000 }

func (hermes) path(home string) string {
	if dir := os.Getenv("HERMES_HOME"); dir != "" {
		return filepath.Join(dir, "config.yaml")
	}
	return filepath.Join(home, ".hermes", "config.yaml")
}

func (hermes) parse(raw []byte) (document, error) { return parseYAML(raw) }

var hermesAPI = map[API]string{Chat: "chat_completions", Responses: "codex_responses", Messages: "anthropic_messages"}

func (hermes) merge(d document, s *Server, api API) error {
	e := &edit{document: d}
	e.put(provider, "model", "provider")
	e.put(s.Model, "model", "default")
	e.offer(min(answer, s.Context/4), "model", "max_tokens")                              // else it asks for the whole window
	for _, stale := range []string{"base_url", "api_key", "api_mode", "context_length"} { // of the endpoint before: they would win
		e.drop("model", stale)
	}
	at := []string{"providers", provider}
	url := s.URL + "/v1"
	if api == Messages {
		url = s.URL
	}
	e.put(url, under(at, "base_url")...)
	e.put(s.shownKey(), under(at, "api_key")...)
	e.put(hermesAPI[api], under(at, "api_mode")...)
	e.put(s.Model, under(at, "default_model")...)
	e.put(s.Context, under(at, "models", s.Model, "context_length")...)
	return e.err
}

func (hermes) read(d document) Connection {
	c := Connection{Asks: true, Other: word(d.get("model", "provider")), Model: word(d.get("model", "default"))}
	switch {
	case c.Other == "custom" && d.get("model", "base_url") != nil: // as its own wizard writes it
		c.URL, c.Chosen = word(d.get("model", "base_url")), true
	default:
		c.URL, c.Chosen = word(d.get("providers", provider, "base_url")), c.Other == provider
	}
	n, ok := d.get("model", "context_length").(int) // of every model
	if !ok {
		n, _ = d.get("providers", provider, "models", c.Model, "context_length").(int)
	}
	c.Context = n
	return c
}
