// Package dash is the page at /: live turns as bars of where their prompts came from, a turn's detail with the reason of its
// miss in words and both texts where it left what was known, memory, and a chat box.
//
// It is one page without any request to another host. It must not know turns: the page reads what the server prints for
// everyone (/v1/cache/ledger, /v1/cache/why, /v1/cache/stats, /v1/models, /v1/chat/completions).
//
// Invariants:
//
//   - Texts of prompts and answers are hostile: the page only ever sets them as text.
//   - Style and script are named by their checksums in the page's Content-Security-Policy; nothing else runs.
package dash
