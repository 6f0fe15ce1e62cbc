// Package chat turns a conversation into the text that a model was trained on,
// by rendering the checkpoint's own chat template.
//
// It owns the templates (built in, from a file, from a checkpoint), the shape
// of what they see (messages, tools, flags, special tokens) and the conventions
// of transformers' apply_chat_template around them. The template language is
// package jinja's. It must not know token ids, HTTP, sessions or the cache.
//
// Package parse goes the other way: what a model generates becomes a message.
//
// Invariants:
//
//  1. The text equals what transformers 5.23 renders from the same input, byte
//     for byte: the order of a client's keys, the form of its numbers, spaces.
//     testdata/vectors.json holds what Python gave.
//     RenderParts gives the same text: it watches the template read, and puts
//     nothing into what it reads.
//  2. A Template is immutable and safe for concurrent use; Render never writes
//     to its input.
//  3. A failing template is an error that a client can read, never a panic and
//     never a half-rendered prompt; one that does not end is stopped.
package chat
