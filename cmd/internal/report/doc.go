// Package report makes one self-contained HTML page of runs: where every prompt's tokens came from, the ceiling, times,
// memory, the worst turns with their reasons and texts, the claims and the recipe; and of one plot a PNG.
//
// It owns how a run's files are read (turns.csv, trace.jsonl, summary.json, the article's own CSV, a ledger), what is
// plotted, and the page. It must not know flags, servers or models: text of ids comes through a function.
//
// Invariants:
//
//   - What the page plots is in its elements' data attributes, to the digit that the CSV has.
//   - What was not measured is a gap: it is never drawn, summed or printed as 0.
//   - The page asks nobody for anything: no URL, no font, no script from elsewhere; text from runs is never markup.
//   - A run that is incomplete, and a column that is an estimate, say so beside every plot of theirs.
package report
