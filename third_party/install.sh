#!/usr/bin/env bash
# install.sh PREFIX: copies the binary and the libraries that it needs. The result can be moved as a whole.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
prefix=${1:?usage: install.sh PREFIX}
lib=$prefix/lib/reprise
mkdir -p "$prefix/bin" "$lib"
rm -rf "$lib/mlx" "$lib"/mlx_*.libs "$lib/blas"
# The wheel's layout is kept: libmlx finds its LAPACK (Linux) and its metallib (macOS) relative to itself.
mkdir -p "$lib/mlx"
cp -RL "$root/third_party/build/mlx/mlx/lib" "$lib/mlx/lib"
for d in "$root"/third_party/build/mlx/mlx_*.libs; do [ ! -d "$d" ] || cp -RL "$d" "$lib/"; done
if [ -d "$root/third_party/build/blas/lib" ]; then mkdir -p "$lib/blas"; cp -RL "$root/third_party/build/blas/lib" "$lib/blas/lib"; fi
cp "$root/LICENSE" "$root/third_party/NOTICE" "$lib/"
cp "$root/bin/reprise" "$prefix/bin/.reprise.new" && mv "$prefix/bin/.reprise.new" "$prefix/bin/reprise"
echo "installed $prefix/bin/reprise"
