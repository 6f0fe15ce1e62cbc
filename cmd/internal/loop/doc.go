// Package loop drives the 50-turn loop: an agent's conversation whose prompt grows along a profile's line, sent to a
// server turn by turn, with what every turn reused, recomputed and could have reused.
//
// It owns the profiles, the layouts and sessions, how a prompt is sized, the files of a run (turns.csv, trace.jsonl,
// summary.json), and what a run may claim. Texts are package fixture's, ceilings package oracle's. It must not know
// flags, nor how a server computes: a Server answers turns, whatever stands behind it.
//
// Two runs of the same prompts are compared token by token (Same): with the reuse, sessions and tiers that a run adds, greedy answers
// stay what they were, or part where two tokens are equally probable.
//
// Invariants:
//
//   - Estimated tokens are the characters of all message contents and tool schemas ÷ 4, counted as prompt_tokens_est
//     is; whatever the model answers, they lie within 2 % of the profile's line (sessions of fresh conversations have
//     no line).
//   - Figures of a run are the server's rows and the oracle's findings on the run's own ids. What a row does not know
//     is null in every sum over it.
//   - At any moment the files on disk are whole: summary.json says incomplete until the last turn is in it.
package loop
