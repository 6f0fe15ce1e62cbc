#!/usr/bin/env bash
# The experiment. Every run changes one thing; the answers are the fixtures' (--assistant scripted), so prompts are comparable.
set -euo pipefail
cd "$(dirname "$0")"
reprise() { command "${REPRISE:-reprise}" "$@"; }
TURNS=${TURNS:-12} PROFILE=${PROFILE:-local} MODEL=${MODEL:-}
loop() { reprise bench loop --profile "$PROFILE" --turns "$TURNS" --fixtures fixtures --assistant scripted ${MODEL:+--model "$MODEL"} "$@"; }

reprise doctor ${MODEL:+--model "$MODEL"} || echo "doctor found something: its lines say what to do"
reprise plan --profile "$PROFILE" --turns "$TURNS" ${MODEL:+--model "$MODEL"}
reprise bench loop --profile "$PROFILE" --fixtures fixtures --dry-run

loop --out runs/stable
loop --layout moving --out runs/moving
loop --layout ephemeral --out runs/ephemeral
loop --no-reuse --out runs/no-reuse

reprise bench compare runs/stable runs/moving runs/ephemeral runs/no-reuse
reprise report runs/stable runs/moving runs/ephemeral runs/no-reuse --out report.html
reprise plan --measured runs/stable ${MODEL:+--model "$MODEL"}
