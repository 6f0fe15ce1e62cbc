// Package jinja renders chat templates written in Jinja, with the output that
// Python's Jinja2 gives in the environment that Hugging Face transformers sets
// up for apply_chat_template: trim_blocks, lstrip_blocks, an immutable sandbox,
// loop controls, the {% generation %} tag, raise_exception, strftime_now and a
// tojson that is json.dumps(ensure_ascii=False).
//
// It owns the lexer, the parser, the evaluator and Python's value semantics as
// far as templates can see them: how numbers, strings, None and containers
// print, compare and truncate, and the order of dict keys. It must not know
// what a message, a tool or a model is; package chat does.
//
// Why not a general Go port of Jinja: gonja v2.9.1 was measured first. It makes
// no difference between None and undefined (both print as the empty string),
// cuts strings by bytes, strips white space in front of a block that does not
// begin its line, has no conditional expression inside parentheses and reads
// `a in b|f` as `(a in b)|f`. Gemma 4's template over a captured request with
// all of OpenClaw's tools took it 360 ms, and takes this package 19 ms on the
// same two cores. A prompt that differs in one space is another prompt, to the
// model and to the cache.
//
// Invariants:
//
//  1. A Template is immutable after Parse; Render may be called from many
//     goroutines.
//  2. Input values are never written to. Templates cannot mutate anything but
//     a namespace() that they made themselves (the sandbox is immutable).
//  3. Every render ends: loops, calls and the bytes that expressions produce
//     are charged to a budget (Limits), nesting is bounded in the parser, in
//     calls and in data, and the context is polled.
//  4. What is not implemented is an error that names it, never other output:
//     extends, include, import, block, autoescape, and the filters that only
//     make sense for HTML pages.
//
// Not modelled: Markup arithmetic (autoescape is off, so `safe` returns the
// string as it is) and laziness of generators (map, select and their like are
// computed at once, but can be read once only, as in Python).
package jinja
