package agents

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"reprise/cmd/internal/loop/oracle"
	"reprise/kvcache/ledger"
)

// Turn is one request that became a turn.
type Turn struct {
	Exchange
	Row    ledger.Row
	IDs    []int32 // of the prompt
	Side   bool    // it offers no tools: a title, a summary or the like beside the conversation
	Shared int     // ids that it has in common with the conversation's request before it; 0 for the first, and for a side request
}

// Share is the part of what was shared that was hit; 1 when nothing was shared.
func (t *Turn) Share() float64 {
	if t.Shared == 0 {
		return 1
	}
	hit := t.Row.LookupHitTokens.Or(0)
	return float64(hit) / float64(t.Shared)
}

// Turns finds the rows of what one client sent in one session, in order, and counts what each request shares with the one before:
// the server is asked for the ids of each body again, which it computes anew from the body.
func (s *Server) Turns(ctx context.Context, seen []Exchange) ([]Turn, error) {
	rows, err := s.Rows(ctx)
	if err != nil {
		return nil, err
	}
	var turns []Turn
	var before []int32 // the ids of the conversation's last request
	for _, x := range seen {
		if x.Turn == "" {
			continue
		}
		row, ok := rows[x.Turn]
		if !ok {
			return nil, fmt.Errorf("the ledger has no row of turn %s", x.Turn)
		}
		t := Turn{Exchange: x, Row: row}
		if t.IDs, err = s.ids(ctx, x); err != nil {
			return nil, fmt.Errorf("turn %s: %w", x.Turn, err)
		}
		if sum := checksum(t.IDs); row.PromptSHA256 != ledger.Some(sum) {
			return nil, fmt.Errorf("turn %s: the same request gives other ids now: %d of them, checksum %.12s", x.Turn, len(t.IDs), sum)
		}
		if t.Side = !offersTools(x.Body); !t.Side {
			t.Shared, before = oracle.Common(before, t.IDs), t.IDs
		}
		turns = append(turns, t)
	}
	return turns, nil
}

func offersTools(body []byte) bool {
	var request struct{ Tools []json.RawMessage }
	return json.Unmarshal(body, &request) == nil && len(request.Tools) > 0
}

// ids sends the body again, to be answered with one token and the prompt's ids.
func (s *Server) ids(ctx context.Context, x Exchange) ([]int32, error) {
	var body map[string]json.RawMessage
	if err := json.Unmarshal(x.Body, &body); err != nil {
		return nil, err
	}
	for _, gone := range []string{"stream", "stream_options", "max_tokens", "max_completion_tokens", "max_output_tokens", "prompt_cache_key"} {
		delete(body, gone)
	}
	limit := "max_tokens"
	if x.Path == "/v1/responses" {
		limit = "max_output_tokens"
	}
	body[limit], body["reprise"] = json.RawMessage("1"), json.RawMessage(`{"ids":true}`)
	var out struct {
		Usage struct {
			Reprise struct {
				IDs struct{ Prompt []int32 }
			}
		}
	}
	if err := s.ask(ctx, x.Path, body, &out); err != nil {
		return nil, err
	}
	if len(out.Usage.Reprise.IDs.Prompt) == 0 {
		return nil, fmt.Errorf("%s names no ids", x.Path)
	}
	return out.Usage.Reprise.IDs.Prompt, nil
}

// checksum is the ledger's of a prompt: of its ids as little-endian 32-bit integers.
func checksum(ids []int32) string {
	sum := sha256.New()
	_ = binary.Write(sum, binary.LittleEndian, ids) // a hash takes everything
	return hex.EncodeToString(sum.Sum(nil))
}
