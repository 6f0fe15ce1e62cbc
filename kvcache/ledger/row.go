package ledger

import (
	"encoding/json"
	"maps"
	"time"
)

// Row is what happened in one turn. Its json tags are the contract: JSONL, CSV, usage and the dashboard print these
// names in this order. Token fields count prompt tokens unless they say otherwise; _ms are milliseconds; _bytes are
// exact bytes; _tps are tokens a second.
type Row struct {
	TurnID        string      `json:"turn_id"`
	SessionID     string      `json:"session_id"`
	ParentTurnID  Opt[string] `json:"parent_turn_id"` // null for the first turn of a session
	Time          time.Time   `json:"time"`           // when the turn began, UTC
	Model         string      `json:"model"`
	Purpose       Purpose     `json:"purpose"`
	Worker        string      `json:"worker"`         // the process that computed it
	Evidence      EvidenceMap `json:"evidence"`       // fields that are not plainly measured
	IdentityError Opt[string] `json:"identity_error"` // set by Seal

	// Where the prompt's tokens came from.
	PromptTokens          Opt[int] `json:"prompt_tokens"`
	PromptTokensEst       Opt[int] `json:"prompt_tokens_est"` // characters ÷ 4
	LookupRequestedTokens Opt[int] `json:"lookup_requested_tokens"`
	MatchedTokens         Opt[int] `json:"matched_tokens"`    // longest known prefix, whether its state was still held or not
	LookupHitTokens       Opt[int] `json:"lookup_hit_tokens"` // of those, not computed again
	LowerHitTokens        Opt[int] `json:"lower_hit_tokens"`  // l1 + l2
	L0HitTokens           Opt[int] `json:"l0_hit_tokens"`
	L1HitTokens           Opt[int] `json:"l1_hit_tokens"`
	L2HitTokens           Opt[int] `json:"l2_hit_tokens"`
	RecomputeTokens       Opt[int] `json:"recompute_tokens"`  // matched − hit
	NewTokens             Opt[int] `json:"new_tokens"`        // prompt − matched
	DisplacedTokens       Opt[int] `json:"displaced_tokens"`  // of new: computed before, at another place
	PaidAgainTokens       Opt[int] `json:"paid_again_tokens"` // recompute + displaced
	PrefillTokens         Opt[int] `json:"prefill_tokens"`    // counted where the ids enter the model
	UnprefilledTokens     Opt[int] `json:"unprefilled_tokens"`
	SplicedTokens         Opt[int] `json:"spliced_tokens"` // echoed answers put back as generated
	GeneratedTokens       Opt[int] `json:"generated_tokens"`
	StoredTokens          Opt[int] `json:"stored_tokens"`
	EvictedTokens         Opt[int] `json:"evicted_tokens"`
	L1Blocks              Opt[int] `json:"l1_blocks"`
	L2Blocks              Opt[int] `json:"l2_blocks"`

	// Why the hit was not longer.
	LimitedBy   Opt[LimitedBy]  `json:"limited_by"`
	MissReason  Opt[MissReason] `json:"miss_reason"`
	DivergedAt  Opt[int]        `json:"diverged_at"`  // token index
	DivergedIn  Opt[string]     `json:"diverged_in"`  // system, tools, message N role, thinking, retokenized, template
	MatchedPath NodePath        `json:"matched_path"` // nodes of the prefix tree, root first

	// Time by phase.
	WeightsLoadMs Opt[float64] `json:"weights_load_ms"` // null unless this turn loaded
	TemplateMs    Opt[float64] `json:"template_ms"`
	TokenizeMs    Opt[float64] `json:"tokenize_ms"`
	LookupMs      Opt[float64] `json:"lookup_ms"`
	QueueMs       Opt[float64] `json:"queue_ms"`
	BlockedMs     Opt[float64] `json:"blocked_ms"` // a started turn waiting for others' steps
	RestoreMs     Opt[float64] `json:"restore_ms"`
	L1LoadMs      Opt[float64] `json:"l1_load_ms"`
	L2TransferMs  Opt[float64] `json:"l2_transfer_ms"`
	PrefillMs     Opt[float64] `json:"prefill_ms"`
	TTFTMs        Opt[float64] `json:"ttft_ms"`
	DecodeMs      Opt[float64] `json:"decode_ms"`
	ITLP50Ms      Opt[float64] `json:"itl_p50_ms"`
	ITLP95Ms      Opt[float64] `json:"itl_p95_ms"`
	PrefillTPS    Opt[float64] `json:"prefill_tps"` // prefill_tokens ÷ prefill_ms
	DecodeTPS     Opt[float64] `json:"decode_tps"`  // (generated − 1) ÷ time from first to last token
	L1StoreMs     Opt[float64] `json:"l1_store_ms"`
	L2StoreMs     Opt[float64] `json:"l2_store_ms"`
	PDTransferMs  Opt[float64] `json:"pd_transfer_ms"`

	// Bytes. MLX's peak excludes its buffer cache; the footprint is the process's, as the system counts it.
	RestoreBytes               Opt[int64] `json:"restore_bytes"`
	L1ReadBytes                Opt[int64] `json:"l1_read_bytes"`
	L2ReadBytes                Opt[int64] `json:"l2_read_bytes"`
	L1WriteBytes               Opt[int64] `json:"l1_write_bytes"`
	L2WriteBytes               Opt[int64] `json:"l2_write_bytes"`
	KVLiveBytes                Opt[int64] `json:"kv_live_bytes"`
	WeightsBytes               Opt[int64] `json:"weights_bytes"`
	MLXActiveBytes             Opt[int64] `json:"mlx_active_bytes"`
	MLXPeakBytes               Opt[int64] `json:"mlx_peak_bytes"` // while the turn was open
	MLXCacheBytes              Opt[int64] `json:"mlx_cache_bytes"`
	FootprintBytes             Opt[int64] `json:"footprint_bytes"`
	FootprintPeakBytes         Opt[int64] `json:"footprint_peak_bytes"` // while the turn was open
	FootprintLifetimePeakBytes Opt[int64] `json:"footprint_lifetime_peak_bytes"`
	HostAvailableBytes         Opt[int64] `json:"host_available_bytes"`
	SwapUsedBytes              Opt[int64] `json:"swap_used_bytes"`

	ConcurrentTurns Opt[int]          `json:"concurrent_turns"` // largest while the turn was open, itself included
	BatchWidth      Opt[int]          `json:"batch_width"`      // largest while the turn was open
	FinishReason    Opt[FinishReason] `json:"finish_reason"`
	Audit           Opt[Audit]        `json:"audit"` // null: not audited
	AuditMaxDiff    Opt[float64]      `json:"audit_max_diff"`
	PromptSHA256    Opt[string]       `json:"prompt_sha256"` // of the prompt's ids
}

// EvidenceMap names a row's fields that are not plainly measured. Empty is {} in JSON, never null.
type EvidenceMap map[string]Evidence

// MarshalJSON prints the names sorted.
func (m EvidenceMap) MarshalJSON() ([]byte, error) {
	if m == nil {
		return []byte("{}"), nil
	}
	return json.Marshal(map[string]Evidence(m))
}

// NodePath is the way from the root of the prefix tree to the last matched node. Nil is null.
type NodePath []int64

// Note says how the fields of these names came about.
func (r *Row) Note(e Evidence, fields ...string) {
	if r.Evidence == nil {
		r.Evidence = make(EvidenceMap, len(fields))
	}
	for _, f := range fields {
		r.Evidence[f] = e
	}
}

// Seal checks a row and writes what it found into identity_error, replacing what stood there. The result shares
// nothing with r that a later Note could change.
func Seal(r Row) Row {
	r.Evidence = maps.Clone(r.Evidence)
	r.IdentityError = Opt[string]{}
	if err := Check(&r); err != nil {
		r.IdentityError = Some(err.Error())
	}
	return r
}
