package openai

// format gives the pieces of an answer their shape.
type format interface {
	prefix() string                                         // of the answer's id
	opening(h head) any                                     // the stream's first event, nil for none
	piece(h head, text string, finish *string) any          // an event; with neither text nor finish: a sign of life
	usage(h head, u *usage) any                             // the last event of a stream
	whole(h head, text string, finish string, u *usage) any // the answer in one
}

// head is the same in every event of an answer.
type head struct {
	ID      string
	Created int64 // Unix seconds
	Model   string
}

// reply is an answer or an event of one. C is the shape of its choices.
type reply[C any] struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created"`
	Model   string `json:"model"`
	Choices []C    `json:"choices"`
	Usage   *usage `json:"usage,omitempty"`
}

// newReply makes a reply with the choices, which are never null.
func newReply[C any](h head, object string, u *usage, choices ...C) reply[C] {
	return reply[C]{h.ID, object, h.Created, h.Model, append([]C{}, choices...), u}
}

// chatFormat is that of /v1/chat/completions.
type chatFormat struct{}

type chatChoice struct {
	Index        int         `json:"index"`
	Message      chatMessage `json:"message"`
	Logprobs     *struct{}   `json:"logprobs"` // always null
	FinishReason string      `json:"finish_reason"`
}

type chatMessage struct {
	Role    string  `json:"role"`
	Content string  `json:"content"`
	Refusal *string `json:"refusal"` // always null: the model's words are content
}

type chatDelta struct {
	Index        int     `json:"index"`
	Delta        delta   `json:"delta"`
	FinishReason *string `json:"finish_reason"`
}

type delta struct {
	Role    string  `json:"role,omitempty"`
	Content *string `json:"content,omitempty"`
}

const chatChunk = "chat.completion.chunk"

func (chatFormat) prefix() string { return "chatcmpl-" }

func (chatFormat) opening(h head) any {
	return newReply(h, chatChunk, nil, chatDelta{Delta: delta{Role: "assistant", Content: new(string)}})
}

func (chatFormat) piece(h head, text string, finish *string) any {
	return newReply(h, chatChunk, nil, chatDelta{Delta: delta{Content: orNull(text)}, FinishReason: finish})
}

func (chatFormat) usage(h head, u *usage) any { return newReply[chatDelta](h, chatChunk, u) }

func (chatFormat) whole(h head, text, finish string, u *usage) any {
	return newReply(h, "chat.completion", u, chatChoice{Message: chatMessage{Role: "assistant", Content: text}, FinishReason: finish})
}

// textFormat is that of /v1/completions.
type textFormat struct{}

type textChoice struct {
	Index        int       `json:"index"`
	Text         string    `json:"text"`
	Logprobs     *struct{} `json:"logprobs"` // always null
	FinishReason *string   `json:"finish_reason"`
}

const textObject = "text_completion"

func (textFormat) prefix() string   { return "cmpl-" }
func (textFormat) opening(head) any { return nil }

func (textFormat) piece(h head, text string, finish *string) any {
	return newReply(h, textObject, nil, textChoice{Text: text, FinishReason: finish})
}

func (textFormat) usage(h head, u *usage) any { return newReply[textChoice](h, textObject, u) }

func (textFormat) whole(h head, text, finish string, u *usage) any {
	return newReply(h, textObject, u, textChoice{Text: text, FinishReason: &finish})
}
