package engine

import (
	"context"
	"slices"
	"time"

	"reprise/kvcache"
	"reprise/kvcache/ledger"
	"reprise/mlx"
	"reprise/model"
	"reprise/model/sample"
)

// prefill feeds what the state lacks of the prompt, in the calls of the plan, and leaves the first token in t.next, on its
// way on the device.
func (t *turn) prefill(ctx context.Context) error {
	t.prefillStart = time.Now()
	defer func() { t.row.PrefillMs = ledger.Ms(time.Since(t.prefillStart)) }() // of one that breaks off; see decode
	ids := t.prompt.IDs
	for i, c := range t.plan.Chunks() {
		if i > 0 {
			if err := t.continues(ctx, c); err != nil {
				return err
			}
		}
		start := time.Now()
		if err := t.step(ctx, func(s *mlx.Scope) error { return t.chunk(s, c) }); err != nil {
			return err
		}
		t.model.rate.note(c.To-c.From, time.Since(start), c.To == len(ids))
		t.entered(ids[c.From:c.To]...)
		if t.plan.Awaited() {
			if err := t.keep(); err != nil {
				t.broken = true
				return err
			}
		}
		if err := t.emit(Event{Prefilled: c.To, Prompt: len(ids)}); err != nil {
			return err
		}
	}
	return nil
}

// chunk is one forward call of the prefill, with its captures; the last one is only sent out, unless it has any.
func (t *turn) chunk(s *mlx.Scope, c kvcache.Chunk) error {
	t.weigh(c)
	if t.bare {
		c.Captures = nil
	}
	t.state.CaptureAt(c.Captures...)
	before := t.prefilled
	hidden := t.feed(s, mlx.New(s, t.prompt.IDs[c.From:c.To], 1, c.To-c.From), &t.prefilled)
	if err := s.Err(); err != nil {
		t.prefilled = before // the call was not made
		return err
	}
	t.reached = c.To // also when the device fails later
	if c.To == len(t.prompt.IDs) {
		if err := t.sample(s, hidden); err != nil {
			return err
		}
	} else if err := s.Eval(t.state.Arrays()...); err != nil { // bounds what one chunk leaves in flight
		return err
	}
	snapshots, err := t.state.Captured()
	t.made.Snapshots = append(t.made.Snapshots, snapshots...)
	if err == nil && c.To < len(t.prompt.IDs) {
		t.weighed()
	}
	t.engine.memory.saw(t.state.Sizes())
	return err
}

// entered notes ids that entered the model in one call.
func (t *turn) entered(ids ...int32) {
	t.made.IDs = append(t.made.IDs, ids...)
	t.made.Calls = append(t.made.Calls, kvcache.Step{Width: len(ids), Batch: 1})
}

// decode reads the token under way and sends out the next step before it does, so that the device never waits
// for the host. It ends with an end token, a stop text, or the limit.
func (t *turn) decode(ctx context.Context) error {
	out := t.newAnswer()
	defer func() {
		out.flush(true)
		t.result.take(out)
	}()
	for {
		var id int
		var odds *sample.Logprob
		if err := t.stretch(ctx); err != nil {
			return err
		}
		more := len(t.result.IDs)+1 < t.maxTokens
		err := t.step(ctx, func(s *mlx.Scope) error {
			start := time.Now()
			token, err := t.advance(s, more)
			sent := time.Now()
			if err == nil {
				id, odds, err = token.Read(s)
			}
			if len(t.times) > 0 { // the wait for the first token is the prefill's
				t.result.Host, t.result.Wait = t.result.Host+sent.Sub(start), t.result.Wait+time.Since(sent)
			}
			token.Free()
			return err
		})
		if err != nil {
			return err
		}
		if more {
			t.entered(int32(id)) // with the step just sent out
		}
		t.result.IDs = append(t.result.IDs, int32(id))
		t.times = append(t.times, time.Now())
		if len(t.times) == 1 {
			// The last chunk was only sent out by prefill: it is computed when its token is here.
			t.row.PrefillMs = ledger.Ms(t.times[0].Sub(t.prefillStart))
			t.weighed()
		}
		end := slices.Contains(t.model.eos, int32(id))
		if err := t.hold.take(int32(id), end || !more); err != nil {
			return err
		}
		event := Event{IDs: []int32{int32(id)}, Prefilled: len(t.prompt.IDs), Prompt: len(t.prompt.IDs)}
		if !end {
			event.add(out.push(int32(id)))
			event.Logprob = t.told(odds)
		}
		if done := end || out.stopped || !more; done {
			event.add(out.flush(!end))
			t.result.take(out)
			t.result.Finish, t.result.Stop = t.ended(end, out.stopped), out.stop
			t.remember()
			return t.emit(event)
		}
		if err := t.emit(event); err != nil {
			return err
		}
	}
}

