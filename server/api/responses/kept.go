package responses

import (
	"sync"

	"reprise/model/chat"
)

// keptConversations is how many answers can be continued by their id. Their messages are shared by what continues them.
const keptConversations = 1024

// keptTokens is how long all of them may be together: the SDKs ask for every answer to be kept, and an agent's conversation grows to
// 60,000 tokens and more. What one shares with the one that it continues counts for both.
const keptTokens = 8 << 20

// kept are the conversations that answers ended, by the answer's id, the oldest going first.
type kept struct {
	mu     sync.Mutex
	of     map[string][]chat.Message
	order  []length
	tokens int // of all
}

// length is an answer's id, and how long the conversation is with it.
type length struct {
	id     string
	tokens int
}

func newKept() *kept { return &kept{of: map[string][]chat.Message{}} }

// put keeps a conversation of so many tokens; the newest one stays however long it is.
func (k *kept) put(id string, messages []chat.Message, tokens int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for len(k.order) > 0 && (len(k.order) == keptConversations || k.tokens+tokens > keptTokens) {
		delete(k.of, k.order[0].id)
		k.tokens -= k.order[0].tokens
		k.order = k.order[1:]
	}
	k.of[id] = messages
	k.order, k.tokens = append(k.order, length{id, tokens}), k.tokens+tokens
}

func (k *kept) get(id string) ([]chat.Message, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	m, ok := k.of[id]
	return m, ok
}
