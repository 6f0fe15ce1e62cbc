// Package plan says before a download what a model would cost on a machine: bytes of weights by part, of state by kind of
// layer, of snapshots and of a prefill's work, what is left, what bandwidth lets decode reach, and what a loop of turns takes
// with and without reuse. It ends in a verdict with the figure that decides it, and in what may not be claimed.
//
// It owns the recipes, the table of machines, the arithmetic and its words. Bytes of weights and of state follow from config
// and quantization by model/hub, as `models inspect` prints them. It must not load weights, and it measures nothing: a run's
// figures stand beside its own only when the run is named.
//
// Invariants:
//
//   - a byte of weights or state is computed, never a constant of a model; what cannot be computed carries its evidence:
//     derived from published figures, or estimated, with the assumption in words;
//   - what is not known (a bandwidth, a speed) is null, and nothing that follows from it is a number;
//   - bytes are exact in JSON, GB are decimal;
//   - the parts add up: weights are the sum of their lines, left is room less what is needed.
package plan
