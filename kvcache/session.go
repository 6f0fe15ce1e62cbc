package kvcache

// session is a chain of turns, or what the client calls one.
type session struct {
	name    string
	history history
	used    int64
}

// note records which static prefix a turn begins with.
func (c *Cache) note(f *find) {
	for _, n := range f.spot.nodes {
		if !f.req.Side && n.end == f.req.Prompt.Static && n.end <= f.Matched {
			c.static(n)
		}
	}
}

// write takes what a turn committed into its session's text.
func (p *Plan) write() {
	c := p.cache
	if p.at <= p.written {
		return
	}
	s := c.sessions[p.Session]
	if s == nil {
		s = &session{name: p.Session}
		c.sessions[p.Session] = s
	}
	s.used = c.clock
	fresh := p.atoms[max(0, p.written-runLength+1):p.at]
	c.makeRoom(len(fresh))
	s.history.add(fresh, &c.sieve)
	p.written = p.at
	c.trim(s)
}

// makeRoom makes the sieve of all sessions' runs anew when it has no room for so many more. That drops what it has of
// sessions that are gone.
func (c *Cache) makeRoom(more int) {
	if !c.sieve.full(more) {
		return
	}
	c.sieve = newSieve(c.historyTokens() + more)
	for _, s := range c.sessions {
		s.history.sown(&c.sieve)
	}
}

// trim drops the texts of the sessions that were not heard of for longest, other than s, while there are too many.
func (c *Cache) trim(s *session) {
	for c.historyTokens() > c.opts.History {
		var oldest *session
		for _, x := range c.sessions {
			if x != s && (oldest == nil || x.used < oldest.used) {
				oldest = x
			}
		}
		if oldest == nil {
			s.history = history{} // longer than everything that may be kept
			return
		}
		delete(c.sessions, oldest.name)
	}
}

func (c *Cache) historyTokens() int {
	n := 0
	for _, s := range c.sessions {
		n += len(s.history.ids)
	}
	return n
}

// static notes that a static prefix that ends at n was used.
func (c *Cache) static(n *node) {
	keep := []*node{n}
	for _, x := range c.statics {
		if x != n && len(keep) < keptStatics {
			keep = append(keep, x)
		}
	}
	c.statics = keep
}
