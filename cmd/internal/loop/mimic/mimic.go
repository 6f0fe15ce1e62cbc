package mimic

import (
	"context"
	"fmt"
	"time"

	"reprise/cmd/internal/loop"
	"reprise/kvcache"
	"reprise/kvcache/ledger"
	"reprise/model/chat"
	"reprise/server/engine"
	"reprise/server/prompt"
)

// memory is the tree's budget: more than any run needs, at a byte a token.
const memory = 1 << 40

// modelName is the tree's name for the model that is not there.
const modelName = "none"

// Server plays a run's turns on a prefix tree.
type Server struct {
	prompts *engine.Prompts
	cache   *kvcache.Cache
}

var _ loop.Mimic = (*Server)(nil)

// New plays with the prompts that a model's template and tokenizer make.
func New(p *engine.Prompts) *Server {
	s := &Server{prompts: p, cache: kvcache.New(kvcache.Options{Budget: memory})}
	s.cache.Add(kvcache.Model{Fingerprint: modelName, RowBytes: 1})
	return s
}

// Turn looks the prompt up and notes that it and the answer, which is made up, were computed.
func (s *Server) Turn(ctx context.Context, p *loop.Prompt, o *loop.Options, answer string) (*loop.Answer, error) {
	in, err := input(p)
	if err != nil {
		return nil, err
	}
	made, err := s.prompts.Assemble(ctx, in)
	if err != nil {
		return nil, err
	}
	ids, err := s.prompts.Encode(answer)
	if err != nil {
		return nil, err
	}
	turn := fmt.Sprintf("dry_%02d", p.Turn)
	start := time.Now()
	plan, wait, err := s.cache.Begin(kvcache.Request{
		Model: modelName, Turn: turn, NewSession: "session_" + p.Conversation, Purpose: string(ledger.PurposeTurn),
		Prompt:  kvcache.Prompt{Sequence: kvcache.Sequence{IDs: made.IDs}, Static: made.StaticEnd, FirstUser: made.FirstUserEnd, Wants: made.Wanted},
		NoReuse: o.NoReuse, Expect: len(ids),
	})
	lookup := time.Since(start)
	if err != nil || wait != nil {
		return nil, fmt.Errorf("turn %s: %w (waits: %t)", turn, err, wait != nil)
	}
	computed, err := s.compute(plan, made.IDs, ids)
	if err != nil {
		return nil, err
	}
	if o.Assistant == loop.Generated { // scripted answers are nobody's: they come back as text
		s.prompts.Remember(made, ids, answer)
	}
	a := &loop.Answer{Text: answer, Prompt: made.IDs, Generated: ids, Computed: computed, Static: made.StaticEnd}
	a.Row = row(turn, plan, made, len(ids), lookup)
	return a, nil
}

// compute moves the state over what the plan leaves to compute and over the answer, less its last token.
func (s *Server) compute(plan *kvcache.Plan, prompt, answer []int32) (int, error) {
	restored, err := plan.Restore(func() kvcache.State { return &state{} })
	if err != nil {
		return 0, err
	}
	ids := append(append([]int32{}, prompt[plan.Hit:]...), answer[:max(0, len(answer)-1)]...)
	restored.(*state).at += len(ids)
	if err := plan.Commit(kvcache.Made{IDs: ids, Calls: []kvcache.Step{{Width: len(ids), Batch: 1}}}); err != nil {
		plan.Abort()
		return 0, err
	}
	plan.Close()
	s.cache.Sweep()
	return plan.Hit + len(ids), nil
}

// input is a prompt as a request would bring it.
func input(p *loop.Prompt) (in prompt.Input, err error) {
	for _, m := range p.Messages {
		in.Messages = append(in.Messages, chat.NewMessage(m.Role, m.Content))
	}
	for _, raw := range p.Tools {
		tool, err := chat.DecodeOrdered(raw)
		if err != nil {
			return in, fmt.Errorf("a tool of the fixtures: %w", err)
		}
		in.Tools = append(in.Tools, tool)
	}
	return in, nil
}

// row is what the tree says, each count an estimate of a server's.
func row(turn string, plan *kvcache.Plan, p *prompt.Prompt, generated int, lookup time.Duration) ledger.Row {
	some, m, n := ledger.Some[int], &plan.Match, len(p.IDs)
	r := ledger.Row{
		TurnID: turn, SessionID: m.Session, Time: time.Now().UTC(), Purpose: ledger.PurposeTurn, Worker: "dry run", FinishReason: ledger.Some(ledger.FinishLength),
		PromptTokens: some(n), PromptTokensEst: some(p.Characters / 4), LookupRequestedTokens: some(m.Requested), MatchedTokens: some(m.Matched),
		LookupHitTokens: some(m.Hit), L0HitTokens: some(m.Hit), L1HitTokens: some(0), L2HitTokens: some(0), LowerHitTokens: some(0),
		RecomputeTokens: some(m.Matched - m.Hit), NewTokens: some(n - m.Matched), DisplacedTokens: some(m.Displaced), PaidAgainTokens: some(m.Matched - m.Hit + m.Displaced),
		PrefillTokens: some(n - m.Hit), UnprefilledTokens: some(0), SplicedTokens: some(p.Spliced), GeneratedTokens: some(generated),
		LimitedBy: ledger.Some(ledger.LimitedBy(m.LimitedBy)), MissReason: ledger.Some(ledger.MissReason(m.Miss)), MatchedPath: m.Path,
		TemplateMs: ledger.Ms(p.TemplateTime), TokenizeMs: ledger.Ms(p.TokenizeTime), LookupMs: ledger.Ms(lookup), PromptSHA256: ledger.Some(p.SHA256),
	}
	if m.Parent != "" {
		r.ParentTurnID = ledger.Some(m.Parent)
	}
	if m.DivergedAt >= 0 {
		r.DivergedAt = some(m.DivergedAt)
	}
	r.Note(ledger.Estimated, "prompt_tokens", "prompt_tokens_est", "lookup_requested_tokens", "matched_tokens", "lookup_hit_tokens", "l0_hit_tokens", "l1_hit_tokens",
		"l2_hit_tokens", "lower_hit_tokens", "recompute_tokens", "new_tokens", "displaced_tokens", "paid_again_tokens", "prefill_tokens", "unprefilled_tokens",
		"spliced_tokens", "generated_tokens")
	return ledger.Seal(r)
}
