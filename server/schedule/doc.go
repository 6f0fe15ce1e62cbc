// Package schedule is the queue of steps on the one worker: a step is one prefill chunk or one decode step.
// Turns take their steps one by one, so that a long prefill can be cancelled between two chunks and, later, other
// turns' steps can come between. It decides order and nothing else.
package schedule
