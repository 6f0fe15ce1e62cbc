package loop

import "reprise/kvcache/ledger"

// Span is a part of a request, in the order in which it was gone through. Durations are the row's; a beginning is the
// sum of what came before, because phases follow each other, and counts from the moment that the request was sent.
type Span struct {
	Name    string  `json:"name"`    // request, or a phase under it
	Process string  `json:"process"` // the row's worker
	TurnID  string  `json:"turn_id"`
	Start   float64 `json:"start_ms"`
	Ms      float64 `json:"ms"`
}

// spansOf are a turn's: those of the process that computed the prompt, if another did, then those of the one that answered.
func spansOf(r *Record) []Span {
	var out []Span
	at := 0.0
	if r.Prefill != nil {
		out = append(out, request(r.Prefill, 0)...)
		at = out[0].Ms
		if ms, ok := r.Prefill.PDTransferMs.Get(); ok {
			out = append(out, Span{"handover", r.Prefill.Worker, r.Prefill.TurnID, at, ms})
			at += ms
		}
	}
	return append(out, request(&r.Row, at)...)
}

// request is a row's span and those of its phases.
func request(row *ledger.Row, from float64) []Span {
	out := []Span{{Name: "request", Process: row.Worker, TurnID: row.TurnID, Start: from}}
	at := from
	for _, p := range []struct {
		name string
		ms   ledger.Opt[float64]
	}{
		{"template", row.TemplateMs}, {"tokenize", row.TokenizeMs}, {"l1_load", row.L1LoadMs}, {"l2_transfer", row.L2TransferMs}, {"queue", row.QueueMs},
		{"lookup", row.LookupMs}, {"restore", row.RestoreMs}, {"prefill", row.PrefillMs}, {"decode", row.DecodeMs},
	} {
		ms, ok := p.ms.Get()
		if !ok {
			continue
		}
		out = append(out, Span{p.name, row.Worker, row.TurnID, at, ms})
		at += ms
	}
	out[0].Ms = at - from
	return out
}
