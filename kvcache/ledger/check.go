package ledger

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// IdentityError lists what a row breaks, each with its arithmetic.
type IdentityError struct {
	Broken []string
}

func (e *IdentityError) Error() string { return strings.Join(e.Broken, "; ") }

// Check returns an *IdentityError when the row breaks an identity, names a value outside its enumeration, or holds
// a number that cannot be. An identity that names a null field is skipped; what a completed turn must have counted
// may not be null.
func Check(r *Row) error {
	var c checker
	c.names(r)
	c.counted(r)
	c.tokens(r)
	c.prefill(r)
	c.numbers(r)
	if len(c.broken) == 0 {
		return nil
	}
	return &IdentityError{Broken: c.broken}
}

type checker struct {
	broken []string
}

func (c *checker) fail(format string, args ...any) {
	c.broken = append(c.broken, fmt.Sprintf(format, args...))
}

// term is one addend of an identity: its short name, its value, and whether it is taken away.
type term struct {
	name  string
	n     Opt[int]
	minus bool
}

func plus(name string, n Opt[int]) term  { return term{name: name, n: n} }
func minus(name string, n Opt[int]) term { return term{name: name, n: n, minus: true} }

// sum adds terms up and spells them out: 10, "l0 10 + l1 0 + l2 0". It is not ok when one is null.
func sum(terms ...term) (total int, text string, ok bool) {
	var b strings.Builder
	for i, t := range terms {
		n, known := t.n.Get()
		if !known {
			return 0, "", false
		}
		sign := " + "
		if t.minus {
			n, sign = -n, " − "
		}
		if i > 0 {
			b.WriteString(sign)
		}
		total += n
		fmt.Fprintf(&b, "%s %d", t.name, t.n.value)
	}
	return total, b.String(), true
}

func side(terms ...term) []term { return terms }

func (c *checker) equal(left, right []term) {
	l, lt, lok := sum(left...)
	r, rt, rok := sum(right...)
	if lok && rok && l != r {
		c.fail("%s = %s: %d ≠ %d", lt, rt, l, r)
	}
}

func (c *checker) atMost(left, right []term) {
	l, lt, lok := sum(left...)
	r, rt, rok := sum(right...)
	if lok && rok && l > r {
		c.fail("%s ≤ %s: %d > %d", lt, rt, l, r)
	}
}

// tokens checks where the prompt's tokens are said to come from.
func (c *checker) tokens(r *Row) {
	prompt := plus("prompt", r.PromptTokens)
	matched := plus("matched", r.MatchedTokens)
	hit := plus("hit", r.LookupHitTokens)
	l0, l1, l2 := plus("l0", r.L0HitTokens), plus("l1", r.L1HitTokens), plus("l2", r.L2HitTokens)
	recompute, fresh := plus("recompute", r.RecomputeTokens), plus("new", r.NewTokens)
	displaced := plus("displaced", r.DisplacedTokens)

	c.equal(side(prompt), side(plus("lookup_requested", r.LookupRequestedTokens)))
	c.atMost(side(matched), side(prompt))
	c.equal(side(hit), side(l0, l1, l2))
	c.equal(side(plus("lower_hit", r.LowerHitTokens)), side(l1, l2))
	c.atMost(side(hit), side(matched))
	c.equal(side(recompute), side(matched, minus("hit", r.LookupHitTokens)))
	c.equal(side(fresh), side(prompt, minus("matched", r.MatchedTokens)))
	c.atMost(side(displaced), side(fresh))
	c.equal(side(plus("paid_again", r.PaidAgainTokens)), side(recompute, displaced))
	c.atMost(side(plus("diverged_at", r.DivergedAt)), side(prompt))

	// The one place where a prompt token is kept back: it must be computed, its logits choose the first answer.
	// A turn that had no prompt at all (refused) hits nothing.
	if p, h := r.PromptTokens.Or(0), r.LookupHitTokens.Or(0); r.PromptTokens.Known() && h > max(0, p-1) {
		c.fail("hit %d ≤ prompt %d − 1: %d > %d", h, p, h, max(0, p-1))
	}
	if h := r.LookupHitTokens.Or(0); r.MissReason.Or("") == MissReuseOff && h != 0 {
		c.fail("hit %d = 0 with reuse_off: %d ≠ 0", h, h)
	}
}

