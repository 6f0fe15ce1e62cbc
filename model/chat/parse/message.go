package parse

import (
	"reprise/model/chat"
)

// Message is a parsed answer.
type Message struct {
	Content   string
	Reasoning string
	Calls     []Call
	// Truncated: the limit came inside of a call; the last one's arguments are what there was, closed.
	Truncated bool
	Repairs   []Repair
}

// Call is one tool call.
type Call struct {
	Name      string
	Arguments string // a JSON object
}

// Repair is something malformed, and what was made of it.
type Repair struct {
	What   Flaw
	Call   int    // index of the call that it is in, -1 outside of calls
	Detail string // the parameter, or the type that was wanted; never text of the model's
}

// Flaw names what was wrong. What is done about it stands behind each.
type Flaw string

// The flaws.
const (
	ReasoningUnopened Flaw = "reasoning_unopened" // its heading stood there without the marker: reasoning
	ReasoningReopened Flaw = "reasoning_reopened" // opened twice: goes on as reasoning
	ReasoningUnclosed Flaw = "reasoning_unclosed" // the answer ended in it: all of it is reasoning
	StrayMarker       Flaw = "stray_marker"       // a marker with no meaning where it stood: left out
	InventedResult    Flaw = "invented_result"    // the model wrote a tool's result: left out
	CallInReasoning   Flaw = "call_in_reasoning"  // a call like any other; the reasoning goes on behind it
	CallWithoutTools  Flaw = "call_without_tools" // no tool was declared: it is text
	NotACall          Flaw = "not_a_call"         // a call's marker, and no call behind it: text
	CallUnnamed       Flaw = "call_unnamed"       // the answer ended before the name: left out
	CallUnopened      Flaw = "call_unopened"      // the call's marker was left out: a call
	CallUnclosed      Flaw = "call_unclosed"      // closing markers were left out: closed
	CallGarbage       Flaw = "call_garbage"       // text where a parameter was due: left out
	CallAsJSON        Flaw = "call_as_json"       // written as JSON instead: read as such
	UnknownFunction   Flaw = "unknown_function"   // no tool has that name: delivered, its arguments typed by their form
	StringUnopened    Flaw = "string_unopened"    // the opening quote was left out: a string
	StringUnclosed    Flaw = "string_unclosed"    // the closing quote was left out: a string up to where the call ends
	ValueUnquoted     Flaw = "value_unquoted"     // text without quotes: a string
	ValueUnclosed     Flaw = "value_unclosed"     // the closing tag was left out: ends where the next one begins
	ValueRepaired     Flaw = "value_repaired"     // not well-formed: read as far as possible
	WrongType         Flaw = "wrong_type"         // not what the schema wants: kept as it was written
	Retyped           Flaw = "retyped"            // of another type than the schema wants, but it can be read as that
	Repeated          Flaw = "repeated_parameter" // delivered twice: clients take the last
	TruncatedCall     Flaw = "truncated_call"     // the limit came inside of it: closed
)

// Kind says what an event brings.
type Kind uint8

// The kinds of events.
const (
	Reasoning Kind = iota
	Content
	CallStart     // Call and Name are set; arguments follow
	CallArguments // Text is the next piece of the arguments of Call
)

func (k Kind) String() string {
	return [...]string{"reasoning", "content", "call", "arguments"}[k]
}

// Event is a piece of the message. Pieces of the same kind join without anything between them.
type Event struct {
	Kind Kind
	Text string
	Call int // index in Message.Calls
	Name string
}

// Chat is the message as a conversation has it, with ids as the calls' ids: "" for none.
func (m *Message) Chat(id func(call int) string) chat.Message {
	out := chat.NewMessage("assistant", m.Content)
	if m.Reasoning != "" {
		out = out.With("reasoning_content", m.Reasoning)
	}
	if len(m.Calls) == 0 {
		return out
	}
	items := make([]chat.Value, len(m.Calls))
	for i, c := range m.Calls {
		fn := chat.NewDict()
		fn.Set("name", c.Name)
		fn.Set("arguments", c.Arguments)
		call := chat.NewDict()
		if s := id(i); s != "" {
			call.Set("id", s)
		}
		call.Set("type", "function")
		call.Set("function", fn)
		items[i] = call
	}
	return out.With("tool_calls", chat.NewList(items...))
}
