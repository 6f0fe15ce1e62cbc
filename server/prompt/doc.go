// Package prompt is prompt assembly, the second phase of a turn: a conversation or a raw text becomes ids, in one
// rendering, timed.
//
// It knows messages, templates and tokenizers; it must not know states, plans or HTTP. Labelled spans, echoed
// answers put back as generated, and the naming of a divergence come with the cache issue.
//
// Invariants: the ids are a function of the input alone, never of what a cache holds; a rendered conversation is
// tokenized without adding special tokens (its template writes them out), a raw text with them.
package prompt
