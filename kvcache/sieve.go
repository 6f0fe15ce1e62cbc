package kvcache

import "math/bits"

// sieve is a set of keys that says no to nearly all of those that it has not, and looks at one word for that: a key sets
// three bits of a word, of which it chooses one of many. Nothing can be taken out; a sieve that is full is made anew.
type sieve struct {
	words []uint64 // a power of two of them, or none
	n     int      // keys that were sown, equal ones as often as that
}

// sieveKeys is how many keys a word takes, on average, in a full sieve.
const sieveKeys = 6

// newSieve makes one with room for twice as many keys, and more.
func newSieve(n int) sieve {
	return sieve{words: make([]uint64, 1<<bits.Len(uint(max(2*n/sieveKeys, 63))))}
}

// full says whether the sieve has no room for so many keys more.
func (s *sieve) full(more int) bool { return s.n+more > len(s.words)*sieveKeys }

// pick chooses a key's bits.
func pick(key uint32) uint64 {
	h := key * 0x9E3779B1 // the key's low bits choose the word
	return 1<<(h>>26) | 1<<(h>>20&63) | 1<<(h>>14&63)
}

// sow takes a key in. There must be room for it.
func (s *sieve) sow(key uint32) {
	s.words[int(key)&(len(s.words)-1)] |= pick(key)
	s.n++
}

// has is true for every key that was sown, and for few others.
func (s *sieve) has(key uint32) bool {
	if len(s.words) == 0 {
		return false
	}
	picked := pick(key)
	return s.words[int(key)&(len(s.words)-1)]&picked == picked
}

// sift lists the offsets, from the first key's on, of those keys that may have been sown. It writes them to some, which has
// room for all.
func (s *sieve) sift(some []int32, keys []uint32, first int) []int32 {
	n := 0
	for i, key := range keys {
		some[n] = int32(first + i)
		if s.has(key) {
			n++
		}
	}
	return some[:n]
}
