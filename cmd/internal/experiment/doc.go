// Package experiment writes the folder of `bench init`: texts to edit, a smoke image, the commands of the experiment, and a skill
// file with which a coding agent can run it.
//
// It owns the folder's files and their words. It must not know how a loop runs: the commands are the command line's, and a test
// of cmd/internal/cli runs each of them.
package experiment
