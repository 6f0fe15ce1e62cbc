#!/usr/bin/env bash
# Fuzzes every target of the repository for a while each; what one finds lies in its package's testdata/fuzz.
#   fuzz.sh [TIME [PACKAGE…]]      for instance: fuzz.sh 20s ./server/api
set -euo pipefail
cd "$(dirname "$0")/../../.."
. third_party/build/env.sh
time=${1:-20s}; shift || true
grep -rlE "^func Fuzz" --include="*_test.go" "${@:-.}" | sort | while read -r file; do
  grep -oE '^func Fuzz[A-Za-z]+' "$file" | cut -d' ' -f2 | while read -r target; do
    echo "-- ./$(dirname "${file#./}") $target $time"
    go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "./$(dirname "${file#./}")" < /dev/null | tail -n 3
  done
done
