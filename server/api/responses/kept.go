package responses

import (
	"sync"

	"reprise/model/chat"
)

// keptConversations is how many answers can be continued by their id. Their messages are shared by what continues them.
const keptConversations = 1024

// kept are the conversations that answers ended, by the answer's id, the oldest going first.
type kept struct {
	mu    sync.Mutex
	of    map[string][]chat.Message
	order []string
}

func newKept() *kept { return &kept{of: map[string][]chat.Message{}} }

func (k *kept) put(id string, messages []chat.Message) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.order) == keptConversations {
		delete(k.of, k.order[0])
		k.order = k.order[1:]
	}
	k.of[id] = messages
	k.order = append(k.order, id)
}

func (k *kept) get(id string) ([]chat.Message, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	m, ok := k.of[id]
	return m, ok
}
