package cli

import (
	"strings"
	"testing"

	"reprise/cmd/internal/tiny"
)

func TestUsageErrors(t *testing.T) {
	for _, tt := range []struct {
		args string
		want string
	}{
		{"frobnicate", `"frobnicate"`},
		{"rum", "did you mean run"},
		{"models lst", "did you mean ls"},
		{"bench nothing", `"nothing"`},
		{"run --nonsense x", "--nonsense"},
		{"run --temp hot x", "--temp"},
		{"run --temp -1 x", "temperature"},
		{"run --top-p 1.5 x", "top_p"},
		{"run --max-tokens -1 x", "--max-tokens"},
		{"run --device abacus x", "--device abacus"},
		{"run --ctx -1 x", "--ctx"},
		{"run --threads -1 x", "--threads"},
		{"run --think --no-think x", "--think and --no-think"},
		{"run two words", "quote"},
		{"run", "no prompt"},
		{"run --json", "need a prompt"},
		{"serve here", "no argument"},
		{"serve --max-output -1", "--max-output"},
		{"serve --log-level loud", "--log-level loud"},
		{"serve --cache-mem 2GiB", "--cache-mem"},
		{"serve --cache-mem -1", "--cache-mem"},
		{"serve --memory-limit 2GiB", "--memory-limit"},
		{"serve --cache-disk-limit 0", "--cache-disk-limit 0"},
		{"serve --cache-disk-rate fast", "--cache-disk-rate fast"},
		{"serve --l2 localhost:6379", "--l2"},
		{"serve --l2 redis://127.0.0.1:1/0?ttl=never", "ttl=never"},
		{"serve --l2 redis://127.0.0.1:1/0?flavour=mint", "flavour"},
		{"cache clear --tier l3", "--tier l3"},
		{"serve --splice perhaps", "--splice perhaps"},
		{"serve --audit 1.5", "--audit 1.5"},
		{"serve --audit NaN", "--audit NaN"},
		{"serve --audit-max 0", "--audit-max 0"},
		{"logits --out x", "--tokens"},
		{"logits --tokens x", "--out"},
		{"logits --tokens x --out y --chunk -1", "--chunk"},
		{"logits --tokens x --out y --decode -1", "--decode"},
		{"bench speed --prompt 0", "--prompt 0"},
		{"bench speed --prompt ten", "--prompt"},
		{"bench speed --gen 1", "--gen 1"},
		{"bench speed --repeat 0", "--repeat 0"},
		{"bench speed --ctx 512", "--prompt 512"},
		{"bench peers --engines reprise,vllm", "--engines vllm"},
		{"bench peers --parts nothing", "--parts nothing"},
		{"bench peers --contexts -1", "--contexts -1"},
		{"bench peers --rounds 0", "--rounds 0"},
		{"bench peers --gen 1", "--gen 1"},
		{"bench peers --threads 0", "--threads 0"},
		{"bench peers --conversation 9", "--conversation 9"},
		{"bench peers --check nonsense", "nonsense"},
		{"bench peers --check memory>=1xllama.cpp", "other way round"},
		{"bench loop --profile huge", "--profile huge"},
		{"plan --bandwidth NaN", "--bandwidth NaN"},
		{"plan --bandwidth Inf", "--bandwidth"},
		{"plan --ctx 9223372036854775807", "--ctx 9223372036854775807"},
		{"plan --turns 1000000000", "--turns 1000000000"},
		{"bench loop --turns 51", "--turns 51"},
		{"bench loop --scale 0.01", "--scale 0.01"},
		{"bench loop --layout tidy", "--layout tidy"},
		{"bench loop --dry-run --check", "--dry-run"},
		{"bench loop --dry-run --device cpu", "--dry-run"},
		{"bench loop --url http://127.0.0.1:1 --device cpu", "--device"},
		{"bench loop --api-key k", "--api-key"},
		{"bench loop --engine vllm", "--engine vllm"},
		{"bench loop --url http://127.0.0.1:1 --session remote", "--session remote"},
		{"bench loop --url http://127.0.0.1:1 --l2 redis://h", "--l2"},
		{"bench loop --l2 carrier-pigeon", "--l2"},
		{"bench loop --url http://127.0.0.1:1 --cache-disk d", "--cache-disk"},
		{"bench loop --session restart --cache-disk d", "--cache-disk"},
		{"bench loop --cache-disk on", "--cache-disk on"},
		{"bench loop --dry-run --cache-disk d", "--cache-disk"},
		{"bench loop --session pd --no-reuse", "--no-reuse"},
		{"bench loop --session pd --dry-run", "--session pd"},
		{"bench loop now", "no argument"},
		{"bench loop --fixtures nosuch", "bench init"},
		{"bench init", "one folder"},
		{"report", "folders of runs, or --ledger"},
		{"report --session a", "--ledger"},
		{"report --ledger a b", "first"},
		{"bench replay", "one recording"},
		{"bench compare", "2 to 26 runs, not 0"},
		{"bench compare one", "2 to 26 runs, not 1"},
		{"guide nosuch", `"nosuch"`},
		{"guide 13", `"13"`},
		{"models inspect a b", "one model"},
		{"models import", "one GGUF file"},
		{"models inspect a --config b", "--config"},
		{"models quantize", "one model"},
		{"models quantize a", "--out"},
		{"models quantize a --out b --bits 7", "7 bits"},
		{"models quantize a --out b --group-size 48", "groups of 48"},
		{"models quantize a --out b --mode fp4", "\"fp4\""},
		{"models quantize a --out b --mode nvfp4 --bits 8", "nvfp4"},
		{"models quantize a --out b --recipe mixed_1_2", "--recipe mixed_1_2"},
		{"models quantize a --out b --recipe mixed_4_6 --bits 4", "--bits"},
		{"models quantize a --out b --override x", "--override"},
		{"models quantize a --out b --override x=9:64", "9 bits"},
		{"models quantize a --out b --device abacus", "--device abacus"},
		{"models synth", "--config"},
		{"models synth --config c.json", "--out"},
		{"models synth --config c.json --out d --layers -1", "--layers -1"},
		{"models synth --config c.json --out d --seed x", "--seed"},
		{"models synth c.json", "no argument"},
		{"bench speed --layers 3", "--synth"},
		{"bench speed --set vocab_size=3", "--synth"},
		{"bench speed --synth c.json --model m", "--synth and --model"},
		{"run hi --kv-bits 5", "--kv-bits 5"},
		{"serve --kv-bits 8 --kv-group 48", "--kv-group 48"},
		{"bench speed --kv-group 64", "--kv-bits 8 or 4"},
		{"bench loop --kv-bits 0", "--kv-bits 0"},
		{"bench loop --url http://127.0.0.1:1 --kv-bits 8", "--kv-bits with --url"},
		{"doctor everything", "no argument"},
		{"cache why", "one turn"},
		{"cache ls now", "no argument"},
		{"cache stats --url localhost:8000", "--url"},
		{"cache wipe", `"wipe"`},
		{"version --yaml", "--yaml"},
		{"connect", "openclaw or hermes"},
		{"connect aider", `"aider"`},
		{"connect hermes --api completions", "--api"},
	} {
		t.Run(tt.args, func(t *testing.T) { command(t, strings.Fields(tt.args)...).refused(t, exitUsage, tt.want) })
	}
}

