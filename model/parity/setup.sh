#!/bin/sh
# Makes the Python environment of the reference values: $REPRISE_BUILD_CACHE/parity-venv (default ~/.cache/reprise-build).
# Does nothing when it is there and was made from this requirements.txt. Prints the path of its python, alone on stdout.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cache=${REPRISE_BUILD_CACHE:-$(cat "$here/../../third_party/build/cache" 2>/dev/null || echo "$HOME/.cache/reprise-build")}
venv=$cache/parity-venv
want=$(cksum <"$here/requirements.txt")

if [ "$(cat "$venv/made-from" 2>/dev/null)" != "$want" ]; then
    python=${PYTHON:-python3}
    "$python" -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || {
        echo "parity: needs Python 3.11 or later with venv (Debian: apt-get install python3-venv; macOS: brew install python)" >&2
        exit 1
    }
    echo "parity: making $venv" >&2
    mkdir -p "$cache"
    new=$(mktemp -d "$cache/.making.XXXXXX") # two runs at once do not write into one folder
    trap 'rm -rf "$new"' EXIT
    "$python" -m venv "$new/venv"
    "$new/venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$here/requirements.txt" >&2
    echo "$want" >"$new/venv/made-from"
    if [ "$(cat "$venv/made-from" 2>/dev/null)" != "$want" ]; then # another run may have been first
        rm -rf "$venv"
        mv "$new/venv" "$venv"
    fi
fi
echo "$venv/bin/python"
