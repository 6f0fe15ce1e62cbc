package ledger

import "strings"

// Purpose says on whose behalf a turn ran. Only PurposeTurn is somebody's prefill.
type Purpose string

// The purposes of a turn.
const (
	PurposeTurn   Purpose = "turn"   // a client's request
	PurposeAudit  Purpose = "audit"  // replays what an earlier turn reused, to compare
	PurposeWarmup Purpose = "warmup" // fills the cache before anyone asks
)

func (p Purpose) valid() bool {
	switch p {
	case PurposeTurn, PurposeAudit, PurposeWarmup:
		return true
	}
	return false
}

// Evidence says how a field that was not plainly measured came about.
type Evidence string

// The kinds of evidence.
const (
	Sampled   Evidence = "sampled"   // seen at intervals; what lies between may differ
	Derived   Evidence = "derived"   // computed from measured fields
	Estimated Evidence = "estimated" // a rule of thumb
	Client    Evidence = "client"    // by the clock of who asked, not of who answered
)

// counterPrefix begins the evidence of a field that another make of server counted.
const counterPrefix = "counter "

// Counter is the evidence of a field that another make of server counted, under the name that it has there.
func Counter(name string) Evidence { return Evidence(counterPrefix + name) }

func (e Evidence) valid() bool {
	switch e {
	case Sampled, Derived, Estimated, Client:
		return true
	}
	return len(e) > len(counterPrefix) && strings.HasPrefix(string(e), counterPrefix)
}

// LimitedBy names what kept the hit from being longer.
type LimitedBy string

// What can limit a hit.
const (
	LimitNone      LimitedBy = "none"
	LimitLastToken LimitedBy = "last_token" // one prompt token is always computed
	LimitFull      LimitedBy = "full"       // a growing layer
	LimitSliding   LimitedBy = "sliding"    // a window that has moved on
	LimitRecurrent LimitedBy = "recurrent"  // a state that cannot be trimmed
	LimitMemory    LimitedBy = "memory"
)

func (l LimitedBy) valid() bool {
	switch l {
	case LimitNone, LimitLastToken, LimitFull, LimitSliding, LimitRecurrent, LimitMemory:
		return true
	}
	return false
}

// MissReason says why the token after the last hit was not a hit.
type MissReason string

// The reasons of a miss.
const (
	MissNone          MissReason = "none"
	MissFirstRequest  MissReason = "first_request"
	MissPrefixChanged MissReason = "prefix_changed"
	MissEvicted       MissReason = "evicted"
	MissNoSnapshot    MissReason = "no_snapshot"
	MissModelChanged  MissReason = "model_changed"
	MissMediaChanged  MissReason = "media_changed"
	MissBadBlock      MissReason = "bad_block"
	MissTierTimeout   MissReason = "tier_timeout"
	MissTierDown      MissReason = "tier_down"
	MissStoreOff      MissReason = "store_off"
	MissReuseOff      MissReason = "reuse_off"
)

func (m MissReason) valid() bool {
	switch m {
	case MissNone, MissFirstRequest, MissPrefixChanged, MissEvicted, MissNoSnapshot, MissModelChanged,
		MissMediaChanged, MissBadBlock, MissTierTimeout, MissTierDown, MissStoreOff, MissReuseOff:
		return true
	}
	return false
}

// FinishReason says how a turn ended.
type FinishReason string

// The ways a turn ends.
const (
	FinishStop      FinishReason = "stop"
	FinishLength    FinishReason = "length"
	FinishToolCalls FinishReason = "tool_calls"
	FinishCancelled FinishReason = "cancelled"
	FinishError     FinishReason = "error"
	FinishRefused   FinishReason = "refused"
)

func (f FinishReason) valid() bool { return f.completed() || f.brokenOff() }

// completed says that the turn gave its whole answer.
func (f FinishReason) completed() bool {
	return f == FinishStop || f == FinishLength || f == FinishToolCalls
}

// brokenOff says that the turn may have left prompt tokens unprefilled.
func (f FinishReason) brokenOff() bool {
	return f == FinishCancelled || f == FinishError || f == FinishRefused
}

// Audit is what a replay found. A turn that was not audited has none (null).
type Audit string

// The findings of an audit.
const (
	AuditMatch    Audit = "match"    // the same bits
	AuditWithin   Audit = "within"   // within 1e-3 of the row's largest logit
	AuditMismatch Audit = "mismatch" // anything else
)

func (a Audit) valid() bool {
	switch a {
	case AuditMatch, AuditWithin, AuditMismatch:
		return true
	}
	return false
}
