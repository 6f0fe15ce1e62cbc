"""Makes a file of pinned requirements of what pip found: lock.py TITLE REPORT…, each from `pip install --report REPORT …` (--dry-run will do).

Printed are names, versions and checksums, and no place that they came from. What pip found is for its own Python and platform.
"""
import json
import sys

title, *reports = sys.argv[1:]
pins = {}
for report in reports:
    with open(report, encoding="utf-8") as f:
        for item in json.load(f)["install"]:
            m = item["metadata"]
            pins[m["name"].lower().replace("_", "-")] = f"{m['name']}=={m['version']} --hash=sha256:{item['download_info']['archive_info']['hashes']['sha256']}"
print(f"# {title}. Every package is named: they are installed with --no-deps.\n# For Python 3.11 on Linux x86_64; lock.py made it of pip's report.")
print("\n".join(pins[name] for name in sorted(pins)))
