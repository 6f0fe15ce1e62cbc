package engines

import (
	"fmt"
	"strings"

	"reprise/kvcache/ledger"
)

// check is what does not agree in a turn, with the arithmetic; "" when everything does. What is not known is not checked.
func (k *kind) check(row *ledger.Row, o *observed, settled error) string {
	var broken []string
	if settled != nil {
		broken = append(broken, settled.Error())
	}
	if off := differing(o, k.equal); off != "" {
		broken = append(broken, off)
	}
	say := func(format string, args ...any) { broken = append(broken, fmt.Sprintf(format, args...)) }
	prompt, known := row.PromptTokens.Get()
	hit, counted := row.LookupHitTokens.Get()
	// Where the cache is off nothing is looked up.
	if n, ok := row.LookupRequestedTokens.Get(); ok && known && n != prompt && (n != 0 || hit != 0) {
		say("prompt %d = lookup_requested %d: they differ", prompt, n)
	}
	if n, ok := row.PrefillTokens.Get(); ok && known && counted && n+hit != prompt {
		say("prefill %d + hit %d = prompt %d: %d ≠ %d", n, hit, prompt, n+hit, prompt)
	}
	l0, ok0 := row.L0HitTokens.Get()
	l1, ok1 := row.L1HitTokens.Get()
	l2, ok2 := row.L2HitTokens.Get()
	if ok0 && ok1 && ok2 && counted && hit != l0+l1+l2 {
		say("hit %d = l0 %d + l1 %d + l2 %d: %d ≠ %d", hit, l0, l1, l2, hit, l0+l1+l2)
	}
	if known && counted && hit > max(0, prompt-1) {
		say("hit %d ≤ prompt %d − 1: one token is always computed", hit, prompt)
	}
	return strings.Join(broken, "; ")
}

// differing are those pairs of sources that are both exposed and do not agree.
func differing(o *observed, pairs [][2]source) string {
	var out []string
	for _, p := range pairs {
		a, ok := p[0].read(o)
		b, also := p[1].read(o)
		if ok && also && a != b {
			out = append(out, fmt.Sprintf("%s = %s: %.0f ≠ %.0f", p[0].name, p[1].name, a, b))
		}
	}
	return strings.Join(out, "; ")
}
