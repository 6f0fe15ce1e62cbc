"""The conversations of vectors.json: name → the request as JSON text, because
the form of its numbers and the order of its keys are part of the test."""

import json

WEATHER = """{"type": "function", "function": {"name": "get_weather", "description": "Weather of a city.\\nUse it <often> & \\"well\\".",
 "parameters": {"type": "object", "required": ["city"], "properties": {
  "unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "description": "unit"},
  "city": {"type": "string", "description": "name of the city"},
  "Days": {"type": "integer", "minimum": 1, "maximum": 14.0, "default": 1.0e0, "nullable": true}}}}}"""
NESTED = """{"function": {"parameters": {"properties": {
   "filter": {"type": "object", "description": "what to look for", "required": ["path"], "properties": {
      "path": {"type": "string"}, "depth": {"type": "integer", "description": "how deep"},
      "Opts": {"type": "object", "properties": {}}}},
   "free": {"type": "object", "additionalProperties": {"type": "number"}},
   "tags": {"type": "array", "description": "tags", "items": {"type": "string", "enum": ["a", "b"], "maxLength": 12345678901234567890}},
   "rows": {"type": "array", "items": {"type": "object", "required": ["x"], "properties": {"x": {"type": "number", "description": "x"}}}},
   "either": {"type": ["string", "null"]},
   "mixed": {"type": "array", "items": {"type": ["integer", "string"], "default": null, "examples": [1, 2.50, true, null, {"k": []}]}},
   "nothing": {}}, "type": "object"}, "description": "Nested", "name": "search_files",
   "response": {"type": "object", "description": "hits"}}, "type": "function"}"""
BARE = '{"type": "function", "function": {"name": "ping", "description": ""}}'
EMPTY = '{"type": "function", "function": {"name": "noop", "description": "no parameters", "parameters": {"type": "object", "properties": {}}}}'
UNICODE = '{"type": "function", "function": {"name": "wörld_🌍", "description": "日本語 \\u2028 \\ud83d\\ude00 \\u007f", "parameters": {"type": "object", "properties": {"größe": {"type": "straße", "description": "é"}}}}}'

NUMBERS = '{"a": 1, "b": 1.0, "c": 1e3, "d": 1.0e-7, "e": 123456789012345678901234567890, "f": -0, "g": -0.0, "h": 1E400, "i": 0.1, "j": 1e16, "k": 123456789.123456789, "l": 5e-324, "m": 1.50}'
NESTED_ARGS = '{"z": {"b": [1, 2.0, {"y": null, "x": true}], "A": "q\\"uote"}, "a": [], "m": {}, "s": "line\\nbreak\\t\\\\", "n": null, "t": false}'


TEXTS = ["Grüße aus Köln", "日本の天気は？", "Привет, мир", "שלום", "مرحبا", "नमस्ते", "🌍👩‍👩‍👧 ok", "e\u0301 ﬁ İ ß", "Ελλάδα", "안녕", "tab\tnew\nline", "\u00a0nbsp\u3000wide", "q\"uo\\te"]
ARGUMENTS = [{"city": "Zürich", "Days": 2}, {"city": "東京", "unit": "celsius"}, {"city": "Oslo"}, {"filter": {"path": "/ä", "depth": 1}, "tags": ["a", "é"]}, {"z": None, "a": [1, 2.5, {"k": True}], "m": "{\"x\": 1}"},
             {"größe": "🌍", "b": "<b>&amp;</b>"}, {}]
NAMES = ["get_weather", "get_weather", "get_weather", "search_files", "calc", "wörld_🌍", "ping"]


def agent(i):
    """An agent's conversation: its shape follows from the bits and remainders of i. All have tools, unicode, reasoning in
    history, parallel calls and their results; every other one thinks, most say what becomes of old reasoning."""
    def text(k):
        return TEXTS[(i + k) % len(TEXTS)]

    def calls(k, n, as_text):
        out = []
        for j in range(n):
            at = (i + 2 * k + j) % len(ARGUMENTS)
            args = json.dumps(ARGUMENTS[at], ensure_ascii=(i + j) % 2 == 0)
            out.append({"id": f"c{k}.{j}", "type": "function", "function": {"name": NAMES[at], "arguments": args if as_text else ARGUMENTS[at]}})
        return out

    def results(k, n):
        order = range(n) if i % 4 else reversed(range(n))
        out = [{"role": "tool", "tool_call_id": f"c{k}.{j}", "content": text(j) if (i + j) % 5 else [{"type": "text", "text": text(j)}]} for j in order]
        if i % 6 == 1:
            out[0]["name"] = "other"
        return out

    def thought(k):
        field = ("reasoning_content", "reasoning", "thinking")[(i + k) % 3]
        return {field: f"I think of {text(k)}.\n\nThen I look.\n" if (i + k) % 4 else text(k)}

    messages = [{"role": "system", "content": f" You speak {text(5)}. "}] if i % 3 else []
    messages.append({"role": "user", "content": text(0) if i % 5 else [{"type": "text", "text": text(0)}, {"type": "text", "text": text(1)}]})
    n = 2 + i % 2
    messages.append({"role": "assistant", "content": [None, "", text(2), " Let me look.\n"][i % 4], **thought(0), "tool_calls": calls(0, n, i % 8 < 6)})
    messages += results(0, n)
    if i % 4 >= 2:  # a chain
        messages.append({"role": "assistant", "content": "", **thought(1), "tool_calls": calls(1, 1, True)})
        messages += results(1, 1)
    if i % 3 != 1:
        messages.append({"role": "assistant", "content": text(3) + "\n", **(thought(2) if i % 2 else {})})
        messages.append({"role": "user", "content": text(4)})
        if i % 3 == 2:  # a second round, that the last question began
            messages.append({"role": "assistant", "content": None, **thought(3), "tool_calls": calls(2, 2, True)})
            messages += results(2, 2)
    tools = [WEATHER, NESTED, UNICODE, BARE, EMPTY]
    more = {"enable_thinking": i % 2 == 0, "extra": {"preserve_thinking": i % 12 != 5} if i % 6 != 4 else {}}
    return f"agent {i}", [json.dumps(m, ensure_ascii=i % 3 == 0) for m in messages], tools[i % 5 :] if i % 2 else tools[: 1 + i % 5], more


