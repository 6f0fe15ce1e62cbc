package prompt

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"reprise/model/chat"
	"reprise/model/chat/jinja"
	"reprise/model/tokenizer"
)

// Input is what a client wants continued: exactly one of Messages, Raw and IDs.
type Input struct {
	Messages []chat.Message
	Tools    []chat.Value
	Thinking *bool      // nil: the template's default
	Extra    *chat.Dict // chat_template_kwargs

	Raw string
	IDs []int32
}

// Prompt is the assembled prompt.
type Prompt struct {
	IDs        []int32
	Characters int    // of the contents, tool schemas included, without template markup
	SHA256     string // of the ids, as little-endian int32

	TemplateTime, TokenizeTime time.Duration
}

// Assembler turns inputs into prompts for one model.
type Assembler struct {
	Tokenizer *tokenizer.Tokenizer
	Template  *chat.Template // nil: conversations are refused
	BOS, EOS  string         // the tokens' text, for the template
	Vocab     int
}

// Errors of the client's making.
var (
	ErrNoTemplate = errors.New("this model has no chat template: name one with --chat-template, or send a raw completion")
	ErrNoTools    = errors.New("this model's chat template has no place for tools")
	ErrEmpty      = errors.New("the prompt is empty")
)

// Assemble renders and tokenizes.
func (a *Assembler) Assemble(ctx context.Context, in Input) (*Prompt, error) {
	p := &Prompt{}
	var err error
	switch {
	case in.IDs != nil:
		err = a.takeIDs(p, in.IDs)
	case in.Messages != nil:
		err = a.render(ctx, p, in)
	default:
		p.Characters = utf8.RuneCountInString(in.Raw)
		err = a.tokenize(p, in.Raw, true)
	}
	if err != nil {
		return nil, err
	}
	if len(p.IDs) == 0 {
		return nil, ErrEmpty
	}
	p.SHA256 = hash(p.IDs)
	return p, nil
}

func (a *Assembler) takeIDs(p *Prompt, ids []int32) error {
	for i, id := range ids {
		if id < 0 || int(id) >= a.Vocab {
			return fmt.Errorf("token %d of the prompt is %d; this model's ids end at %d", i, id, a.Vocab-1)
		}
	}
	p.IDs = ids
	p.Characters = utf8.RuneCountInString(a.Tokenizer.Decode(ids, false))
	return nil
}

func (a *Assembler) render(ctx context.Context, p *Prompt, in Input) error {
	switch {
	case a.Template == nil:
		return ErrNoTemplate
	case len(in.Messages) == 0:
		return ErrEmpty
	case len(in.Tools) > 0 && !a.Template.SupportsTools():
		return ErrNoTools
	}
	start := time.Now()
	text, err := a.Template.RenderContext(ctx, chat.Input{
		Messages: in.Messages, Tools: in.Tools, AddGenerationPrompt: true,
		EnableThinking: in.Thinking, Extra: in.Extra, BOS: a.BOS, EOS: a.EOS,
	})
	if err != nil {
		return err
	}
	p.Characters = contents(in)
	p.TemplateTime = time.Since(start)
	return a.tokenize(p, text, false)
}

func (a *Assembler) tokenize(p *Prompt, text string, special bool) error {
	start := time.Now()
	ids, err := a.Tokenizer.Encode(text, special)
	p.IDs, p.TokenizeTime = ids, time.Since(start)
	return err
}

// contents counts the characters of all message contents and tool schemas.
func contents(in Input) int {
	n := 0
	for _, m := range in.Messages {
		if v, ok := m.Get("content"); ok {
			n += characters(v)
		}
		if v, ok := m.Get("tool_calls"); ok {
			n += characters(v)
		}
	}
	for _, tool := range in.Tools {
		n += characters(tool)
	}
	return n
}

// characters counts a value as its JSON would be read: strings as they are, the rest by its text.
func characters(v chat.Value) int {
	switch v := v.(type) {
	case nil:
		return 0
	case string:
		return utf8.RuneCountInString(v)
	case *chat.Dict:
		n := 0
		for i := range v.Len() {
			key, item := v.At(i)
			n += characters(key) + characters(item)
		}
		return n
	case *jinja.List:
		n := 0
		for _, item := range v.Items {
			n += characters(item)
		}
		return n
	default:
		return utf8.RuneCountInString(fmt.Sprint(v))
	}
}

func hash(ids []int32) string {
	raw := make([]byte, 0, 4*len(ids))
	for _, id := range ids {
		raw = binary.LittleEndian.AppendUint32(raw, uint32(id))
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}
