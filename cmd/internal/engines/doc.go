// Package engines runs the loop's turns on other OpenAI-compatible servers and fills the ledger's columns from what
// these count themselves: vLLM, vLLM with LMCache MP, llama.cpp's server, mlx-lm's server, SGLang.
//
// It owns the requests to them, the reading of their counters (/metrics before and after each turn, the usage and
// timings of the answer), and which counter stands for which column. It must not know how prompts are made, what a run
// sums up, or how a server is started.
//
// Invariants:
//
//   - A column is what a counter rose by during exactly one turn, or arithmetic on that; the row's evidence names it.
//     What the engine does not expose is null, never 0.
//   - What an engine says of the same tokens in two places must agree. Where it does not (somebody else used the
//     server, a version counts otherwise), the row's identity_error has both figures.
//   - The time to the first token and the decode rate are by the client's clock.
package engines
