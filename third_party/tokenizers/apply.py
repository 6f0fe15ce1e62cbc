"""Copies the `tokenizers` crate that a lock file names out of Cargo's registry folder and puts model_wrapper.rs in the place of
upstream's implementation: apply.py MANIFEST_DIR OUT. Fails when the crate does not look as expected."""
import json
import pathlib
import shutil
import subprocess
import sys

manifest, out = sys.argv[1], pathlib.Path(sys.argv[2])
found = json.loads(subprocess.run(["cargo", "metadata", "-q", "--format-version", "1", "--locked"], cwd=manifest, check=True, capture_output=True).stdout)
crates = [p for p in found["packages"] if p["name"] == "tokenizers" and p["source"]]
if len(crates) != 1:
    sys.exit(f"apply.py: {len(crates)} crates are called tokenizers")
shutil.copytree(pathlib.Path(crates[0]["manifest_path"]).parent, out)
path = out / "src/models/mod.rs"
source = path.read_text()
begin, end = "impl<'de> Deserialize<'de> for ModelWrapper {", "impl_enum_from!(WordLevel, ModelWrapper, WordLevel);"
if source.count(begin) != 1 or source.count(end) != 1 or source.index(begin) > source.index(end):
    sys.exit(f"apply.py: {path} is not the version that model_wrapper.rs was written for")
own = (pathlib.Path(__file__).parent / "model_wrapper.rs").read_text()
path.write_text(source[: source.index(begin)] + own + source[source.index(end):])
