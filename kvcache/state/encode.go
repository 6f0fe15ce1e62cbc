package state

import (
	"fmt"

	"reprise/mlx"
)

// EncodeSnapshot is the snapshot as bytes that DecodeSnapshot reads.
func EncodeSnapshot(s *mlx.Scope, snap Snapshot) ([]byte, error) {
	h, ok := snap.(*snapshot)
	if !ok {
		return nil, fmt.Errorf("state: the snapshot is not one of a state but %T", snap)
	}
	return h.encode(s, frame{from: h.offset, to: h.offset})
}

// EncodeRows is the rows as bytes that DecodeRows reads.
func EncodeRows(s *mlx.Scope, rows Rows) ([]byte, error) {
	r, ok := rows.(*rowCopies)
	if !ok {
		return nil, fmt.Errorf("state: the rows are not those of a state but %T", rows)
	}
	return r.encode(s, frame{rows: true, from: r.from, to: r.to})
}

// DecodeSnapshot reads what EncodeSnapshot wrote. The bytes may be anything: what they say is checked, and what a state
// is given of them is checked again by MoveTo.
func DecodeSnapshot(s *mlx.Scope, data []byte) (Snapshot, error) {
	f, err := parseFrame(data)
	if err != nil {
		return nil, err
	}
	if f.rows {
		return nil, fmt.Errorf("state: rows %d to %d are not a snapshot", f.from, f.to)
	}
	snap := &snapshot{offset: f.from}
	if err := snap.decode(s, f); err != nil {
		return nil, err
	}
	return snap, nil
}

// DecodeRows reads what EncodeRows wrote, from any bytes, as DecodeSnapshot does.
func DecodeRows(s *mlx.Scope, data []byte) (Rows, error) {
	f, err := parseFrame(data)
	if err != nil {
		return nil, err
	}
	if !f.rows {
		return nil, fmt.Errorf("state: a snapshot at %d is not rows", f.from)
	}
	r := &rowCopies{from: f.from, to: f.to}
	if err := r.decode(s, f); err != nil {
		return nil, err
	}
	return r, nil
}

func (h *holding) encode(parent *mlx.Scope, f frame) ([]byte, error) {
	s := parent.Child()
	defer s.Close()
	for _, p := range h.parts {
		l := frameLayer{kind: p.kind, quantization: p.quantization}
		for _, a := range p.arrays {
			data, err := s.Bytes(a)
			if err != nil {
				return nil, err
			}
			l.tensors = append(l.tensors, tensor{a.Dtype(), a.Shape(), data})
		}
		f.layers = append(f.layers, l)
	}
	return f.append(make([]byte, 0, f.size()))
}

func (h *holding) decode(parent *mlx.Scope, f frame) error {
	s := parent.Child()
	defer s.Close()
	for _, l := range f.layers {
		p := part{kind: l.kind, quantization: l.quantization}
		for _, t := range l.tensors {
			p.arrays = append(p.arrays, s.FromBytes(t.data, t.dtype, t.shape...))
		}
		h.parts = append(h.parts, p)
	}
	return h.keep(s)
}
