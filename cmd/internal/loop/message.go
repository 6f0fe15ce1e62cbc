package loop

import (
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// Message is one of a conversation.
type Message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// Prompt is what is sent in a turn.
type Prompt struct {
	Turn         int
	Conversation string // those of one conversation share a name
	Messages     []Message
	Tools        []json.RawMessage
	Line         int // estimated tokens that it should have; 0: as many as it has
	Characters   int // of contents and tool schemas
}

// Estimated tokens.
func (p *Prompt) Estimated() int { return p.Characters / 4 }

func runes(s string) int { return utf8.RuneCountInString(s) }

// schemaText is what counts of a tool's schema: names and values. Braces and quotes are markup, which every template
// replaces by its own.
func schemaText(raw json.RawMessage) string {
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		panic(err) // fixtures are valid
	}
	return valueText(v)
}

func valueText(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case map[string]any:
		text := ""
		for key, item := range v {
			text += key + valueText(item)
		}
		return text
	case []any:
		text := ""
		for _, item := range v {
			text += valueText(item)
		}
		return text
	default:
		return fmt.Sprint(v)
	}
}

func schemaSize(raw json.RawMessage) int { return runes(schemaText(raw)) }
