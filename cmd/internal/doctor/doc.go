// Package doctor examines this machine for what reprise needs: libraries, device and kernels, memory, on a Mac its version, Metal
// and the working set, a model with tokenizer and template, folders, disk, the port, the agents' configuration. Every finding that is not in order has a line that mends it.
//
// It owns the findings and their words. It must not load weights, start a server or change anything: a folder is
// tried with a temporary file that is removed at once. What it asks of the system goes through a probe, so that a test can put
// another machine in its place; every finding that is not in order has a test that breaks the thing (TestMain checks).
package doctor
