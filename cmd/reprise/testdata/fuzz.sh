#!/usr/bin/env bash
# Fuzzes every target of the repository for a while each; what one finds lies in its package's testdata/fuzz.
#   fuzz.sh [TIME [PACKAGE…]]      for instance: fuzz.sh 20s ./server/api
#
# A run can end with "context deadline exceeded" and nothing found: the coordinator of Go before 1.27 takes its own end
# for a worker's failure (golang/go#75804). That one answer is not a finding; any other failure is shown whole and ends
# the run.
set -euo pipefail
cd "$(dirname "$0")/../../.."
. third_party/build/env.sh
time=${1:-20s}; shift || true

# target PACKAGE NAME: minimizing is cut short, since Go's 60 s for every interesting input leave little time for looking.
target() {
  local out found
  echo "-- $1 $2 $time"
  if out=$(go test -run '^$' -fuzz "^$2\$" -fuzztime "$time" -fuzzminimizetime 100x -timeout 0 "$1" < /dev/null 2>&1); then
    tail -n 3 <<< "$out"
    return
  fi
  found=$(grep -vE '^(fuzz: elapsed|FAIL|exit status 1$)' <<< "$out")
  if [[ $found =~ ^---\ FAIL:\ $2\ \([0-9.]+s\)[[:space:]]+context\ deadline\ exceeded$ ]]; then
    grep '^fuzz: elapsed' <<< "$out" | tail -n 1
    echo "nothing found; Go ended it with \"context deadline exceeded\" (golang/go#75804)"
    return
  fi
  echo "$out"
  return 1
}

grep -rlE "^func Fuzz" --include="*_test.go" "${@:-.}" | sort | while read -r file; do
  grep -oE '^func Fuzz[A-Za-z]+' "$file" | cut -d' ' -f2 | while read -r name; do
    target "./$(dirname "${file#./}")" "$name"
  done
done
