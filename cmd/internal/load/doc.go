// Package load opens an engine the way a command's flags ask, with progress, and says what to do when it fails.
//
// It owns the meaning of --device, --threads, --activations and --model. It must not know of any one command.
package load
