package loop

import (
	"encoding/json"
	"slices"

	"reprise/kvcache/ledger"
)

// Sum adds up a field of the rows, and is unknown, null in JSON, as soon as one of them is.
type Sum struct {
	n       int
	unknown bool
}

// Get returns the sum and whether it is known.
func (s Sum) Get() (int, bool) { return s.n, !s.unknown }

// MarshalJSON writes the number or null.
func (s Sum) MarshalJSON() ([]byte, error) {
	if s.unknown {
		return []byte("null"), nil
	}
	return json.Marshal(s.n)
}

// UnmarshalJSON reads a number or null.
func (s *Sum) UnmarshalJSON(b []byte) error {
	var n *int
	if err := json.Unmarshal(b, &n); err != nil {
		return err
	}
	*s = Sum{unknown: n == nil}
	if n != nil {
		s.n = *n
	}
	return nil
}

// sumOf adds up a field.
func sumOf(rows []Record, field func(*Record) ledger.Opt[int]) Sum {
	var s Sum
	for i := range rows {
		n, ok := field(&rows[i]).Get()
		s.n += n
		s.unknown = s.unknown || !ok
	}
	return s
}

// times adds up milliseconds of those rows that know some of the fields; nil when none does.
func times(rows []Record, fields func(*ledger.Row) []ledger.Opt[float64]) *float64 {
	var sum float64
	known := false
	for i := range rows {
		for _, f := range fields(&rows[i].Row) {
			ms, ok := f.Get()
			sum, known = sum+ms, known || ok
		}
	}
	if !known {
		return nil
	}
	return &sum
}

// largest is a field's largest value, nil when no row knows it.
func largest(rows []Record, field func(*ledger.Row) ledger.Opt[int64]) *int64 {
	var most *int64
	for i := range rows {
		if n, ok := field(&rows[i].Row).Get(); ok && (most == nil || n > *most) {
			most = &n
		}
	}
	return most
}

// share is part ÷ whole, nil unless both are known.
func share(part, whole Sum) *float64 {
	if part.unknown || whole.unknown || whole.n == 0 {
		return nil
	}
	x := float64(part.n) / float64(whole.n)
	return &x
}

// plus adds two sums.
func (s Sum) plus(t Sum) Sum { return Sum{s.n + t.n, s.unknown || t.unknown} }

// median of values, the mean of the middle two when they are even; nil of none.
func median(values []float64) *float64 {
	if len(values) == 0 {
		return nil
	}
	sorted := slices.Sorted(slices.Values(values))
	mid := len(sorted) / 2
	m := sorted[mid]
	if len(sorted)%2 == 0 {
		m = (sorted[mid-1] + m) / 2
	}
	return &m
}
