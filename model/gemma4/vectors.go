package gemma4

import "embed"

// Vectors are tiny checkpoints with the references' logits, for `reprise selftest`: testdata says what they are.
//
//go:embed testdata/tiny-q4 testdata/tiny-q4-moe
var Vectors embed.FS
