// Package doctor examines this machine for what reprise needs: libraries, device, memory, a model with tokenizer and
// template, folders, the port, the agents' configuration. Every finding that is not in order has a line that mends it.
//
// It owns the findings and their words. It must not load weights, start a server or change anything: a folder is
// tried with a temporary file that is removed at once.
package doctor
