package engine

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"reprise/kvcache/ledger"
	"reprise/model/chat"
	"reprise/model/chat/held"
	"reprise/model/sample"
	"reprise/server/prompt"
)

const boundedSchema = `{"type":"object","properties":{
	"name":{"type":"string","maxLength":8},
	"tags":{"type":"array","items":{"enum":["a","b","c"]},"maxItems":3},
	"size":{"type":"integer","minimum":-9,"maximum":99},
	"deep":{"type":"object","properties":{"ok":{"type":"boolean"}},"required":["ok"],"additionalProperties":false}},
	"required":["name","tags","deep"],"additionalProperties":false}`

// Answers that are held to a bounded schema end by themselves and are valid, however hot the sampler is: the mask comes
// before the choice. Another library is the judge. 200 runs where REPRISE_PROVE is set, fewer else.
func TestHeldToASchema(t *testing.T) {
	runs := 12
	if os.Getenv("REPRISE_PROVE") != "" {
		runs = 200
	}
	decoded, err := jsonschema.UnmarshalJSON(strings.NewReader(boundedSchema))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("bounded.json", decoded); err != nil {
		t.Fatal(err)
	}
	judge, err := compiler.Compile("bounded.json")
	if err != nil {
		t.Fatal(err)
	}
	format, err := held.Schema([]byte(boundedSchema))
	if err != nil {
		t.Fatal(err)
	}
	different := map[string]bool{}
	for i := range runs {
		res := ask(t, Request{
			Prompt: promptOf("Describe a thing."), MaxTokens: 400, Params: sample.Params{Temperature: 2, TopP: 1, Seed: uint64(i)},
			Held: held.Want{Format: format, Param: "response_format"},
		})
		value, err := jsonschema.UnmarshalJSON(strings.NewReader(res.Text))
		if err == nil {
			err = judge.Validate(value)
		}
		if err != nil || res.Finish != ledger.FinishStop {
			t.Errorf("run %d ended by %s with %q: %v", i, res.Finish, res.Text, err)
		}
		different[res.Text] = true
	}
	if len(different) < runs*3/4 {
		t.Errorf("%d answers of %d are different: the sampler has no say", len(different), runs)
	}
	t.Logf("%d of %d answers valid, none ended by length", runs, runs)
}

// A schema that the library cannot keep to is the client's mistake, by the parameter's name.
func TestASchemaThatCannotBeHeld(t *testing.T) {
	format, err := held.Schema([]byte(`{"$ref":"http://127.0.0.1:1/x"}`))
	if err != nil {
		t.Fatal(err)
	}
	_, err = real.Turn(context.Background(), Request{Prompt: promptOf("x"), MaxTokens: 4, Held: held.Want{Format: format, Param: "response_format"}}, nil)
	var refused *RequestError
	if !errors.As(err, &refused) || refused.Param != "response_format" {
		t.Errorf("%v", err)
	}
}

func promptOf(text string) prompt.Input {
	return prompt.Input{Messages: []chat.Message{chat.NewMessage("user", text)}}
}
