# Sourced by setup.sh: what `make check-darwin` links against, on a machine that is not a Mac.
#
# zig compiles C and C++ for macOS; libmlx.dylib is the real one of the mlx-metal wheel. Apple's own libraries
# are not to be had here, so darwin/*.tbd name the symbols that the Go runtime wants of them; the tokenizers
# and grammar library cannot be built here either (no Rust target), so a .tbd made of its headers stands in at link time. No
# symbol is left to be looked up at run time: one that is missing fails the link.

darwin() {
  local zigdir macmlx target=aarch64-macos.14.0 sdk
  zigdir=$(wheel ziglang)
  once "$zigdir" pip_install_into ziglang
  macmlx=$cache/mlx-metal-$(pin pypi mlx-metal version)-darwin-$(keyof $(pin pypi mlx-metal sha))
  once "$macmlx" darwin_mlx
  [ -d "$sources" ] || once "$sources" mlxc_sources
  once "$tok" compile_tokenizers # for llguidance's header
  sdk=$cache/darwin-$(keyof "$zigdir" "$macmlx" "$(pin crate mlx-sys sha)" "$tok" "$(key "$here"/darwin/* "$here/darwin.sh" "$here/mlxc/format_compat.h" "$root"/mlx/kernels/*.h "$root"/mlx/kernels/*.cpp)")
  once "$sdk" darwin_sdk "$zigdir/ziglang/zig" "$target" "$macmlx"
  mkdir -p "$build"; link "$sdk" darwin; link "$macmlx" darwin-mlx
  cat > "$build/darwin.sh" <<ENV
export CGO_ENABLED=1 GOOS=darwin GOARCH=arm64
export CC="$sdk/bin/cc" CXX="$sdk/bin/c++" AR="$sdk/bin/ar"
export CGO_CFLAGS="-O2 -I$sdk/include"
export CGO_CXXFLAGS="-O2 -std=c++20 -I$sdk/include -I$macmlx/mlx/include"
export CGO_LDFLAGS="-L$sdk/lib -L$macmlx/mlx/lib -F$sdk/frameworks -Wl,-rpath,@executable_path/../lib/reprise/mlx/lib"
ENV
}

darwin_mlx() { pip_install mlx-metal "$1" --platform macosx_14_0_arm64; }

# darwin_sdk ZIG TARGET MLX OUT: compiler wrappers, stubs, and mlx-c compiled for macOS.
darwin_sdk() {
  local zig=$1 target=$2 macmlx=$3 out=$4 f name header
  mkdir -p "$out/bin" "$out/lib" "$out/frameworks"
  for f in cc c++; do
    printf '#!/bin/sh\nexec "%s" %s -target %s "$@"\n' "$zig" "$f" "$target" > "$out/bin/$f"
  done
  printf '#!/bin/sh\nexec "%s" ar "$@"\n' "$zig" > "$out/bin/ar"
  chmod 755 "$out"/bin/*
  cp "$here/darwin/libresolv.tbd" "$out/lib/"
  for name in CoreFoundation Security; do
    mkdir -p "$out/frameworks/$name.framework"; cp "$here/darwin/$name.tbd" "$out/frameworks/$name.framework/"
  done
  header=$(cd "$root" && go mod download -json "github.com/daulet/tokenizers@$(pin gomod github.com/daulet/tokenizers version)" | python3 -c 'import json,sys; print(json.load(sys.stdin)["Dir"])')
  {
    printf -- '--- !tapi-tbd\ntbd-version: 4\ntargets: [ arm64-macos ]\ninstall-name: /usr/lib/libtokenizers.dylib\nexports:\n  - targets: [ arm64-macos ]\n    symbols: [ '
    # The functions of its headers, and the symbol by which the Go side checks the library's version.
    { grep -ohE '(tokenizers|llg)_[a-z0-9_]+\(' "$header/tokenizers.h" "$tok/include/llguidance.h" | tr -d '('; grep -oE '^extern void tokenizers_version_[0-9_]+' "$header/tokenizer.go" | cut -d' ' -f3; } |
      sort -u | sed 's/^/_/' | paste -sd, -
    printf ' ]\n...\n'
  } > "$out/lib/libtokenizers.tbd"
  mkdir -p "$out/include" && cp "$tok/include/llguidance.h" "$out/include/"
  "$out/bin/cc" -c "$here/darwin/rusage_layout.c" -o "$out/rusage_layout.o" && rm "$out/rusage_layout.o"
  compile_mlxc "$sources/mlx-c" "$macmlx/mlx/include" "$out/bin/c++" "$out/bin/ar" "$out"
  compile_kernels "$macmlx/mlx/include" "$out/include" "$out/bin/c++" "$out/bin/ar" "$out"
}