// ended says why an answer is over.
func (t *turn) ended(end, stopped bool) ledger.FinishReason {
	switch {
	case !end && !stopped:
		return ledger.FinishLength
	case len(t.result.Calls) > 0 && !t.result.Truncated:
		return ledger.FinishToolCalls
	}
	return ledger.FinishStop
}

// step runs one step on the worker. One that fails leaves a state that nobody may use.
func (t *turn) step(ctx context.Context, fn func(*mlx.Scope) error) error {
	ran := false
	err := t.engine.queue.Step(ctx, func(s *mlx.Scope) error { ran = true; return fn(s) })
	if err != nil && ran {
		t.broken = true
	}
	return err
}

// feed is the one place where ids enter the model; it returns the last hidden row. counted, when given, grows by what the state really moved.
func (t *turn) feed(s *mlx.Scope, ids mlx.Array, counted *int) mlx.Array {
	before := t.state.Offset()
	hidden := model.ForwardLast(s, t.model.net, ids, t.state)
	if counted != nil {
		*counted += t.state.Offset() - before
	}
	return hidden
}

// sample starts computing the token that follows hidden [1, 1, hidden]. Where the answer is held to a grammar, which tokens may
// follow is not known yet: only the logits are computed, and the choice waits for the mask (see advance).
func (t *turn) sample(s *mlx.Scope, hidden mlx.Array) error {
	logits := t.model.net.Logits(s, hidden)
	if t.audit != nil {
		defer func() { t.audit.saw(s, logits) }()
	}
	if t.hold != nil {
		if err := s.AsyncEval(logits); err != nil {
			return err
		}
		t.logits = s.Keep(logits)
		return nil
	}
	return t.choose(s, logits, t.state.Offset(), mlx.Array{})
}

// choose starts computing the token at position.
func (t *turn) choose(s *mlx.Scope, logits mlx.Array, position int, allowed mlx.Array) error {
	var next sample.Choice
	pending := []mlx.Array{}
	if t.sampler == nil {
		next.Token = t.req.Params.Next(s, sample.Suppress(s, logits, t.never), position)
		pending = append(pending, next.Token)
	} else {
		next = t.sampler.Choose(s, logits, position, t.never, allowed)
		pending = t.sampler.Pending(next)
	}
	if err := s.AsyncEval(pending...); err != nil {
		return err
	}
	t.next = next.Keep(s)
	return nil
}

// advance sends out the step behind the token under way, when there is more to come, and returns that token, which the caller
// frees. Of a held answer that token is only chosen here, with the mask that was made while its logits were computed; the step
// behind it is sent out before the host has read it all the same.
func (t *turn) advance(s *mlx.Scope, more bool) (sample.Choice, error) {
	if t.hold != nil {
		logits := s.Adopt(t.logits)
		t.logits = mlx.Array{}
		if err := t.choose(s, logits, t.state.Offset(), t.hold.mask(s)); err != nil {
			return sample.Choice{}, err
		}
	}
	token := t.next
	t.next = sample.Choice{}
	if !more {
		return token, nil
	}
	return token, t.sample(s, t.feed(s, s.Reshape(token.Token, []int{1, 1}), nil))
}

// told is a token's log-probability with the texts of what it names.
func (t *turn) told(odds *sample.Logprob) *Logprob {
	if odds == nil {
		return nil
	}
	spelled := func(id int32) []byte {
		if tok := t.model.Tokenizer; tok.Special(id) {
			return []byte(tok.Piece(id))
		}
		return t.model.Tokenizer.Bytes(id)
	}
	out := Logprob{ID: odds.ID, Bytes: spelled(odds.ID), Logprob: odds.Logprob}
	for _, top := range odds.Top {
		out.Top = append(out.Top, Logprob{ID: top.ID, Bytes: spelled(top.ID), Logprob: top.Logprob})
	}
	t.result.Logprobs = append(t.result.Logprobs, out)
	return &out
}
