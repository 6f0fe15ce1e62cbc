package gguf

// scaleMin unpacks the j-th (0…7) six-bit scale and minimum of the twelve bytes
// that Q4_K and Q5_K keep them in: the first four pairs are the low six bits of
// bytes 0–7; the last four have their low nibbles in bytes 8–11 and their top
// two bits in the top bits of bytes 0–7.
func scaleMin(packed []byte, j int) (scale, minimum uint8) {
	if j < 4 {
		return packed[j] & 63, packed[j+4] & 63
	}
	return packed[j+4]&15 | packed[j-4]>>6<<4, packed[j+4]>>4 | packed[j]>>6<<4
}

// quantsK4 unpacks the 32 quants of sub-block j of Q4_K: byte i of every 32
// holds quant i of an even sub-block low and of the odd one after it high.
func quantsK4(q *[32]uint8, nibbles []byte, j int) {
	shift := 4 * (j & 1)
	for i, b := range nibbles[j/2*32:][:32] {
		q[i] = b >> shift & 15
	}
}

// quantsK5 is quantsK4 with the fifth bit of quant i in bit j of high[i].
func quantsK5(q *[32]uint8, high, nibbles []byte, j int) {
	quantsK4(q, nibbles, j)
	for i := range q {
		q[i] |= high[i] >> j & 1 << 4
	}
}

// Q4_K: halves d and dmin, twelve bytes of scales and minima, 128 of nibbles;
// value of sub-block j: (d·scale_j)·q − dmin·min_j.
func blockQ4_K(dst []float32, b []byte) {
	var q [32]uint8
	for j := range 8 {
		quantsK4(&q, b[16:], j)
		affineK(dst[32*j:], &q, b, j)
	}
}

// Q5_K: as Q4_K, with 32 bytes of fifth bits before the nibbles.
func blockQ5_K(dst []float32, b []byte) {
	var q [32]uint8
	for j := range 8 {
		quantsK5(&q, b[16:48], b[48:], j)
		affineK(dst[32*j:], &q, b, j)
	}
}

func affineK(dst []float32, q *[32]uint8, b []byte, j int) {
	scale, bias := scaleBiasK(b, j)
	for i := range q {
		dst[i] = scale*float32(q[i]) + bias
	}
}

// scaleBiasK gives d·scale_j and −dmin·min_j of a Q4_K or Q5_K block.
func scaleBiasK(b []byte, j int) (scale, bias float32) {
	s, m := scaleMin(b[4:16], j)
	return half(b) * float32(s), -(half(b[2:]) * float32(m))
}

// Q6_K: 128 bytes of low nibbles, 64 of top bit pairs, 16 signed scales, a half
// d; value d·scale·(q−32), a scale for every 16. The first half of the block
// takes the first 64 bytes of nibbles and 32 of pairs, the second the rest; in a
// half, quarter k has its nibbles in bytes 32·(k mod 2)…, low ones for k < 2, and
// its pairs in bits 2k.
func blockQ6_K(dst []float32, b []byte) {
	d := half(b[208:])
	for h := range 2 {
		low, high, scales := b[64*h:], b[128+32*h:], b[192+8*h:]
		for k := range 4 {
			for i := range 32 {
				q := low[32*(k&1)+i]>>(k/2*4)&15 | high[i]>>(2*k)&3<<4
				scale := float32(int8(scales[2*k+i/16]))
				dst[128*h+32*k+i] = d * scale * float32(int(q)-32)
			}
		}
	}
}
