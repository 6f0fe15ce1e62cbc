package mlx

import (
	"fmt"
	"math/bits"
	"slices"
	"testing"
)

// threefry is Threefry-2x32 of 20 rounds, written from Salmon et al., "Parallel random numbers: as easy as 1, 2, 3"
// (SC 2011): the generator that MLX documents for its keys.
func threefry(key, counter [2]uint32) [2]uint32 {
	rotations := [2][4]int{{13, 15, 26, 6}, {17, 29, 16, 24}}
	schedule := [3]uint32{key[0], key[1], 0x1BD11BDA ^ key[0] ^ key[1]}
	x := [2]uint32{counter[0] + schedule[0], counter[1] + schedule[1]}
	for group := range 5 { // four rounds, then a key injection
		for _, r := range rotations[group%2] {
			x[0] += x[1]
			x[1] = bits.RotateLeft32(x[1], r) ^ x[0]
		}
		x[0] += schedule[(group+1)%3]
		x[1] += schedule[(group+2)%3] + uint32(group+1)
	}
	return x
}

// threefryWords gives n words as MLX lays them out: the first half are the first words of the counter pairs
// (i, i + half), the second half their second words; with n odd the middle word stands alone, its counter's second part 0.
func threefryWords(key [2]uint32, n int) []uint32 {
	words, half, up := make([]uint32, n), n/2, (n+1)/2
	for i := range half {
		x := threefry(key, [2]uint32{uint32(i), uint32(i + up)})
		words[i], words[i+up] = x[0], x[1]
	}
	if n%2 == 1 {
		words[half] = threefry(key, [2]uint32{uint32(half), 0})[0]
	}
	return words
}

func TestRandomBitsAreThreefry(t *testing.T) {
	// The published known answers of Random123.
	if got := threefry([2]uint32{}, [2]uint32{}); got != [2]uint32{0x6b200159, 0x99ba4efe} {
		t.Fatalf("the test's own Threefry gives %x", got)
	}
	ones := [2]uint32{0xffffffff, 0xffffffff}
	if got := threefry(ones, ones); got != [2]uint32{0x1cb996fc, 0xbb002be7} {
		t.Fatalf("the test's own Threefry gives %x", got)
	}
	onWorker(t, func(s *Scope) error {
		for _, seed := range []uint64{0, 42, 7<<32 + 5} {
			for _, shape := range [][]int{{8}, {7}, {3, 5}, {1}} {
				got, err := Read[uint32](s, s.RandomBits(shape, 4, s.Key(seed)))
				if err != nil {
					return fmt.Errorf("shape %v: %w", shape, err)
				}
				want := threefryWords([2]uint32{uint32(seed >> 32), uint32(seed)}, len(got))
				if !slices.Equal(got, want) {
					t.Errorf("seed %d, shape %v: %x, want %x", seed, shape, got, want)
				}
			}
		}
		for width, dtype := range map[int]Dtype{1: Uint8, 2: Uint16, 4: Uint32} {
			if a := s.RandomBits([]int{2, 3}, width, s.Key(1)); a.Dtype() != dtype || !slices.Equal(a.Shape(), []int{2, 3}) {
				t.Errorf("width %d gives %v, want %v[2 3]", width, a, dtype)
			}
		}
		return s.Err()
	})
}
