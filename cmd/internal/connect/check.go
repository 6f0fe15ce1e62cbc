package connect

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// Finding is what was seen of one agent's side.
type Finding struct {
	Agent string `json:"agent"`
	Fails bool   `json:"fails"` // a problem, not only something odd
	Says  string `json:"says"`
	Mend  string `json:"mend,omitempty"` // "" when all is well
}

// Check looks at each agent's configuration for the user whose home that is. base is the URL where the server is, or would be; s is
// nil when none runs there, and then lengths are only compared with what the agents demand.
func Check(home, base string, s *Server) []Finding {
	var out []Finding
	for _, a := range Agents {
		out = append(out, check(a, home, base, s))
	}
	return out
}

func check(a Agent, home, base string, s *Server) Finding {
	f := Finding{Agent: a.Name()}
	path := a.path(home)
	write := "reprise connect " + a.Name() + " --write"
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		f.Says = fmt.Sprintf("%s has no configuration here (%s sets it up for this server)", a.title(), write)
		return f
	}
	var d document
	if err == nil {
		d, err = a.parse(raw)
	}
	if err != nil {
		f.Fails, f.Says, f.Mend = true, fmt.Sprintf("%s: %v", path, err), "mend the file; `reprise connect "+a.Name()+"` prints what belongs in it"
		return f
	}
	c := a.read(d)
	if f.Fails, f.Says = c.differs(a, base, s); f.Says != "" {
		f.Says, f.Mend = path+": "+f.Says, write
		if c.short(a, s) {
			f.Mend = "reprise serve --ctx 65536, then " + write
		}
		return f
	}
	length := fmt.Sprint(c.Context)
	if c.Context == 0 {
		length = "as the server says"
	}
	f.Says = fmt.Sprintf("%s uses %s at %s, context %s", a.title(), c.Model, c.URL, length)
	if s == nil {
		f.Says += " (no server runs there: its own figure was not compared)"
	}
	return f
}

// short says whether the context is too small for the agent: the server's, or the one it was told of.
func (c *Connection) short(a Agent, s *Server) bool {
	n := c.Context
	if s != nil {
		n = s.Context
	}
	return n > 0 && n < a.least()
}

// differs names the first thing that does not fit, and whether it makes the agent fail.
func (c *Connection) differs(a Agent, base string, s *Server) (fails bool, says string) {
	switch {
	case c.URL == "":
		return false, "names no provider " + provider
	case !sameURL(c.URL, base):
		return s != nil, fmt.Sprintf("asks %s, but the server is at %s", c.URL, base)
	case !c.Chosen:
		return false, fmt.Sprintf("knows this server, but %q is its default", c.Other)
	case c.short(a, s) && s != nil:
		return true, fmt.Sprintf("%s needs a context of %d tokens, the server has %d", a.title(), a.least(), s.Context)
	case c.short(a, s):
		return true, fmt.Sprintf("%s needs a context of %d tokens and is told of %d", a.title(), a.least(), c.Context)
	case s == nil:
		return false, ""
	case c.Model != s.Model:
		return true, fmt.Sprintf("asks for %s, but the server has %s", c.Model, s.Model)
	case c.Context == 0 && c.Asks:
		return false, ""
	case c.Context == 0:
		return false, fmt.Sprintf("does not say the context length, which is %d", s.Context)
	case c.Context > s.Context:
		return true, fmt.Sprintf("says a context of %d tokens, but the server has %d: requests will be refused before the agent shortens them", c.Context, s.Context)
	case c.Context < s.Context:
		return false, fmt.Sprintf("says a context of %d tokens, but the server has %d: the agent shortens its history too early", c.Context, s.Context)
	}
	return false, ""
}

// sameURL compares what two URLs reach: agents write theirs with and without /v1, and loopback has two names.
func sameURL(a, b string) bool {
	plain := func(u string) string {
		u = strings.TrimSuffix(strings.TrimRight(u, "/"), "/v1")
		return strings.Replace(u, "//localhost:", "//127.0.0.1:", 1)
	}
	return plain(a) == plain(b)
}
