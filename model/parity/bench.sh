#!/usr/bin/env bash
# make bench: reprise and mlx-lm in turns on the same checkpoint, float32, two threads, OpenBLAS under both; medians, ranges
# and their ratio. (llama.cpp and the servers join with the CPU issue.)
#   bench.sh [REPEATS] [PROMPT] [GEN]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
repeats=${1:-5} prompt=${2:-512} gen=${3:-64}
python=$("$here/setup.sh")
cache=$(cat "$root/third_party/build/cache")
model=$root/third_party/build/models/gemma-3-270m
out=$(mktemp -d); trap 'rm -rf "$out"' EXIT

preload=
if [ "$(uname -s)" = Linux ]; then
  # mlx-lm gets OpenBLAS as it is; the library that reprise links also turns one-row products into gemv.
  preload=$out/libopenblas_plain.so
  cc -O2 -shared -fPIC -DPLAIN -o "$preload" "$root/third_party/blas/forward.c" "$root/third_party/build/blas/lib/libscipy_openblas.so" -Wl,-rpath,"$root/third_party/build/blas/lib"
fi
for i in $(seq "$repeats"); do
  "$root/bin/reprise" bench speed --prompt "$prompt" --gen "$gen" --repeat 1 --json >> "$out/reprise"
  LD_PRELOAD=$preload "$python" "$here/bench_mlx_lm.py" "$model" --prompt "$prompt" --gen "$gen" >> "$out/mlx-lm"
  printf 'round %d of %d\n' "$i" "$repeats" >&2
done
"$python" "$here/bench_table.py" "$out/reprise" "$out/mlx-lm"
