"""Copies the `tokenizers` crate that a lock file names out of Cargo's registry folder and puts our own text in the places below:
apply.py MANIFEST_DIR OUT. Fails when the crate does not look as expected."""
import json
import pathlib
import shutil
import subprocess
import sys

# What stands from the first mark up to the second gives way to the file, which says why. Each mark stands in the source once.
PLACES = [
    ("src/models/mod.rs", "impl<'de> Deserialize<'de> for ModelWrapper {", "impl_enum_from!(WordLevel, ModelWrapper, WordLevel);", "model_wrapper.rs"),
    ("src/models/bpe/serialization.rs", "        #[derive(Debug, Deserialize)]\n", "        while let Some(key) = map.next_key", "merge_list.rs"),
    ("src/models/bpe/serialization.rs", "            let merges = match merges {\n", '        } else {\n            Err(Error::custom("Missing vocab/merges"))\n', "merge_map.rs"),
    ("src/tokenizer/added_vocabulary.rs", "            if token.content.is_empty() ||", "                ignored += 1;\n", "added_token.rs"),
]

manifest, out = sys.argv[1], pathlib.Path(sys.argv[2])
found = json.loads(subprocess.run(["cargo", "metadata", "-q", "--format-version", "1", "--locked"], cwd=manifest, check=True, capture_output=True).stdout)
crates = [p for p in found["packages"] if p["name"] == "tokenizers" and p["source"]]
if len(crates) != 1:
    sys.exit(f"apply.py: {len(crates)} crates are called tokenizers")
shutil.copytree(pathlib.Path(crates[0]["manifest_path"]).parent, out)
for file, begin, end, own in PLACES:
    path = out / file
    source = path.read_text()
    if source.count(begin) != 1 or source.count(end) != 1 or source.index(begin) > source.index(end):
        sys.exit(f"apply.py: {path} is not the version that {own} was written for")
    text = (pathlib.Path(__file__).parent / own).read_text()
    path.write_text(source[: source.index(begin)] + text + source[source.index(end):])
