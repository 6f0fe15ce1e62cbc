"""The oracle: Jinja set up as transformers 5.23.0 does for apply_chat_template.

Needs jinja2==3.1.6, markupsafe==3.0.4 (Python 3.11). With transformers==5.23.0
installed as well, make_vectors.py --check compares this file with it.

Run as a program it renders requests, the objects that clients post to
/v1/chat/completions, and prints a JSON array of texts:
`reference.py TEMPLATE REQUEST.json…`
"""

import datetime
import json
import sys

import jinja2
import jinja2.ext
import jinja2.sandbox

NOW = datetime.datetime(2026, 3, 9, 7, 5, 2)


class Generation(jinja2.ext.Extension):
    """{% generation %} marks the assistant's text; it renders as its body."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.Scope(body).set_lineno(line)


class ChatNamespace(jinja2.utils.Namespace):
    def __init__(*args, **kwargs):
        self, args = args[0], args[1:]
        attrs = dict(*args, **kwargs)
        for name in attrs:
            check_name(name)
        jinja2.utils.Namespace.__init__(self, attrs)

    def __setitem__(self, name, value):
        check_name(name)
        jinja2.utils.Namespace.__setitem__(self, name, value)


def check_name(name):
    if isinstance(name, str) and name.startswith("_"):
        raise jinja2.exceptions.SecurityError(f"underscore-prefixed attribute {name!r}")


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def environment():
    env = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
    )
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = lambda layout: NOW.strftime(layout)
    env.globals["namespace"] = ChatNamespace
    return env


def decode_arguments(messages):
    """Tool-call arguments that hold a JSON object become that object."""
    for message in messages:
        for call in (message.get("tool_calls") if isinstance(message, dict) else None) or []:
            holder = call.get("function", call) if isinstance(call, dict) else None
            if not isinstance(holder, dict) or not isinstance(holder.get("arguments"), str):
                continue
            try:
                decoded = json.loads(holder["arguments"]) if holder["arguments"].strip() else {}
            except ValueError:
                continue
            if isinstance(decoded, dict):
                holder["arguments"] = decoded
    return messages


def alias_reasoning(messages):
    out = []
    for message in messages:
        names = ("reasoning_content", "thinking", "reasoning")
        text = next((message[n] for n in names if message.get(n) is not None), None)
        if text is not None:
            message = {"thinking": text, **message, "reasoning_content": text}
        out.append(message)
    return out


def render(source, request):
    messages = alias_reasoning(decode_arguments(request["messages"]))
    kwargs = {k: request[k] for k in ("enable_thinking", "bos_token", "eos_token") if k in request}
    kwargs.update(request.get("extra", {}))
    return environment().from_string(source).render(
        messages=messages,
        tools=request.get("tools"),
        documents=None,
        add_generation_prompt=request.get("add_generation_prompt", False),
        **kwargs,
    )


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as f:
        template = f.read()
    texts = []
    for path in sys.argv[2:]:
        with open(path, encoding="utf-8") as f:
            body = json.load(f)
        texts.append(render(template, {**body, "add_generation_prompt": True, "bos_token": "<bos>"}))
    print(json.dumps(texts))
