package engines

import (
	"fmt"

	"reprise/kvcache/ledger"
)

// kind is a make of server: what its counters mean.
type kind struct {
	name    string // as --engine says it
	about   string
	columns []column
	// derive fills what follows from the columns.
	derive func(*ledger.Row, *observed)
	// equal are sums that the engine counts twice, under two names.
	equal [][2]source
	// rose are counters that tell when the turn has been counted: each must have risen by what the answer says.
	rose [][2]source
	// metrics is how its /metrics is switched on; "": it has none.
	metrics string
	// needed: without its metrics next to nothing is known.
	needed bool
	// model is what requests call the model; "": what GET /v1/models lists first.
	model string
	// extra are fields of the request beside the common ones.
	extra map[string]any
	// version says which it is.
	version func(get func(path string, into any) error) string
}

// The names of the engines.
const (
	VLLM     = "vllm"
	LMCache  = "lmcache"
	LlamaCPP = "llamacpp"
	MLXLM    = "mlx-lm"
	SGLang   = "sglang"
)

// Names are all engines whose counters are known.
var Names = []string{VLLM, LMCache, LlamaCPP, MLXLM, SGLang}

func find(name string) (*kind, error) {
	switch name {
	case VLLM:
		return vllmKind(), nil
	case LMCache:
		return lmcacheKind(), nil
	case LlamaCPP:
		return llamaKind(), nil
	case MLXLM:
		return mlxKind(), nil
	case SGLang:
		return sglangKind(), nil
	}
	return nil, fmt.Errorf("--engine %s: its counters are not known; there are %v", name, Names)
}

// vLLM counts cached tokens into prompt_tokens, and asks its external cache only for what its own missed. What a
// connector gave is one figure: which tier it came from is told only by cached_by_source, and "external_unspecified" is
// no tier.
func vllmKind() *kind {
	hits, external := counter("vllm:prefix_cache_hits_total"), counter("vllm:external_prefix_cache_hits_total")
	prompt, compute := counter("vllm:prompt_tokens_total"), labelled("vllm:prompt_tokens_by_source_total", "source", "local_compute")
	local := labelled("vllm:prompt_tokens_by_source_total", "source", "local_cache_hit")
	transferred := labelled("vllm:prompt_tokens_by_source_total", "source", "external_kv_transfer")
	generated := counter("vllm:generation_tokens_total")
	tier := func(name string) source { return labelled("vllm:prompt_tokens_cached_by_source_total", "source", name) }
	return &kind{
		name: VLLM, about: "vLLM", metrics: "it always has them", needed: true,
		columns: []column{
			promptTokens(prompt, usagePrompt), requestedTokens(counter("vllm:prefix_cache_queries_total")),
			hitTokens(plus(hits, external), hits), lowerTokens(external), l0Tokens(local, hits),
			l1Tokens(named(plus(tier("host"), tier("disk")), tier("external_unspecified"))),
			l2Tokens(named(tier("p2p"), tier("external_unspecified"))),
			recomputeTokens(counter("vllm:prompt_tokens_recomputed_total")), prefillTokens(compute),
			generatedTokens(generated, usageGenerated),
			queueMs(inMs(counter("vllm:request_queue_time_seconds"))),
			prefillMs(inMs(counter("vllm:request_prefill_time_seconds"))),
			decodeMs(inMs(counter("vllm:request_decode_time_seconds"))),
			pdTransferMs(inMs(counter("vllm:nixl_xfer_time_seconds"))),
		},
		equal: [][2]source{
			{plus(hits, external), usageCached}, {external, transferred}, {hits, local},
			{prompt, plus(compute, local, transferred)}, {prompt, plus(hits, external, compute)},
		},
		rose: [][2]source{{prompt, usagePrompt}, {generated, usageGenerated}},
		// Its parser of tool calls must be chosen at the start, or asked for no calls: the schemas are rendered either way.
		extra:   map[string]any{"tool_choice": "none"},
		version: versionAt("/version"),
	}
}