// prefill checks that what was paid for is what entered the model.
func (c *checker) prefill(r *Row) {
	c.equal(
		side(plus("prefill", r.PrefillTokens), plus("unprefilled", r.UnprefilledTokens)),
		side(plus("recompute", r.RecomputeTokens), plus("new", r.NewTokens)))
	if n, finish := r.UnprefilledTokens.Or(0), r.FinishReason.Or(""); n > 0 && !finish.brokenOff() {
		c.fail("unprefilled %d > 0 but finish_reason is %q: only cancelled, refused and error leave tokens unprefilled", n, finish)
	}
	if r.PromptTokens.Or(1) == 0 && r.FinishReason.Or("").completed() {
		c.fail("prompt 0 but finish_reason is %q: one prompt token is always computed", r.FinishReason.value)
	}
}

// counted checks that a client's completed turn has what the identities need: a null would switch them off.
func (c *checker) counted(r *Row) {
	finish, known := r.FinishReason.Get()
	if !known {
		c.fail("finish_reason is null: a row is written when its turn has ended")
	}
	if r.Purpose != PurposeTurn || !finish.completed() {
		return
	}
	var missing []string
	for _, f := range []term{
		plus("prompt", r.PromptTokens), plus("lookup_requested", r.LookupRequestedTokens),
		plus("matched", r.MatchedTokens), plus("lookup_hit", r.LookupHitTokens), plus("lower_hit", r.LowerHitTokens),
		plus("l0_hit", r.L0HitTokens), plus("l1_hit", r.L1HitTokens), plus("l2_hit", r.L2HitTokens),
		plus("recompute", r.RecomputeTokens), plus("new", r.NewTokens), plus("prefill", r.PrefillTokens),
		plus("unprefilled", r.UnprefilledTokens), plus("generated", r.GeneratedTokens),
	} {
		if !f.n.Known() {
			missing = append(missing, f.name+"_tokens")
		}
	}
	if missing != nil {
		c.fail("finish_reason is %q but %s null", finish, strings.Join(missing, ", "))
	}
}

// names checks identity, enumerations and evidence.
func (c *checker) names(r *Row) {
	if r.TurnID == "" {
		c.fail("turn_id is empty")
	}
	if r.Time.IsZero() {
		c.fail("time is not set")
	}
	if !r.Purpose.valid() {
		c.fail("purpose %q is none of its values", r.Purpose)
	}
	if v, ok := r.LimitedBy.Get(); ok && !v.valid() {
		c.fail("limited_by %q is none of its values", v)
	}
	if v, ok := r.MissReason.Get(); ok && !v.valid() {
		c.fail("miss_reason %q is none of its values", v)
	}
	if v, ok := r.FinishReason.Get(); ok && !v.valid() {
		c.fail("finish_reason %q is none of its values", v)
	}
	if v, ok := r.Audit.Get(); ok && !v.valid() {
		c.fail("audit %q is none of its values", v)
	}
	c.evidence(r.Evidence)
}

func (c *checker) evidence(m EvidenceMap) {
	if len(m) == 0 {
		return
	}
	columns := Columns()
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names) // one row, one message
	for _, name := range names {
		if !slices.Contains(columns, name) {
			c.fail("evidence names %q, which is no field", name)
		}
		if !m[name].valid() {
			c.fail("evidence %q of %s is none of its values", m[name], name)
		}
	}
}

// numbers checks that every measured number is finite and not negative.
func (c *checker) numbers(r *Row) {
	v := reflect.ValueOf(r).Elem()
	for i := range v.NumField() {
		f, ok := v.Field(i).Interface().(optional)
		if !ok {
			continue
		}
		value, known := f.measured()
		if !known {
			continue
		}
		name := v.Type().Field(i).Tag.Get("json")
		if !finite(value) {
			c.fail("%s is %v", name, value)
			continue
		}
		switch n := value.(type) {
		case int:
			c.notNegative(name, float64(n))
		case int64:
			c.notNegative(name, float64(n))
		case float64:
			c.notNegative(name, n)
		}
	}
}

func (c *checker) notNegative(name string, n float64) {
	if n < 0 {
		c.fail("%s %v < 0", name, n)
	}
}
