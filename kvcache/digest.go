package kvcache

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
)

// Digest names a state by what it stands for and how it came about: the model, ids and media, and the forward calls.
// Lower tiers address blocks by it.
type Digest [sha256.Size]byte

// digest names the state at the end of b.
func (c *Cache) digest(b *block) Digest {
	return c.digestOf(b.tree().Fingerprint, b.calls, b.node.path(), map[*provenance]Digest{})
}

// digestOf chains the calls, oldest first, each over the ids that it fed. seen remembers what was chained already.
func (c *Cache) digestOf(fingerprint string, calls *provenance, path []atom, seen map[*provenance]Digest) Digest {
	var list []*provenance
	d := Digest(sha256.Sum256([]byte(fingerprint)))
	for p := calls; p != nil; p = p.prev {
		if known, ok := seen[p]; ok {
			d = known
			break
		}
		list = append(list, p)
	}
	for _, p := range slices.Backward(list) {
		buf := append([]byte(nil), d[:]...)
		for _, n := range []int{p.start, p.width, p.count, p.batch, len(p.beyond)} {
			buf = binary.LittleEndian.AppendUint64(buf, uint64(n))
		}
		buf = c.alphabet.spell(buf, path[p.start:p.end()])
		buf = c.alphabet.spell(buf, p.beyond)
		d = sha256.Sum256(buf)
		seen[p] = d
	}
	return d
}

// RootDigest is the digest of a state that has seen nothing.
func RootDigest(fingerprint string) Digest { return sha256.Sum256([]byte(fingerprint)) }
