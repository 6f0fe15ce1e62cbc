package loop

import (
	"reprise/cmd/internal/version"
	"reprise/kvcache/ledger"
	"reprise/kvcache/ledger/footprint/machine"
)

// Facts are what a run is told about what computes; what is not known stays empty.
type Facts struct {
	Model        string
	Quantization string
	Runtime      string
	Machine      *machine.Machine
	// Decode makes text of ids, so that the template's markup can be counted; nil: it is not.
	Decode func(ids []int32) string
	// Conditions reads the power source and the thermal state; nil: they are not known.
	Conditions func() machine.Conditions
}

// Recipe is the six fields that every run carries.
type Recipe struct {
	Model        string `json:"model"`
	Quantization string `json:"quantization"`
	Workload     string `json:"workload"`
	Hardware     string `json:"hardware"`
	Runtime      string `json:"runtime"`
	Claim        string `json:"claim"`
}

// Summary is summary.json. Sums over a field that some row does not know are null.
type Summary struct {
	Status     string   `json:"status"`        // complete or incomplete
	Why        string   `json:"why,omitempty"` // it is incomplete
	Mimic      bool     `json:"observability_mimic"`
	Recipe     Recipe   `json:"recipe"`
	Claims     []Claim  `json:"claims"`       // of the article, whether this run supports each
	DoNotClaim []string `json:"do_not_claim"` // whatever it shows

	Options   Options                    `json:"options"`
	Changes   []Change                   `json:"phase_that_a_setting_changes"`
	Machine   *machine.Machine           `json:"machine"`  // null: not known
	Versions  version.Info               `json:"versions"` // of this program
	Started   string                     `json:"started"`  // UTC
	Seconds   float64                    `json:"seconds"`  // of the turns so far, with what lies between them
	Begin     machine.Conditions         `json:"conditions_at_start"`
	End       machine.Conditions         `json:"conditions_at_end"`
	Turns     int                        `json:"turns"` // done
	Sizes     Sizes                      `json:"prompt_sizes"`
	Tokens    Tokens                     `json:"tokens"`
	Reuse     Reuse                      `json:"reuse"`
	Phases    []Phase                    `json:"phases"`
	TTFT      TTFT                       `json:"ttft"`
	Peaks     Peaks                      `json:"peaks"`
	Tiers     []Tier                     `json:"tiers"`
	Handover  *Handover                  `json:"pd"` // null: prompts are computed where answers are
	Potential Potential                  `json:"could_still_save"`
	Evidence  map[string]ledger.Evidence `json:"evidence"`    // of row fields that are not plainly measured
	Same      *Sameness                  `json:"same_tokens"` // null: not compared with another run
	Problems  []string                   `json:"problems"`    // what does not hold; empty when all does
}

// Change says which phase a setting changes.
type Change struct {
	Setting string `json:"setting"`
	Phase   string `json:"phase"`
}

// Sizes are estimated tokens.
type Sizes struct {
	First     int     `json:"first_tokens_est"`
	Last      int     `json:"last_tokens_est"`
	LineFirst int     `json:"line_first_tokens_est"` // 0: this session has no line
	LineLast  int     `json:"line_last_tokens_est"`
	Worst     float64 `json:"worst_deviation"` // from the line, as a part of it
	WorstTurn int     `json:"worst_turn"`
	Cut       int     `json:"answers_cut"` // to keep the size
	Sum       int     `json:"sum_tokens_est"`
	Markup    Sum     `json:"markup_characters"`
	// A prompt that only grows can be reused but for its last, in a run without answers; a run that begins cold must
	// compute the first prompt and a token a turn.
	PromptsOnly *float64 `json:"append_only_share"`
	ColdBound   float64  `json:"cold_start_bound"`
}

