"""Writes vectors.json, the reference outputs that the Go tests compare with.

    pip install jinja2==3.1.6 markupsafe==3.0.4      (Python 3.11)
    python3 make_vectors.py            writes vectors.json
    python3 make_vectors.py --check    also compares reference.py with transformers==5.23.0, which must be installed
    --out DIR                          writes it there
"""

import json
import pathlib
import sys

import jinja2

import conversations
import expressions
import reference

HERE = pathlib.Path(__file__).parent
TEMPLATES = {"gemma4": "gemma-4.jinja", "qwen3.6": "qwen3.6.jinja"}


def outcome(fn):
    try:
        return {"text": fn()}
    except Exception as e:  # whatever the template provoked is the expected result
        return {"error": type(e).__name__, "message": str(e)}


def expression(source):
    def run():
        env = reference.environment()
        return env.from_string(source).render(**json.loads(expressions.DATA))

    return {"template": source, **outcome(run)}


def main():
    sources = {name: (HERE.parent / "templates" / file).read_text(encoding="utf-8") for name, file in TEMPLATES.items()}
    requests = conversations.conversations()
    out = {
        "made_by": f"make_vectors.py, jinja2 {jinja2.__version__}, Python {sys.version.split()[0]}",
        "conversations": [
            {"name": name, "request": text, "want": {t: outcome(lambda: reference.render(src, json.loads(text))) for t, src in sources.items()}}
            for name, text in requests.items()
        ],
        "data": expressions.DATA,
        "expressions": [expression("{{ %s }}" % e) for e in expressions.EXPRESSIONS] + [expression(t) for t in expressions.TEMPLATES],
    }
    to = pathlib.Path(sys.argv[sys.argv.index("--out") + 1]) if "--out" in sys.argv else HERE
    (to / "vectors.json").write_text(json.dumps(out, ensure_ascii=True, indent=1) + "\n", encoding="utf-8")
    print(len(requests), "conversations,", len(out["expressions"]), "expressions")
    if "--check" in sys.argv:
        check(sources, requests)


def check(sources, requests):
    from transformers.utils.chat_template_utils import render_jinja_template

    compared = 0
    for name, text in requests.items():
        for template, source in sources.items():
            def theirs():
                r = json.loads(text)
                kwargs = {k: r[k] for k in ("enable_thinking", "bos_token", "eos_token") if k in r}
                rendered, _ = render_jinja_template(
                    [reference.decode_arguments(r["messages"])], tools=r.get("tools"), chat_template=source,
                    add_generation_prompt=r["add_generation_prompt"], **kwargs, **r.get("extra", {}))
                return rendered[0]

            want, got = outcome(theirs), outcome(lambda: reference.render(source, json.loads(text)))
            if want != got:
                sys.exit(f"{template}, {name}: reference.py differs from transformers:\n{want}\n{got}")
            compared += 1
    print("reference.py equals transformers on", compared, "renderings")


main()
