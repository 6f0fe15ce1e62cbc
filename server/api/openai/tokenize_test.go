package openai_test

import (
	"fmt"
	"testing"

	"reprise/server/api/wire/wiretest"
)

// TestTokenize: the ids of a text, with and without what begins a prompt, and of the body of a chat request; and back.
func TestTokenize(t *testing.T) {
	e := wiretest.New(nil)
	h := serve(t, e)
	for _, c := range []struct{ path, body, want string }{
		{"/tokenize", `{"prompt": "Hi"}`, `map[count:3 max_model_len:1024 tokens:[2 72 105]]`},
		{"/tokenize", `{"model": "tiny", "prompt": "Hi", "add_special_tokens": true}`, `map[count:3 max_model_len:1024 tokens:[2 72 105]]`},
		{"/tokenize", `{"prompt": "Hi", "add_special_tokens": false}`, `map[count:2 max_model_len:1024 tokens:[72 105]]`},
		{"/tokenize", with(`"stream": true, "max_tokens": 5`), `map[count:5 max_model_len:1024 tokens:[2 117 115 101 114]]`},
		{"/detokenize", `{"model": "tiny", "tokens": [72, 105]}`, `map[prompt:Hi]`},
		{"/detokenize", `{"tokens": []}`, `map[prompt:]`},
	} {
		if res, got := do(t, h, request("POST", c.path, c.body)); res.StatusCode != 200 || fmt.Sprint(got) != c.want {
			t.Errorf("%s %s: %d %v, want %s", c.path, c.body, res.StatusCode, got, c.want)
		}
	}
	if n := len(e.Requests()); n != 0 {
		t.Errorf("%d turns were run", n)
	}
}
