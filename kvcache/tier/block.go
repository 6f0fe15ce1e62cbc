package tier

import (
	"crypto/sha256"
	"encoding/hex"

	"reprise/kvcache"
)

// Step is the ids of a block of rows.
const Step = 256

// maxPart bounds a part of a block: what a remote store takes in one value.
const maxPart = 8 << 20

// Slot is the hash chain over a model and the ids up to a multiple of Step: where the blocks that begin there are listed.
type Slot [16]byte

func (s Slot) String() string { return hex.EncodeToString(s[:]) }

// Slots are those of the multiples of Step in the spelled ids, 0 first.
func Slots(model string, ids kvcache.Spelling) []Slot {
	h := sha256.Sum256([]byte("slot\x00" + model))
	out := []Slot{Slot(h[:16])}
	for to := Step; to <= ids.Len(); to += Step {
		h = sha256.Sum256(append(append([]byte{}, h[:]...), ids.Slice(to-Step, to)...))
		out = append(out, Slot(h[:16]))
	}
	return out
}

// Header is what is known of a block without its payload.
type Header struct {
	Model string
	Slot  Slot
	kvcache.Link
	Dtype string // of the rows, for people
	Parts []Part
}

// Part is a piece of a block's payload.
type Part struct {
	Kind   PartKind
	Codec  Codec
	Stored int64  // bytes as they are kept
	Raw    int64  // bytes as they were given
	Sum    uint64 // xxhash of the kept bytes
}

// PartKind says whether a part belongs to the rows or to the snapshot.
type PartKind uint8

// Codec is how a part's bytes are kept.
type Codec uint8

// The values are the format's.
const (
	Rows     PartKind = 1
	Snapshot PartKind = 2

	Plain Codec = 0
	Zstd  Codec = 1
)

// Block is a header with its parts' bytes.
type Block struct {
	Header
	Data [][]byte
}

// Bytes is the size of the payload as it is kept.
func (h *Header) Bytes() int64 {
	var n int64
	for _, p := range h.Parts {
		n += p.Stored
	}
	return n
}

// New makes a block of payloads; nil is none.
func New(model string, slot Slot, link kvcache.Link, dtype string, rows, snapshot []byte) *Block {
	b := &Block{Header: Header{Model: model, Slot: slot, Link: link, Dtype: dtype}}
	b.add(Rows, rows)
	b.add(Snapshot, snapshot)
	return b
}

func (b *Block) add(kind PartKind, data []byte) {
	for len(data) > 0 {
		n := min(len(data), maxPart)
		b.Parts = append(b.Parts, Part{Kind: kind, Stored: int64(n), Raw: int64(n), Sum: sum(data[:n])})
		b.Data = append(b.Data, data[:n:n])
		data = data[n:]
	}
}

// Payload puts the parts of a kind together again; nil when there are none.
func (b *Block) Payload(kind PartKind) []byte {
	var out []byte
	found := 0
	for i, p := range b.Parts {
		if p.Kind == kind {
			if found++; found == 1 {
				out = b.Data[i]
			} else {
				out = append(out[:len(out):len(out)], b.Data[i]...)
			}
		}
	}
	return out
}
