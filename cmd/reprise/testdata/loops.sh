#!/usr/bin/env bash
# Acceptance 6.1 and 6.2 with the real model: loops.sh ci | full | dry
#   ci    16gb, 50 turns, resumed, moving and without reuse, 4 tokens an answer; the other sessions and layouts at 12 turns; dry runs; kimi at 0.02
#   full  local and 16gb, 50 turns, every layout and session, answers generated; then scripted, and compared token by token; kimi at 0.02
#   dry   only the dry runs
# Every run is checked (--check); runs of the same prompts must give the same greedy tokens, or part at a tie (--same-as).
set -euo pipefail
part=${1:-}
cd "$(dirname "$0")/../../.."
runs=$(mktemp -d); trap 'rm -rf "$runs"' EXIT

# loop NAME FLAGS…: a run in $runs/NAME, and a line of what it showed.
loop() {
  local name=$1 t0; shift; t0=$(date +%s)
  if ! bin/reprise bench loop --device cpu --check --out "$runs/$name" "$@" > "$runs/out" 2> "$runs/err"; then
    echo "FAILS $name: $*"; grep PROBLEM "$runs/out" || true; tail -n 3 "$runs/err"; return 1
  fi
  python3 - "$runs/$name" "$name" $(($(date +%s) - t0)) <<'END'
import json, pathlib, sys
at, name, took = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]
s = json.loads((at / "summary.json").read_text())
lines = len((at / "turns.csv").read_text().splitlines())
assert lines == s["turns"] + 1 and s["status"] == "complete" and not s["problems"] and s["observability_mimic"] is False, s
t, r, pd, same = s["tokens"], s["reuse"], s["pd"], s["same_tokens"]
part = lambda x: "-" if x is None else f"{100 * x:.2f} %"
more = "" if pd is None else f"; handed over in {pd['transfer_median_ms']:.0f} ms ({pd['store_median_ms']:.0f} stored, {pd['fetch_median_ms']:.0f} fetched)"
if same is not None:
    more += f"; {same['equal_turns']} of {same['turns']} turns with the same tokens, {len(same['ties'])} ties"
print(f"{name}: {lines} lines, {took} s; {t['prompt_tokens']:,} tokens: l0 {t['l0_hit_tokens']:,}, l1 {t['l1_hit_tokens']:,}, l2 {t['l2_hit_tokens']:,}, new {t['new_tokens']:,}, displaced {t['displaced_tokens']:,}; "
      f"reuse {part(r['hit_share'])} of {part(r['ceiling_share'])} possible ({part(r['hit_of_ceiling'])}); repeated {part(r['repeated_state_share'])}; sizes {part(s['prompt_sizes']['worst_deviation'])} off{more}")
END
}

# dry PROFILE MOST SIZES: no model runs; within MOST seconds, the best of three, and the sizes are those.
dry() {
  local t0 ms=1000000 took
  for _ in 1 2 3; do
    t0=$(date +%s%N)
    bin/reprise bench loop --profile "$1" --dry-run --out "$runs/dry-$1" > "$runs/out" 2> /dev/null || { cat "$runs/out"; return 1; }
    took=$((($(date +%s%N) - t0) / 1000000))
    [ "$took" -ge "$ms" ] || ms=$took
  done
  grep -q "^prompts .* $3" "$runs/out" && grep -q '"observability_mimic": true' "$runs/dry-$1/summary.json" && [ "$(wc -l < "$runs/dry-$1/turns.csv")" = 51 ] ||
    { cat "$runs/out"; return 1; }
  echo "dry $1: $3 tokens estimated, 50 turns, $ms ms of $2 s; $(grep '^reuse' "$runs/out" | tr -s ' ')"
  [ "$part" = ci ] || [ "$ms" -lt "$(($2 * 1000))" ] # CI prints the time: its machine may be busy
}
dries() {
  dry local 2 "166 to 579"
  dry 16gb-max-mlx-observability 2 "238 to 2,790"
  dry kimi-k26-gb200-openclaw 20 "12,166 to 122,437"
}
kimi() { loop kimi-0.02 --profile kimi-k26-gb200-openclaw --scale 0.02 --max-tokens 4; }

case $part in
ci)
  dries
  o="--profile 16gb-max-mlx-observability --assistant scripted --max-tokens 4"
  loop resumed $o
  loop no-reuse $o --no-reuse --same-as "$runs/resumed"
  loop moving $o --layout moving
  for session in restart remote pd; do loop $session $o --turns 12 --session $session --same-as "$runs/resumed"; done
  loop fresh $o --turns 12 --session fresh
  loop ephemeral $o --turns 12 --layout ephemeral
  kimi
  ;;
full)
  for profile in local 16gb-max-mlx-observability; do
    o="--profile $profile"
    loop "$profile" $o
    for layout in moving ephemeral; do loop "$profile-$layout" $o --layout $layout; done
    for session in fresh restart remote pd; do loop "$profile-$session" $o --session $session; done
    o="$o --assistant scripted"
    loop "$profile-scripted" $o
    loop "$profile-scripted-no-reuse" $o --no-reuse --same-as "$runs/$profile-scripted"
    for session in restart remote pd; do loop "$profile-scripted-$session" $o --session $session --same-as "$runs/$profile-scripted"; done
  done
  kimi
  ;;
dry) dries ;;
*) sed -n '2,6s/^# //p' "$0"; exit 2 ;;
esac