// named is a tier's source, unknown in a turn in which some tokens came from no tier that is named.
func named(s, unnamed source) source {
	return source{s.name, func(o *observed) (float64, bool) {
		if n, ok := unnamed.read(o); !ok || n != 0 {
			return 0, false
		}
		return s.read(o)
	}}
}

// LMCache MP stands behind vLLM. Its lookup_hit is what it could have given, also where vLLM then takes the tokens from
// its own cache: what was taken is vLLM's external_prefix_cache_hits, and LMCache's counters only say from which tier.
func lmcacheKind() *kind {
	k := vllmKind()
	k.name, k.about = LMCache, "vLLM with LMCache MP"
	keep := k.columns[:0:0]
	for _, c := range k.columns {
		if c.name != "l1_hit_tokens" && c.name != "l2_hit_tokens" && c.name != "lookup_requested_tokens" {
			keep = append(keep, c)
		}
	}
	// vLLM asks for what its own cache misses, all of it where that cache is off and its own queries stay at nothing.
	asked := plus(counter("vllm:prefix_cache_hits_total"), counter("vllm:external_prefix_cache_queries_total"))
	k.columns = append(keep, requestedTokens(asked), lookupMs(inMs(counter("vllm:lmcache_mp_lookup_duration_seconds"))))
	k.derive = splitTiers
	k.equal = append(k.equal, [2]source{lmcache(lmcacheHit), plus(lmcache(lmcacheL1), lmcache(lmcacheL2))})
	return k
}

// The counters of LMCache MP.
const (
	lmcacheHit = "lmcache_mp_lookup_hit_tokens_total"
	lmcacheL1  = "lmcache_mp_lookup_hit_l1_tokens_total"
	lmcacheL2  = "lmcache_mp_lookup_hit_l2_tokens_total"
)

// splitTiers says from which of LMCache's tiers vLLM's external hits came. Of a prompt, L1 could give the tokens up to
// its hits and L2 those behind them; vLLM took the ones behind its own hits.
func splitTiers(row *ledger.Row, o *observed) {
	local, known := row.L0HitTokens.Get()
	taken, counted := row.LowerHitTokens.Get()
	if !known || !counted {
		return
	}
	in1, ok1 := lmcache(lmcacheL1).read(o)
	in2, ok2 := lmcache(lmcacheL2).read(o)
	switch {
	case taken == 0: // whatever could have been given
		row.L1HitTokens, row.L2HitTokens = ledger.Some(0), ledger.Some(0)
		row.Note(ledger.Counter("vllm:external_prefix_cache_hits_total"), "l1_hit_tokens", "l2_hit_tokens")
	case !ok1 || !ok2 || local+taken > int(in1+in2):
	case in2 == 0:
		row.L1HitTokens, row.L2HitTokens = ledger.Some(taken), ledger.Some(0)
		row.Note(ledger.Counter("vllm:external_prefix_cache_hits_total, all of "+lmcacheL1), "l1_hit_tokens")
		row.Note(ledger.Counter(lmcacheL2), "l2_hit_tokens")
	default:
		l2 := max(0, min(taken, local+taken-int(in1)))
		row.L1HitTokens, row.L2HitTokens = ledger.Some(taken-l2), ledger.Some(l2)
		row.Note(ledger.Derived, "l1_hit_tokens", "l2_hit_tokens")
	}
}

