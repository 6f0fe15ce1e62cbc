// Package responses translates OpenAI's Responses API to turns and back: POST /v1/responses.
//
// It must not know how a turn works, nor sockets: wire reads bodies, runs turns and writes events.
//
// Invariants:
//
//   - A request's parameter is implemented or refused by name; PARAMETERS.md beside package api has the list.
//   - A conversation that a client continues by previous_response_id is the one that it would have sent whole: the items of
//     the earlier requests and answers, without their instructions. So many are kept, in memory alone.
//   - Every event has the next sequence number, also one that only says that the server is alive.
package responses
