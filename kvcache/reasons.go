package kvcache

// Miss says why the token after the last hit was not a hit. The values are the ledger's.
type Miss string

// The reasons that this package can give.
const (
	MissNone     Miss = "none"           // everything known was used; the rest of the prompt is new
	MissFirst    Miss = "first_request"  // the model has computed nothing yet
	MissChanged  Miss = "prefix_changed" // what was known goes on differently
	MissEvicted  Miss = "evicted"        // it was had, and given up for room
	MissSnapshot Miss = "no_snapshot"    // its rows are there, but not the layers that need a snapshot
	MissModel    Miss = "model_changed"  // another model computed it
	MissMedia    Miss = "media_changed"  // the same ids, with another image behind them
	MissReuse    Miss = "reuse_off"      // the request wanted everything computed
)

// The reasons of lower tiers, which those who ask them give: the prefix, or what could be known of it, is in a tier that did
// not deliver.
const (
	MissBadBlock Miss = "bad_block"    // what was stored is damaged, or not what it claims
	MissTimeout  Miss = "tier_timeout" // it did not answer in time
	MissDown     Miss = "tier_down"    // it did not answer at all
	MissStoreOff Miss = "store_off"    // the disk takes no blocks
)

// LimitedBy names what kept the hit from being longer. The values are the ledger's.
type LimitedBy string

// What can limit a hit here.
const (
	LimitNone      LimitedBy = "none"
	LimitLast      LimitedBy = "last_token" // one prompt token is always computed
	LimitFull      LimitedBy = "full"       // rows of a growing layer that were never kept
	LimitSliding   LimitedBy = "sliding"
	LimitRecurrent LimitedBy = "recurrent"
	LimitMemory    LimitedBy = "memory" // the budget
)