// Tokens are sums of the rows.
type Tokens struct {
	Prompt    Sum `json:"prompt_tokens"`
	Matched   Sum `json:"matched_tokens"`
	Hit       Sum `json:"lookup_hit_tokens"`
	L0        Sum `json:"l0_hit_tokens"`
	L1        Sum `json:"l1_hit_tokens"`
	L2        Sum `json:"l2_hit_tokens"`
	Recompute Sum `json:"recompute_tokens"`
	New       Sum `json:"new_tokens"`
	Displaced Sum `json:"displaced_tokens"`
	PaidAgain Sum `json:"paid_again_tokens"`
	Prefill   Sum `json:"prefill_tokens"`
	Generated Sum `json:"generated_tokens"`
}

// Reuse are shares of all prompt tokens.
type Reuse struct {
	Ceiling       *int     `json:"ceiling_tokens"` // by the oracle, from the run's ids; null without ids
	CeilingShare  *float64 `json:"ceiling_share"`
	HitShare      *float64 `json:"hit_share"`
	OfCeiling     *float64 `json:"hit_of_ceiling"`
	RepeatedShare *float64 `json:"repeated_state_share"` // (matched + displaced) ÷ prompt
	Displaced     *int     `json:"displaced_tokens_by_oracle"`
}

// Phase is one of a turn's five, summed over the run.
type Phase struct {
	Phase  string   `json:"phase"`
	Ms     *float64 `json:"ms"`
	Tokens *int     `json:"tokens"`
	Bytes  *int64   `json:"bytes"`
	Note   string   `json:"note"`
}

// TTFT are times to the first token, from the rows: of turns that reused something, and of those that did not.
type TTFT struct {
	Hit       *float64 `json:"hit_median_ms"`
	HitTurns  int      `json:"hit_turns"`
	Miss      *float64 `json:"miss_median_ms"`
	MissTurns int      `json:"miss_turns"`
}

// Peaks are the largest over the turns. They count different things and are never mixed.
type Peaks struct {
	MLX       *int64        `json:"mlx_peak_bytes"` // of one process
	Footprint *int64        `json:"footprint_peak_bytes"`
	Processes []ProcessPeak `json:"by_process"`
}

// ProcessPeak are the peaks of one of the processes that served the run.
type ProcessPeak struct {
	Worker    string `json:"worker"`
	Turns     int    `json:"turns"`
	MLX       *int64 `json:"mlx_peak_bytes"`
	Footprint *int64 `json:"footprint_peak_bytes"`
}

// Tier is what one tier gave and took, summed over the turns. Null: it did not say, or is not there.
type Tier struct {
	Tier       string   `json:"tier"` // l0, l1, l2
	Hit        Sum      `json:"hit_tokens"`
	ReadBytes  *int64   `json:"read_bytes"`
	ReadMs     *float64 `json:"read_ms"`
	WriteBytes *int64   `json:"write_bytes"`
	WriteMs    *float64 `json:"write_ms"`
}

// Handover is what a process that computes prompts for another one did, and what passing them on took.
type Handover struct {
	Prefill    Sum      `json:"prefill_tokens"`    // computed by the process that computes prompts
	Hit        Sum      `json:"lookup_hit_tokens"` // not computed again there
	OfCeiling  *float64 `json:"hit_of_ceiling"`    // of that process
	PrefillMs  *float64 `json:"prefill_ms"`
	Transfer   *float64 `json:"transfer_median_ms"` // of pd_transfer_ms
	Stored     *float64 `json:"store_median_ms"`    // its part on the side of the process that stores
	Fetched    *float64 `json:"fetch_median_ms"`    // and of the one that fetches
	WriteBytes *int64   `json:"write_bytes"`
	ReadBytes  *int64   `json:"read_bytes"`
	Note       string   `json:"note"`
}

// Potential is what was paid for again, by what would save it, as parts of all prompt tokens.
type Potential struct {
	LargerBudget *float64 `json:"larger_budget_or_lower_tier"` // evicted, or a tier failed
	Snapshots    *float64 `json:"more_snapshots"`              // matched, but no state could be restored there
	Reuse        *float64 `json:"reuse_on"`
	NonPrefix    *float64 `json:"non_prefix_reuse"` // displaced
	Verdict      string   `json:"verdict"`
}