// llama.cpp's prompt_tokens excludes cached tokens. What it reuses lies in its slots and its prompt cache, both memory;
// it has no tier below that fills itself.
func llamaKind() *kind {
	prompt, cached := counter("llamacpp:prompt_tokens_total"), counter("llamacpp:prompt_tokens_cached_total")
	generated := counter("llamacpp:tokens_predicted_total")
	cacheN := timing("cache_n", func(t *timings) *float64 { return t.Cached })
	promptN := timing("prompt_n", func(t *timings) *float64 { return t.Prompt })
	predictedN := timing("predicted_n", func(t *timings) *float64 { return t.Generated })
	return &kind{
		name: LlamaCPP, about: "llama.cpp's server", metrics: "start it with --metrics",
		columns: []column{
			promptTokens(plus(prompt, cached), plus(promptN, cacheN), usagePrompt),
			hitTokens(cached, cacheN, usageCached), l0Tokens(cached, cacheN, usageCached),
			prefillTokens(prompt, promptN), generatedTokens(generated, predictedN, usageGenerated),
			prefillMs(timing("prompt_ms", func(t *timings) *float64 { return t.PromptMs }), inMs(counter("llamacpp:prompt_seconds_total"))),
			decodeMs(timing("predicted_ms", func(t *timings) *float64 { return t.DecodeMs }), inMs(counter("llamacpp:tokens_predicted_seconds_total"))),
		},
		equal:   [][2]source{{cached, cacheN}, {prompt, promptN}, {cacheN, usageCached}, {plus(promptN, cacheN), usagePrompt}},
		rose:    [][2]source{{plus(prompt, cached), usagePrompt}, {generated, usageGenerated}},
		version: llamaVersion,
	}
}

// mlx-lm has no /metrics. Its cached_tokens is 1 for an unrelated prompt: the first token of every prompt is the same.
func mlxKind() *kind {
	return &kind{
		name: MLXLM, about: "mlx-lm's server",
		columns: []column{promptTokens(usagePrompt), hitTokens(usageCached), l0Tokens(usageCached), generatedTokens(usageGenerated)},
		derive:  restIsPrefill,
		model:   "default_model", // the one it was started with; /v1/models lists what was downloaded
		version: func(func(string, any) error) string { return "" },
	}
}

// SGLang shows a label only once something was counted under it. Its counters of computed tokens move at its log's
// interval and not with a turn, so they fill nothing. By its declared names: no server of it was seen.
func sglangKind() *kind {
	prompt, generated := counter("sglang:prompt_tokens_total"), counter("sglang:generation_tokens_total")
	from := func(value string) source {
		name := "sglang:cached_tokens_total"
		if value == "" {
			return born(counter(name), prompt)
		}
		return born(labelled(name, "cache_source", value), prompt)
	}
	device, host, storage := from("device"), from("host"), from("storage*")
	return &kind{
		name: SGLang, about: "SGLang", metrics: "start it with --enable-metrics", needed: true,
		columns: []column{
			promptTokens(usagePrompt, prompt), hitTokens(from("")), lowerTokens(plus(host, storage)),
			l0Tokens(device), l1Tokens(host), l2Tokens(storage),
			generatedTokens(generated, usageGenerated), evictedTokens(counter("sglang:evicted_tokens_total")),
			restoreMs(inMs(counter("sglang:load_back_duration_seconds"))),
			pdTransferMs(counter("sglang:kv_transfer_latency_ms")),
		},
		derive:  restIsPrefill,
		equal:   [][2]source{{from(""), plus(device, host, storage)}, {from(""), usageCached}},
		rose:    [][2]source{{prompt, usagePrompt}, {generated, usageGenerated}},
		version: versionAt("/get_server_info"),
	}
}

// restIsPrefill is for engines that count what they reuse and not what they compute.
func restIsPrefill(row *ledger.Row, _ *observed) {
	prompt, known := row.PromptTokens.Get()
	hit, counted := row.LookupHitTokens.Get()
	if known && counted {
		row.PrefillTokens = ledger.Some(prompt - hit)
		row.Note(ledger.Derived, "prefill_tokens")
	}
}

// versionAt reads the field "version" of a page.
func versionAt(path string) func(func(string, any) error) string {
	return func(get func(string, any) error) string {
		var v struct {
			Version string `json:"version"`
		}
		if get(path, &v) != nil { // it runs all the same
			return ""
		}
		return v.Version
	}
}

func llamaVersion(get func(string, any) error) string {
	var v struct {
		Build string `json:"build_info"`
	}
	if get("/props", &v) != nil {
		return ""
	}
	return v.Build
}
