package loop

import (
	"slices"

	"reprise/kvcache/ledger"
)

// rows are the run's, with those of the process that computes prompts for another.
func (t *tally) rows() []*ledger.Row {
	var out []*ledger.Row
	for i := range t.records {
		if p := t.records[i].Prefill; p != nil {
			out = append(out, p)
		}
		out = append(out, &t.records[i].Row)
	}
	return out
}

// peaks are the largest of any process, and of each.
func (t *tally) peaks() Peaks {
	var p Peaks
	at := map[string]int{}
	for _, r := range t.rows() {
		i, ok := at[r.Worker]
		if !ok {
			i = len(p.Processes)
			at[r.Worker] = i
			p.Processes = append(p.Processes, ProcessPeak{Worker: r.Worker})
		}
		of := &p.Processes[i]
		of.Turns++
		raise(&of.MLX, r.MLXPeakBytes)
		raise(&p.MLX, r.MLXPeakBytes)
		raise(&of.Footprint, r.FootprintPeakBytes)
		raise(&p.Footprint, r.FootprintPeakBytes)
	}
	return p
}

// raise lifts a peak that may not be known yet.
func raise(most **int64, field ledger.Opt[int64]) {
	if n, ok := field.Get(); ok && (*most == nil || n > **most) {
		*most = &n
	}
}

// tiers sums up what each gave and took. The times of two rows never cover the same work.
func (t *tally) tiers(k Tokens) []Tier {
	rows := t.rows()
	ms := func(field func(*ledger.Row) ledger.Opt[float64]) *float64 { return total(rows, field) }
	bytes := func(field func(*ledger.Row) ledger.Opt[int64]) *int64 { return total(rows, field) }
	return []Tier{
		{"l0", k.L0, bytes(func(r *ledger.Row) ledger.Opt[int64] { return r.RestoreBytes }), ms(func(r *ledger.Row) ledger.Opt[float64] { return r.RestoreMs }), nil, nil},
		{"l1", k.L1, bytes(func(r *ledger.Row) ledger.Opt[int64] { return r.L1ReadBytes }), ms(func(r *ledger.Row) ledger.Opt[float64] { return r.L1LoadMs }),
			bytes(func(r *ledger.Row) ledger.Opt[int64] { return r.L1WriteBytes }), ms(func(r *ledger.Row) ledger.Opt[float64] { return r.L1StoreMs })},
		{"l2", k.L2, bytes(func(r *ledger.Row) ledger.Opt[int64] { return r.L2ReadBytes }), ms(func(r *ledger.Row) ledger.Opt[float64] { return r.L2TransferMs }),
			bytes(func(r *ledger.Row) ledger.Opt[int64] { return r.L2WriteBytes }), ms(func(r *ledger.Row) ledger.Opt[float64] { return r.L2StoreMs })},
	}
}

// total adds a field up over the rows that know it; nil when none does.
func total[T int64 | float64](rows []*ledger.Row, field func(*ledger.Row) ledger.Opt[T]) *T {
	var sum *T
	for _, r := range rows {
		if n, ok := field(r).Get(); ok {
			if sum == nil {
				sum = new(T)
			}
			*sum += n
		}
	}
	return sum
}

// handoverNote says what pd_transfer_ms is made of.
const handoverNote = "pd_transfer_ms is the storing process's time from the end of its prefill until its state lies in L2 whole (read out of the device, packed, sent), and the fetching process's time to list and fetch it; putting it onto the device is in that one's ttft_ms"

// handover sums up what a process that computes prompts for another one did; nil when there is none.
func (t *tally) handover() *Handover {
	var first []*ledger.Row
	var all, stored, fetched []float64
	for i := range t.records {
		p, r := t.records[i].Prefill, &t.records[i].Row
		if p == nil {
			continue
		}
		first = append(first, p)
		for _, x := range []struct {
			field ledger.Opt[float64]
			to    *[]float64
		}{{r.PDTransferMs, &all}, {p.PDTransferMs, &stored}, {r.L2TransferMs, &fetched}} {
			if ms, ok := x.field.Get(); ok {
				*x.to = append(*x.to, ms)
			}
		}
	}
	if first == nil {
		return nil
	}
	records := slices.Clone(t.records)
	records = slices.DeleteFunc(records, func(r Record) bool { return r.Prefill == nil })
	hit := sumOf(records, func(r *Record) ledger.Opt[int] { return r.Prefill.LookupHitTokens })
	ceiling := Sum{unknown: t.blind}
	for _, v := range t.verdicts {
		if v.Prefill != nil {
			ceiling.n += v.Prefill.Ceiling
		}
	}
	return &Handover{
		Prefill: sumOf(records, func(r *Record) ledger.Opt[int] { return r.Prefill.PrefillTokens }),
		Hit:     hit, OfCeiling: share(hit, ceiling),
		PrefillMs: total(first, func(r *ledger.Row) ledger.Opt[float64] { return r.PrefillMs }),
		Transfer:  median(all), Stored: median(stored), Fetched: median(fetched),
		WriteBytes: total(first, func(r *ledger.Row) ledger.Opt[int64] { return r.L2WriteBytes }),
		ReadBytes:  times64(records), Note: handoverNote,
	}
}

// times64 is what the answering process read of L2.
func times64(records []Record) *int64 {
	rows := make([]*ledger.Row, len(records))
	for i := range records {
		rows[i] = &records[i].Row
	}
	return total(rows, func(r *ledger.Row) ledger.Opt[int64] { return r.L2ReadBytes })
}
