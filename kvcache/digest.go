package kvcache

import (
	"crypto/sha256"
	"encoding/binary"
)

// Digest names a state by what it stands for and how it came about: the model, ids and media, and the forward calls.
// Lower tiers address blocks by it.
type Digest [sha256.Size]byte

// digest names the state at the end of b.
func (c *Cache) digest(b *block) Digest {
	return c.digestOf(b.tree().Fingerprint, b.calls, b.node.path(), map[*provenance]Digest{})
}

// spell writes atoms so that they mean the same in every process.
func (a *alphabet) spell(buf []byte, x []atom) []byte {
	for _, v := range x {
		if v >= 0 {
			buf = binary.LittleEndian.AppendUint32(buf, uint32(v))
			continue
		}
		m := a.media[-1-v]
		buf = binary.LittleEndian.AppendUint32(buf, 1<<31|uint32(m.id))
		buf = binary.LittleEndian.AppendUint64(buf, uint64(m.width))
		buf = binary.LittleEndian.AppendUint64(buf, uint64(len(m.identity)))
		buf = append(buf, m.identity...)
	}
	return buf
}
