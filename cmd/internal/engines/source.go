package engines

import (
	"fmt"
	"strings"
)

// observed is one turn as it was seen: counters before and after, and what the answer said.
type observed struct {
	before, after               exposition // of the engine
	lmcacheBefore, lmcacheAfter exposition // of LMCache MP; nil without
	usage                       *usage     // nil: the answer had none
	timings                     *timings   // llama.cpp's; nil: none
}

// source is where a figure comes from. It reads nothing that was not exposed.
type source struct {
	name string
	read func(*observed) (float64, bool)
}

// counter is how much a counter of the engine rose during the turn.
func counter(name string) source { return labelled(name, "", "") }

// labelled is counter for the samples with that label; "storage_*" is any that begins so.
func labelled(name, label, value string) source {
	return source{shown(name, label, value), func(o *observed) (float64, bool) { return rise(o.before, o.after, name, label, value) }}
}

// lmcache is a counter of LMCache MP's own page.
func lmcache(name string) source {
	return source{name, func(o *observed) (float64, bool) { return rise(o.lmcacheBefore, o.lmcacheAfter, name, "", "") }}
}

func shown(name, label, value string) string {
	if label == "" {
		return name
	}
	return fmt.Sprintf("%s{%s=%q}", name, label, value)
}

// rise is what was counted between two readings. A sample that was not there before began at nothing.
func rise(before, after exposition, name, label, value string) (float64, bool) {
	a, ok := after.value(name, label, value)
	if !ok {
		return 0, false
	}
	b, _ := before.value(name, label, value)
	return a - b, true
}

// born is a counter that a server shows only from its first rise on: where witness is shown and the counter is not,
// nothing was counted yet.
func born(s, witness source) source {
	return source{s.name, func(o *observed) (float64, bool) {
		if n, ok := s.read(o); ok {
			return n, true
		}
		_, ok := witness.read(o)
		return 0, ok
	}}
}

// said is a field of the answer's usage or timings.
func answered(name string, read func(*observed) *float64) source {
	return source{name, func(o *observed) (float64, bool) {
		if v := read(o); v != nil {
			return *v, true
		}
		return 0, false
	}}
}

// plus adds sources up; unknown as soon as one is.
func plus(parts ...source) source {
	names := make([]string, len(parts))
	for i, p := range parts {
		names[i] = p.name
	}
	return source{strings.Join(names, " + "), func(o *observed) (float64, bool) {
		var sum float64
		for _, p := range parts {
			n, ok := p.read(o)
			if !ok {
				return 0, false
			}
			sum += n
		}
		return sum, true
	}}
}

// inMs is a source of seconds, in milliseconds.
func inMs(s source) source {
	return source{s.name, func(o *observed) (float64, bool) {
		n, ok := s.read(o)
		return n * 1e3, ok
	}}
}

// first is the first source that is exposed, and its name.
func first(o *observed, sources []source) (n float64, name string, ok bool) {
	for _, s := range sources {
		if n, ok := s.read(o); ok {
			return n, s.name, true
		}
	}
	return 0, "", false
}

// What every engine's answers say, where they say it.
var (
	usagePrompt    = answered("usage.prompt_tokens", func(o *observed) *float64 { return o.usage.number(func(u *usage) *float64 { return u.Prompt }) })
	usageGenerated = answered("usage.completion_tokens", func(o *observed) *float64 { return o.usage.number(func(u *usage) *float64 { return u.Generated }) })
	usageCached    = answered("usage.prompt_tokens_details.cached_tokens", func(o *observed) *float64 {
		return o.usage.number(func(u *usage) *float64 {
			if u.Details == nil {
				return nil
			}
			return u.Details.Cached
		})
	})
)

// timing is a field of llama.cpp's timings.
func timing(name string, field func(*timings) *float64) source {
	return answered("timings."+name, func(o *observed) *float64 {
		if o.timings == nil {
			return nil
		}
		return field(o.timings)
	})
}
