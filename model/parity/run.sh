#!/bin/sh
# make parity: writes every reference value again, into a temporary folder, and compares with the committed ones.
# The real model's are included when its imported checkpoint is there (third_party/build/models/gemma-3-270m, or $1).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
python=$("$here/setup.sh")
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
export PYTHONDONTWRITEBYTECODE=1

"$python" "$root/mlx/testdata/make_ops.py" --out "$fresh/mlx/testdata"
"$python" "$root/model/sample/testdata/make_filters.py" --out "$fresh/model/sample/testdata"
"$python" "$here/make_gemma3_tiny.py" --out "$fresh/model/gemma3/testdata"
"$python" "$here/make_gemma4_tiny.py" --out "$fresh/model/gemma4/testdata"
"$python" "$here/make_qwen35_tiny.py" --out "$fresh/model/qwen35/testdata"
"$python" "$here/make_kv_quant.py" --out "$fresh/model"
"$python" "$root/model/hub/layout/testdata/make_vectors.py" --out "$fresh/model/hub/layout/testdata"
if [ -f "$root/third_party/build/env.sh" ]; then
    dump=$(mktemp -d)
    trap 'rm -rf "$fresh" "$dump"' EXIT
    (cd "$root" && . third_party/build/env.sh && REPRISE_CONVERT_DUMP=$dump go test -count=1 -run TheBytesAreMlxLms ./model/convert)
    "$python" "$root/model/convert/testdata/make_vectors.py" "$dump" --out "$fresh/model/convert/testdata"
else
    echo "parity: the libraries are not built (make libraries): model/convert's vectors are not compared"
fi
real=${1:-$root/third_party/build/models/gemma-3-270m}
if [ -f "$real/config.json" ]; then
    "$python" "$here/make_gemma3_real.py" "$real" --out "$fresh/model/gemma3/testdata"
else
    echo "parity: $real is absent (reprise models import makes it): real-270m.json is not compared"
fi
"$python" "$here/compare.py" "$root" "$fresh"

# Templates beside transformers', parsers beside mlx-lm's.
"$python" "$root/model/chat/testdata/make_vectors.py" --check --out "$fresh"
"$python" "$root/model/chat/parse/testdata/make_corpus.py" --oracle --out "$fresh"
cmp "$fresh/corpus.json" "$root/model/chat/parse/testdata/corpus.json"
