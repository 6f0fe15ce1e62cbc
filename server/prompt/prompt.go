package prompt

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
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

	Spans []Span // cover IDs in order and without gaps
	// Wanted are the offsets where state should be kept, ascending, each in (0, len(IDs)): see wanted.
	Wanted []int
	// StaticEnd is where the static prefix (system text and tools) ends, FirstUserEnd where the first user's message
	// does: two prompts that agree up to there belong to one session. 0: there is none, or it could not be located.
	StaticEnd, FirstUserEnd int
	// Generation is where the opening of the answer begins; len(IDs) for a prompt without one.
	Generation int

	// Thinking tells that the opening of the answer begins reasoning and leaves it open.
	Thinking bool

	Spliced int // tokens that were generated in this conversation and put back as they were
	Given   int // characters that the tokenizer was given; the rest was remembered

	// What Remember needs: whether an answer can be put back at all, the key of the conversation, that of the conversation
	// without its last message (zero: not to be used), the opening of the answer.
	answerable bool
	key, loose Key
	head       []int32
	messages   []chat.Message
}

// Assembler turns inputs into prompts for one model. It is safe for concurrent use, and must not be copied once used.
type Assembler struct {
	Tokenizer *tokenizer.Tokenizer
	Template  *chat.Template // nil: conversations are refused
	BOS, EOS  string         // the tokens' text, for the template
	Vocab     int
	Splice    Splice
	Record    *Record // nil: one of DefaultRecordBytes, made when it is first needed
	MemoBytes int64   // of remembered text pieces; 0: DefaultMemoBytes

	once     sync.Once
	memo     *tokenizer.Memo
	reasoner reasoner
	ends     []int32 // ids that end a generation
}

// DefaultMemoBytes holds the pieces of some two hundred prompts of 30,000 tokens that share little.
const DefaultMemoBytes = 32 << 20

// Errors of the client's making.
var (
	ErrNoTemplate = errors.New("this model has no chat template: name one with --chat-template, or send a raw completion")
	ErrNoTools    = errors.New("this model's chat template has no place for tools")
	ErrEmpty      = errors.New("the prompt is empty")
)

func (a *Assembler) setup() {
	if a.Record == nil {
		a.Record = NewRecord(DefaultRecordBytes, nil)
	}
	if a.MemoBytes == 0 {
		a.MemoBytes = DefaultMemoBytes
	}
	a.memo = a.Tokenizer.NewMemo(a.MemoBytes)
	a.reasoner = newReasoner(a.Tokenizer)
	a.ends = a.Tokenizer.EOS()
}

// Assemble renders and tokenizes.
func (a *Assembler) Assemble(ctx context.Context, in Input) (*Prompt, error) {
	a.once.Do(a.setup)
	p := &Prompt{}
	var err error
	switch {
	case in.IDs != nil:
		err = a.takeIDs(p, in.IDs)
	case in.Messages != nil:
		err = a.converse(ctx, p, in)
	default:
		err = a.takeText(p, in.Raw)
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
	p.whole()
	return nil
}

// takeText tokenizes a raw text whole: nothing of it is remembered or put back.
func (a *Assembler) takeText(p *Prompt, text string) error {
	p.Characters = utf8.RuneCountInString(text)
	start := time.Now()
	ids, err := a.Tokenizer.Encode(text, true)
	p.IDs, p.TokenizeTime, p.Given = ids, time.Since(start), p.Characters
	p.whole()
	return err
}

// whole lays out a prompt that is no conversation: one text, as if a user had sent it.
func (p *Prompt) whole() {
	n := len(p.IDs)
	p.Generation = n
	if n == 0 {
		return
	}
	p.Spans = []Span{{Label: Message, Role: "user", End: n, Source: digest(appendIDs(nil, p.IDs))}}
	if n > 1 {
		p.Wanted = []int{n - 1} // a retry sends it whole, and one token is always computed
	}
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

func appendIDs(b []byte, ids []int32) []byte {
	for _, id := range ids {
		b = binary.LittleEndian.AppendUint32(b, uint32(id))
	}
	return b
}

func hash(ids []int32) string {
	sum := sha256.Sum256(appendIDs(make([]byte, 0, 4*len(ids)), ids))
	return hex.EncodeToString(sum[:])
}

// digest is a short hash for comparing what spans were made of.
func digest(b []byte) uint64 {
	sum := sha256.Sum256(b)
	return binary.LittleEndian.Uint64(sum[:])
}