// What the contract names and this build lacks is refused by name, which is no mistake of the user's.
func TestWhatComesLaterIsRefusedByName(t *testing.T) {
	for _, tt := range []struct{ args, want string }{
		{"bench loop --url http://127.0.0.1:1", "127.0.0.1:1"},
		{"bench agents", "third_party/clients.sh"}, // tests do not run at the top of a checkout
		{"bench compare nosuch nosuch", "name the folder of a run"},
		{"models pull a/b", "hf download"},
		{"models rm a", "models rm"},
		{"run --image cat.png x", "--image"},
		{"serve --model a --model b", "more than one model"},
	} {
		t.Run(tt.args, func(t *testing.T) { command(t, strings.Fields(tt.args)...).refused(t, exitError, tt.want) })
	}
}

func TestCommandsThatLoadNothing(t *testing.T) {
	t.Setenv("REPRISE_HOME", t.TempDir())
	dir := tiny.Copy(t, "tiny-q4")
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"version"}, 0, "MLX 0."},
		{[]string{"version", "--json"}, 0, `"mlx": "0.`},
		{[]string{}, 0, "Commands:"},
		{[]string{"models"}, 0, "inspect"},
		{[]string{"models", "ls", "--json"}, 0, `"models": [`},
		{[]string{"models", "inspect", dir}, 0, "gemma3_text"},
		{[]string{"models", "inspect", "--json", dir}, 0, `"supported": true`},
	} {
		r := command(t, tt.args...)
		if r.code != tt.code || r.stderr != "" || !strings.Contains(r.stdout, tt.want) {
			t.Errorf("%v: exit code %d, stderr %q, stdout\n%s", tt.args, r.code, r.stderr, r.stdout)
		}
	}
	// The tiny checkpoint has no tokenizer: doctor tells, and fails with a line behind its report.
	r := command(t, "doctor", "--device", "cpu", "--addr", "127.0.0.1:0", "--model", dir)
	if r.code != exitError || !strings.Contains(r.stdout, "PROBLEM  tokenizer") || !strings.Contains(r.stderr, "1 of") {
		t.Errorf("doctor: exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}
