// Package sample chooses the next token on the device: greedy, temperature, top-k, top-p, min-p, with a seed.
//
// The filters and their order are mlx-lm's (sample_utils, 0.32.2): on the log-probabilities at temperature 1,
// first top-p, then min-p, then top-k; what is left is drawn from at the temperature.
// Before them stand, in this order, a bias (OpenAI's), the repetition penalty (of what stands in prompt or answer, as
// transformers has it), the presence and frequency penalties (of what the answer said, as OpenAI documents them), ids that are
// never sampled, and the mask of a grammar (model/sample/grammar), which so acts before anything is drawn.
// Log-probabilities are the model's own, before any of that.
//
// Invariants:
//
//   - Nothing here waits for the device but Choice.Read, for the one token and the few figures that were asked for.
//   - The draw depends on the logits, the parameters, the seed, the token's position and, with penalties, the ids before it
//     only, so a replayed or resumed turn draws alike.
//   - Params.Next is all that a greedy or filtered draw costs; a Sampler is for those that ask for more.
package sample
