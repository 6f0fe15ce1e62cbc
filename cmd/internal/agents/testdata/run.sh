#!/usr/bin/env bash
# Brings the real clients and runs their tests against the real server, on both models, with nothing but loopback to reach where the
# system can take the rest away. Needs `make build` before.
#   run.sh [flags of go test]       for instance: run.sh -run TestWizards; REPRISE_TIERS=1 run.sh: with L1 and L2 on
set -euo pipefail
cd "$(dirname "$0")/../../../.."
third_party/clients.sh
[ -z "${REPRISE_TIERS:-}" ] || third_party/valkey.sh # the servers keep state on a disk and in a Valkey, too
. third_party/build/env.sh

loopback_only() {
  if unshare -rn true 2> /dev/null; then
    unshare -rn python3 -c 'import fcntl, os, socket, struct, sys
with socket.socket() as s: fcntl.ioctl(s, 0x8914, struct.pack("16sh14x", b"lo", 0x41)) # lo: up and running
os.execvp(sys.argv[1], sys.argv[1:])' "$@"
  else
    "$@"
  fi
}

REPRISE_CLIENTS=1 loopback_only go test -count=1 -v -timeout 20m "$@" ./cmd/internal/agents
