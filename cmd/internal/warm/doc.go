// Package warm fills a server's cache before anyone asks: it reads requests from a file and runs each as a turn of
// purpose warmup, one token long.
//
// It owns the forms that such a file may have, and the goroutine that runs the turns. It must not know flags, nor what
// a request says: package openai parses it.
//
// Invariants:
//
//   - a file is read whole, or refused with the line that is wrong, before anything runs;
//   - the turns run in the file's order, through the same queue as everybody's; one that fails does not stop the rest;
//   - Close ends them, and comes back when the last one is gone;
//   - the log has counts and lines; no prompts.
package warm
