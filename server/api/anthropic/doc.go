// Package anthropic translates Anthropic's Messages API to turns and back: POST /v1/messages and its count_tokens.
//
// It must not know how a turn works, nor sockets: wire reads bodies, runs turns and writes events.
//
// Invariants:
//
//   - What changes from request to request without being a part of the conversation (cache_control, Claude Code's billing
//     header) never gets into the prompt.
//   - A request's parameter is implemented or refused by name; PARAMETERS.md beside package api has the list.
//   - input_tokens leaves out what the cache had, as in Anthropic's own usage.
package anthropic
