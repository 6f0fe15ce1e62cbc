// Package openai speaks OpenAI's API: chat completions, completions and models, streamed or whole, and its shape of
// errors. It translates requests to engine.Request (Parse does so outside a request, for warm-ups) and events and
// results back; it decides nothing about a turn.
//
// It must not know sockets, keys or limits of the server (package api), nor how ids are made or states kept.
//
// Choices where OpenAI's API leaves one:
//
//   - Absent sampling parameters are the checkpoint's (generation_config.json); what it does not say is OpenAI's
//     default: temperature 1, top_p 1. Absent max_tokens: what the context has room for; 16 for /v1/completions.
//   - top_p 0 means greedy: it is the limit of the rule.
//   - n answers are computed one after the other, each a turn with its own row, the seeds counting up from the first's. Usage
//     counts the prompt once; its extension and X-Reprise-Turn are the first turn's. best_of, echo and suffix are refused.
//   - /tokenize takes the body of either completion, and then gives the ids that the turn would begin with; of a text also
//     without the special tokens in front (add_special_tokens: false). /detokenize takes tokens.
//   - developer messages are system messages: templates know only these.
//   - tool_choice "none" leaves the tools in the prompt, whose state is kept; the marker that opens a call is never sampled, and
//     nothing is a call. "required" and a named function hold the answer to a call's grammar, as does parallel_tool_calls
//     false to no more than one; "auto" without that leaves the model free.
//   - response_format also has {"type": "regex", "regex": …} and {"type": "grammar", "grammar": …} (llguidance's Lark), also for
//     /v1/completions. strict is always so. Beside tools an answer is of the form, or calls.
//   - logprobs are the model's own, before bias, penalties, temperature, filters and masks; one entry for every token that was
//     generated but the one that ends the answer, reasoning's and calls' markers included.
//   - Reasoning is reasoning_content, streamed and whole, and read under that name in history.
//   - A call streams as index, id, type and name with empty arguments, then pieces of the arguments' JSON: at least one for
//     every parameter, texts as they come. An answer that ends within a call ends with finish_reason length, its arguments
//     closed; content is null beside calls without text. Calls' ids are letters and digits: clients strip the rest.
//   - Fields outside the API are an error that names them, as are those whose effect does not exist here; the ones
//     that real clients send and that can have no effect on one local model are accepted (see accepted).
//   - usage carries reprise.row, the turn's ledger row, when the request asks for it; and reprise.ids, for measuring
//     and debugging, when it has "reprise": {"ids": true}: prompt and generated ids, and how many of both together
//     entered the model. "reprise": {"reuse": false} computes the whole prompt, whatever is held.
//     "stored": true ends the answer only when the turn's state lies in the lower tiers. "pd": "prefill" computes a prompt for
//     another process that shares L2, and ends when it can be fetched (pd_transfer_ms says how long that took behind the
//     prefill); "pd": "decode" there fetches it, however little that spares.
package openai
