// Package events reads the server-sent events in which OpenAI-compatible servers stream their answers.
//
// It owns the lines, the end mark and what is said of a broken stream. It must not know what an event holds: whoever asked
// a server knows that.
package events
