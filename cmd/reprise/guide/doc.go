// Package guide is the guide that `reprise guide` prints: the article's twelve steps, a chapter each, with this program.
//
// It owns the chapters and their order. It must not know the command line: what it prints of flags is filled in by the caller.
// Every line of a block marked sh is a command that a test runs; a comment before the block names the test where it is not the
// guide's own (cmd/internal/cli).
package guide
