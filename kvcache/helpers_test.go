package kvcache

import (
	"math/rand/v2"
	"slices"
)

// span is ids from, from+1, … of length n: equal spans are equal texts.
func span(from, n int) []int32 {
	ids := make([]int32, n)
	for i := range ids {
		ids[i] = int32(from + i)
	}
	return ids
}

func join(parts ...[]int32) []int32 { return slices.Concat(parts...) }

// few are n ids of an alphabet so small that prompts share prefixes by chance.
func few(rng *rand.Rand, n int) []int32 {
	ids := make([]int32, n)
	for i := range ids {
		ids[i] = int32(rng.IntN(3))
	}
	return ids
}