def conversations():
    out = {}

    def add(name, messages, tools=(), **more):
        fields = ['"messages": [%s]' % ", ".join(messages)]
        if tools:
            fields.append('"tools": [%s]' % ", ".join(tools))
        for key, value in {"add_generation_prompt": True, "bos_token": "<bos>", **more}.items():
            fields.append('"%s": %s' % (key, json.dumps(value)))
        out[name] = "{%s}" % ", ".join(fields)

    def msg(role, content, extra=""):
        return '{"role": "%s", "content": %s%s}' % (role, json.dumps(content), extra)

    def call(name, arguments, id="call_1", text=True, content="null", extra=""):
        args = json.dumps(arguments) if text else arguments
        return ('{"role": "assistant", "content": %s, "tool_calls": [{"id": "%s", "type": "function", "function": '
                '{"name": "%s", "arguments": %s}}]%s}' % (content, id, name, args, extra))

    def result(content, id="call_1", extra=""):
        return '{"role": "tool", "tool_call_id": "%s", "content": %s%s}' % (id, content, extra)

    hi = msg("user", "Hi")
    sys = msg("system", "  You are terse. \n")

    add("one user", [hi])
    add("no generation prompt", [hi, msg("assistant", "Hello.")], add_generation_prompt=False)
    add("system", [sys, hi])
    add("developer", [msg("developer", "Be kind."), hi])
    add("system in the middle", [hi, msg("assistant", "Yes?"), sys, hi])
    add("three turns", [sys, hi, msg("assistant", " Hello. "), msg("user", "More\n"), msg("assistant", "Sure"), msg("user", "End")])
    add("thinking on", [sys, hi], enable_thinking=True)
    add("thinking off", [sys, hi], enable_thinking=False)
    add("thinking on, no system", [hi], enable_thinking=True)
    add("thinking on with tools", [hi], [WEATHER], enable_thinking=True)
    add("preserve thinking", [hi, msg("assistant", "A", ', "reasoning_content": "why"'), msg("user", "B")], extra={"preserve_thinking": True})
    add("no bos", [hi], bos_token="")
    add("one tool", [hi], [WEATHER])
    add("tool and system", [sys, hi], [WEATHER])
    add("nested tools", [hi], [NESTED, BARE, EMPTY])
    add("unicode tool", [hi], [UNICODE])
    add("unicode text", [msg("user", "Grüße 🌍 \u2028 \u3000 日本 \u0000 \u007f \u00a0"), msg("assistant", "\u00a0ok\u3000"), msg("user", "İ ß ﬁ")])
    add("html", [msg("user", "<b>&amp; 'x' \"y\"</b>")], [WEATHER])
    add("template in text", [msg("user", "{{ messages }} {% if %} {# no #}")])
    add("special tokens in text", [msg("user", "<turn|> <|im_end|> </think> <channel|>")])
    add("call and result", [hi, call("get_weather", '{"unit": "celsius", "city": "Oslo"}'), result('"rain"')], [WEATHER])
    add("call without result", [hi, call("get_weather", '{"city": "Oslo"}')], [WEATHER])
    add("call as object", [hi, call("get_weather", '{"city": "Oslo", "Days": 2}', text=False), result('"sun"'), hi], [WEATHER])
    add("call, result, answer", [hi, call("get_weather", '{"city": "Oslo"}'), result('"rain"'), msg("assistant", "It rains."), msg("user", "Thanks")], [WEATHER])
    add("text beside the call", [hi, call("get_weather", '{"city": "Oslo"}', content='"Let me look. "'), result('"rain"')], [WEATHER])
    add("empty text beside the call", [hi, call("get_weather", '{"city": "Oslo"}', content='""'), result('""')], [WEATHER])
    add("numbers of all forms", [hi, call("calc", NUMBERS), result(json.dumps(NUMBERS))])
    add("numbers as object", [hi, call("calc", NUMBERS, text=False), result('"ok"')])
    add("nested arguments", [hi, call("f", NESTED_ARGS), result('"ok"')])
    add("nested arguments as object", [hi, call("f", NESTED_ARGS, text=False), result('"ok"')])
    add("duplicate keys", [hi, call("f", '{"a": 1, "b": 2, "a": 3}'), result('"ok"')])
    add("no arguments", [hi, call("ping", ""), result('"pong"'), hi], [BARE])
    add("empty arguments", [hi, call("ping", "{}"), result('"pong"'), hi], [BARE])
    add("invalid arguments", [hi, call("ping", '{"a": '), result('"pong"')])
    add("arguments that are no object", [hi, call("ping", "[1, 2]"), result('"pong"')])
    add("unicode arguments", [hi, call("f", '{"gr\\u00f6\\u00dfe": "\\ud83c\\udf0d", "b": "日本\\u0007"}'), result('"ok"')])
    two = ('{"role": "assistant", "content": "", "tool_calls": [{"id": "a.1", "type": "function", "function": {"name": "get_weather", "arguments": "{\\"city\\": \\"Oslo\\"}"}}, '
           '{"id": "b:2", "type": "function", "function": {"name": "search_files", "arguments": "{\\"filter\\": {\\"path\\": \\"/\\"}, \\"tags\\": [\\"a\\"]}"}}]}')
    add("parallel calls", [hi, two, result('"rain"', "a.1"), result('"none"', "b:2")], [WEATHER, NESTED])
    add("parallel calls, results swapped, answer", [hi, two, result('"none"', "b:2"), result('"rain"', "a.1"), msg("assistant", "Done")], [WEATHER, NESTED], add_generation_prompt=False)
    add("chain of calls", [hi, call("get_weather", '{"city": "A"}', "c1"), result('"x"', "c1"), call("get_weather", '{"city": "B"}', "c2"), result('"y"', "c2"), msg("assistant", "Both."), hi], [WEATHER])
    add("result with a name", [hi, call("get_weather", '{"city": "A"}', "c1"), result('"x"', "c9", ', "name": "other"')], [WEATHER])
    add("result as parts", [hi, call("ping", "{}"), result('[{"type": "text", "text": "po"}, {"type": "text", "text": "ng"}]')])
    add("result null", [hi, call("ping", "{}"), result("null")])
    add("result object", [hi, call("ping", "{}"), result('{"ok": true, "n": 1.0, "s": "x"}')])
    add("content parts", [msg("system", [{"type": "text", "text": "Sys "}]), msg("user", [{"type": "text", "text": " a "}, {"type": "text", "text": "b"}])])
    add("image part", [msg("user", [{"type": "image"}, {"type": "text", "text": "what?"}])])
    add("image url part", [msg("user", [{"type": "image_url", "image_url": {"url": "data:"}}, {"type": "text", "text": "what?"}])])
    add("video and image with ids", [msg("user", [{"type": "video"}, {"type": "image"}, {"type": "image"}, {"type": "text", "text": "?"}])], extra={"add_vision_id": True})
    add("unknown part", [msg("user", [{"type": "mystery"}])])
    add("image in system", [msg("system", [{"type": "image"}]), hi])
    add("content null", [hi, '{"role": "assistant", "content": null}', hi])
    add("content missing", [hi, '{"role": "assistant"}', hi])
    add("content empty", [msg("user", ""), msg("assistant", ""), msg("user", " ")])
    add("content a number", [msg("user", 12)])
    add("reasoning in history", [hi, msg("assistant", "A", ', "reasoning_content": "because\\n"'), msg("user", "B")])
    add("reasoning beside calls", [hi, call("get_weather", '{"city": "A"}', extra=', "reasoning_content": " think "'), result('"x"')], [WEATHER])
    add("reasoning under another name", [hi, call("get_weather", '{"city": "A"}', extra=', "reasoning": "think"'), result('"x"')], [WEATHER])
    add("reasoning of an old turn", [hi, call("get_weather", '{"city": "A"}', extra=', "reasoning_content": "old"'), result('"x"'), msg("assistant", "A"), hi], [WEATHER])
    add("thinking tags in history", [hi, msg("assistant", "<think>\nhm\n</think>\n\nA"), msg("user", "B"), msg("assistant", "<|channel>thought\nx<channel|>C"), msg("user", "D")])
    add("open thinking tags", [hi, msg("assistant", "a</think>b</think>c<channel|>d<|channel>e"), hi])
    add("tool response in user text", [hi, call("ping", "{}"), msg("user", "<tool_response>\nx\n</tool_response>")])
    add("only tool responses", [msg("user", "<tool_response>x</tool_response>")])
    add("two assistants in a row", [hi, msg("assistant", "one"), msg("assistant", "two"), hi])
    add("no messages", [])
    add("unknown role", [hi, msg("critic", "no")])
    add("no user", [sys])
    add("legacy tool responses", [hi, call("ping", "{}", extra=', "tool_responses": [{"name": "ping", "response": {"b": 1, "a": "x"}}]'), hi])
    add("ends with a call", [hi, call("ping", "{}")], add_generation_prompt=False)
    for i in range(48):
        name, messages, tools, more = agent(i)
        add(name, messages, tools, **more)
    return out
