// Package logits computes every position's logits and a greedy continuation in float32 on the CPU device, whatever
// the checkpoint's dtype: the values that parity checks compare.
//
// It owns the ids file, the output file and their checks. It must not sample, cache or serve: package probe runs the
// model.
package logits
