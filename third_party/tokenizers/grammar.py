"""Puts llguidance (structured output) into the tokenizers library, in a writable copy of its module: grammar.py MODULE_DIR.

One static library for both: two Rust ones in a program would bring the standard library twice. Cargo.pins is the lock file of
that union without its `source` lines, which the module's own lock file supplies; Cargo verifies every checksum."""
import pathlib
import re
import sys

VERSION = "1.9.1"
here, module = pathlib.Path(__file__).parent, pathlib.Path(sys.argv[1])

manifest = module / "Cargo.toml"
text = manifest.read_text()
if text.count("\n[dependencies]\n") != 1:
    sys.exit("grammar.py: Cargo.toml is not the version that this was written for")
line = f'llguidance = {{ version = "={VERSION}", default-features = false, features = ["lark", "referencing", "ahash"] }}\n'
manifest.write_text(text.replace("\n[dependencies]\n", "\n[dependencies]\n" + line))

library = module / "src/lib.rs"
library.write_text(library.read_text() + "\npub use llguidance; // its C functions become the library's\n")

lock = module / "Cargo.lock"
sources = set(re.findall(r"^source = .*\n", lock.read_text(), re.M))
if len(sources) != 1:
    sys.exit(f"grammar.py: the module's lock file names {len(sources)} sources, one is expected")
lock.write_text(re.sub(r"^checksum = ", sources.pop() + "checksum = ", (here / "Cargo.pins").read_text(), flags=re.M))
