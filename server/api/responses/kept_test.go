package responses

import (
	"fmt"
	"testing"

	"reprise/model/chat"
)

// What is kept is bounded in number and in length; the newest conversation stays, however long it is.
func TestKeptIsBounded(t *testing.T) {
	k := newKept()
	count := func() (n int) {
		for i := range 3000 {
			if _, ok := k.get(fmt.Sprint(i)); ok {
				n++
			}
		}
		return n
	}
	for i := range 1500 {
		k.put(fmt.Sprint(i), []chat.Message{chat.NewMessage("user", "x")}, 1)
	}
	if n := count(); n != keptConversations {
		t.Errorf("%d short conversations are kept, want %d", n, keptConversations)
	}
	for i := 1500; i < 2000; i++ {
		k.put(fmt.Sprint(i), nil, keptTokens/10)
	}
	if _, last := k.get("1999"); !last || count() != 10 || k.tokens > keptTokens {
		t.Errorf("%d conversations of a tenth each are kept, %d tokens", count(), k.tokens)
	}
	k.put("2000", nil, 2*keptTokens)
	if _, last := k.get("2000"); !last || count() != 1 {
		t.Errorf("%d are kept beside one that is too long by itself", count()-1)
	}
}
