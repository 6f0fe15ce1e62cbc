// Package console is how commands write: sizes and rates as people read them, dimmed text, progress that redraws
// one line on a terminal and prints plain lines elsewhere.
//
// It must not know what is being written. Nothing here is kept between calls but a Progress's own state, which one
// goroutine uses.
package console
