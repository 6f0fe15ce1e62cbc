package loop

import (
	"encoding/json"
	"testing"

	"reprise/cmd/internal/loop/oracle"
	"reprise/model/chat"
	"reprise/model/chat/jinja"
	"reprise/model/hub"
	"reprise/model/tokenizer"
)

// encoder renders and tokenizes as the server does, on the small real model's own template and vocabulary.
func encoder(t *testing.T) func(*Prompt) []int32 {
	t.Helper()
	ckpt, err := hub.Resolve("")
	if err != nil {
		t.Fatalf("this test needs the small model (run `make build`): %v", err)
	}
	tok, err := tokenizer.Load(ckpt.Dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tok.Close() })
	template, err := chat.LoadFor(ckpt.Dir)
	if err != nil {
		t.Fatal(err)
	}
	bos, _ := tok.BOS()
	return func(p *Prompt) []int32 {
		messages, err := json.Marshal(p.Messages)
		if err != nil {
			t.Fatal(err)
		}
		in := chat.Input{AddGenerationPrompt: true, BOS: tok.Piece(bos), EOS: tok.Piece(tok.EOS()[0])}
		if in.Messages, err = chat.DecodeMessages(messages); err != nil {
			t.Fatal(err)
		}
		tools, err := json.Marshal(p.Tools)
		if err != nil {
			t.Fatal(err)
		}
		list, err := chat.DecodeOrdered(tools)
		if err != nil {
			t.Fatal(err)
		}
		in.Tools = list.(*jinja.List).Items
		text, err := template.Render(in)
		if err != nil {
			t.Fatal(err)
		}
		ids, err := tok.Encode(text, false)
		if err != nil {
			t.Fatal(err)
		}
		return ids
	}
}

// Acceptance 2.3 on the prompts themselves: in ids, nothing of a conversation that only grows is displaced, and moved
// documents are the larger part of what is new.
func TestDisplacedByLayout(t *testing.T) {
	encode := encoder(t)
	for _, profile := range []string{"local", "16gb-max-mlx-observability"} {
		for _, layout := range []string{Stable, Moving, Ephemeral} {
			list, _ := prompts(t, options(t, profile, func(o *Options) { o.Layout, o.Turns = layout, 20 }), nil)
			var o oracle.Oracle
			fresh, displaced := 0, 0
			for i, p := range list {
				v := o.Add(&oracle.Turn{Turn: p.Turn, Conversation: p.Conversation, Prompt: encode(p)})
				if i > 0 {
					fresh, displaced = fresh+v.Prompt-v.Matched, displaced+v.Displaced
				}
			}
			t.Logf("%s %s: %d new behind the first turn, %d displaced", profile, layout, fresh, displaced)
			if layout == Moving && 2*displaced <= fresh || layout != Moving && displaced != 0 {
				t.Errorf("%s %s: %d of %d new tokens are displaced", profile, layout, displaced, fresh)
			}
		}
	}
}

// No 32 ids in a row occur twice in the longest prompt, so that none can be displaced by chance.
func TestNoRunOfIDsOccursTwice(t *testing.T) {
	encode := encoder(t)
	for _, p := range Profiles {
		list, _ := prompts(t, options(t, p.Name, nil), nil)
		ids := encode(list[len(list)-1])
		seen := map[[32]int32]int{}
		for i := 0; i+32 <= len(ids); i++ {
			w := [32]int32(ids[i : i+32])
			if at, twice := seen[w]; twice {
				t.Errorf("%s: the 32 ids at %d of %d occur at %d too", p.Name, i, len(ids), at)
				break
			}
			seen[w] = i
		}
		t.Logf("%s: %d ids for %d estimated tokens", p.Name, len(ids), list[len(list)-1].Estimated())
	}
}
