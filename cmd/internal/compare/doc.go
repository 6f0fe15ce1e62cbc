// Package compare puts runs side by side on a terminal: what their recipes differ in, their figures with what kind of evidence
// each is, ratios to the first run where both were measured, and why they may not be comparable.
//
// It owns which figures stand where, the ratios and the warnings. It must not know how a run's files are read, nor how a figure is
// made of them: both are package report's.
//
// Invariants:
//
//   - What was not measured is null in the object and – in the text, never 0, and has no ratio.
//   - An estimate is marked as one and has no ratio.
//   - Whatever makes runs incomparable is a warning, not an error: the figures are shown all the same.
package compare
