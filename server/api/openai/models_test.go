package openai_test

import (
	"encoding/json"
	"net/url"
	"testing"

	"reprise/kvcache/state"
	"reprise/mlx"
	"reprise/server/api/wire/wiretest"
)

func TestModels(t *testing.T) {
	for _, c := range []struct {
		name             string
		context, trained int
		template, config string
		wantTrained      any
		wantTemplate     any
		base             bool
	}{
		{"tiny", 4096, 4096, "gemma4", `{"reprise": {"base_model": true}}`, nil, "gemma4", true},
		{"org/name", 65536, 32768, "checkpoint", `{}`, 32768.0, "checkpoint", false},
		{"/a folder/model", 1024, 32768, "", ``, nil, nil, false},
	} {
		e := wiretest.New(nil)
		e.Loaded.Name, e.Loaded.Context, e.Loaded.Trained, e.Loaded.TemplateName = c.name, c.context, c.trained, c.template
		e.Loaded.Config.Raw = json.RawMessage(c.config)
		h := serve(t, e)
		_, list := do(t, h, request("GET", "/v1/models", ""))
		entry := at(list, "data", 0)
		if at(list, "object") != "list" || at(list, "data", 1) != nil || at(entry, "id") != c.name || at(entry, "object") != "model" ||
			at(entry, "context_length") != float64(c.context) || at(entry, "trained_context_length") != c.wantTrained ||
			at(entry, "chat_template") != c.wantTemplate || at(entry, "base_model") != c.base {
			t.Errorf("%s: %v", c.name, list)
		}
		for _, id := range []string{c.name, url.PathEscape(c.name)} {
			if id[0] == '/' {
				continue // a path that begins with // is another path
			}
			if res, got := do(t, h, request("GET", "/v1/models/"+id, "")); res.StatusCode != 200 || at(got, "id") != c.name {
				t.Errorf("GET /v1/models/%s: %d, %v", id, res.StatusCode, got)
			}
		}
		if res, got := do(t, h, request("GET", "/v1/models/other", "")); res.StatusCode != 404 || at(got, "error", "code") != "model_not_found" {
			t.Errorf("an unknown model: %d, %v", res.StatusCode, got)
		}
	}
}

func TestModelsSayHowKeysAndValuesAreKept(t *testing.T) {
	e := wiretest.New(nil)
	_, list := do(t, serve(t, e), request("GET", "/v1/models", ""))
	if at(list, "data", 0, "kv_quantization") != nil {
		t.Errorf("not quantized: %v", list)
	}
	e.Loaded.KV = state.Quantization{Bits: 4, Group: 32}
	_, list = do(t, serve(t, e), request("GET", "/v1/models", ""))
	if at(list, "data", 0, "kv_quantization", "bits") != 4.0 || at(list, "data", 0, "kv_quantization", "group") != 32.0 {
		t.Errorf("4 bit in groups of 32: %v", list)
	}
}

// A kernel that is switched off is named, one that is used is not.
func TestModelsNameKernelsOff(t *testing.T) {
	e := wiretest.New(nil)
	e.Loaded.Kernels = []mlx.KernelCheck{{Kernel: "good", On: true}, {Kernel: "bad", Reason: "value 3 differs"}}
	_, list := do(t, serve(t, e), request("GET", "/v1/models", ""))
	entry := at(list, "data", 0)
	if at(entry, "kernels_off", 0, "kernel") != "bad" || at(entry, "kernels_off", 0, "reason") != "value 3 differs" || at(entry, "kernels_off", 1) != nil {
		t.Errorf("got %v", entry)
	}
}
