// Package mimic answers the turns of a dry run: the real template and tokenizer make ids of each prompt, the real prefix tree
// looks them up, and nothing is computed.
//
// It owns a state that is nothing but an offset, which the tree moves like a model's. It must not know weights or devices.
// What it counts is what a server would count whose model can go back to any token and whose memory is large enough: an
// estimate of that server's figures, and each field says so. Nothing is timed but the assembly and the lookup.
package mimic
