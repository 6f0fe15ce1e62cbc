// Package sample chooses the next token on the device: greedy, temperature, top-k, top-p, min-p, with a seed.
//
// The filters and their order are mlx-lm's (sample_utils, 0.32.2): on the log-probabilities at temperature 1,
// first top-p, then min-p, then top-k; what is left is drawn from at the temperature.
//
// Invariants: nothing here waits for the device; the draw depends on the logits, the parameters, the seed and the
// token's position only, so a replayed or resumed turn draws alike.
package sample
