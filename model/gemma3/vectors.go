package gemma3

import "embed"

// Vectors are tiny checkpoints with the references' logits, for `reprise selftest`: testdata says what they are.
//
//go:embed testdata/tiny-q4
var Vectors embed.FS
