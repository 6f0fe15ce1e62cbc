"""Writes corpus.json: raw outputs of both dialects and what the parser must make of them.

    python3 make_corpus.py                    writes corpus.json
    python3 make_corpus.py --oracle           also compares the well-formed calls with mlx-lm's own parsers (model/parity/setup.sh's python)
    --out DIR                                 writes it there

Expected values are written by hand. ORACLE marks what mlx_lm 0.32.2 is asked about too; where it says something else the
case says why: its parsers see one call's text at a time, know no damage, and type by other rules.
"""

import json
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).parent

# Gemma 4's ids are the published ones; Qwen3.6's are made up. Pieces of text have no ids here.
VOCABULARIES = {
    "gemma4": {"<|tool>": 46, "<tool|>": 47, "<|tool_call>": 48, "<tool_call|>": 49, "<|tool_response>": 50, "<tool_response|>": 51, '<|"|>': 52,
               "<|channel>": 100, "<channel|>": 101, "<|turn>": 105, "<turn|>": 106},
    "qwen3.6": {"<tool_call>": 248058, "</tool_call>": 248059, "<think>": 248068, "</think>": 248069},
}

TOOLS = [
    {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "required": ["city"], "properties": {
        "city": {"type": "string"}, "days": {"type": "integer"}, "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]}}}}},
    {"type": "function", "function": {"name": "write", "parameters": {"type": "object", "properties": {
        "path": {"type": "string"}, "content": {"type": "string"}, "append": {"type": "boolean"}}}}},
    {"type": "function", "function": {"name": "search", "parameters": {
        "$defs": {"span": {"type": "object", "properties": {"from": {"type": "integer"}, "to": {"type": "integer"}}}},
        "type": "object", "properties": {
            "query": {"type": "string"}, "limit": {"type": "number"}, "tags": {"type": "array", "items": {"type": "string"}},
            "span": {"$ref": "#/$defs/span"}, "spans": {"type": "array", "items": {"$ref": "#/$defs/span"}},
            "either": {"anyOf": [{"type": "integer"}, {"type": "string"}]}, "maybe": {"type": ["string", "null"]}, "maybe_int": {"type": ["integer", "null"]},
            "one": {"oneOf": [{"type": "array", "items": {"type": "string"}}, {"type": "string"}]}, "level": {"enum": [1, 2, "high"]}, "mode": {"const": "fast"},
            "free": {}, "options": {"type": "object"}, "deep": {"type": "boolean"}, "nothing": {"type": "null"}, "n": {"type": "integer", "nullable": True}}}}},
    {"type": "function", "function": {"name": "ping"}},
    {"type": "function", "function": {"name": "größe_🌍", "parameters": {"type": "object", "properties": {"größe": {"type": "string"}}}}},
]


class Text(str):
    """Text in which markers are not tokens but written out."""


CASES = []


def case(name, raw, want, *repairs, dialect=None, tools=True, thinking=None, ended="stop", truncated=False, oracle=True, differs="", text=True):
    """raw: a text, or a list of texts and Text. want: (kind, text) or (kind, call's name, arguments)."""
    CASES.append(dict(name=name, dialect=dialect, tools=tools, thinking=thinking, ended=ended, truncated=truncated, raw=raw, want=want,
                      repairs=list(repairs), oracle=oracle and not repairs and not differs, differs=differs, text=text))


def R(text):
    return ["reasoning", text]


def C(text):
    return ["content", text]


def F(name, arguments):
    return ["call", name, arguments]


def gemma(name, raw, want, *repairs, **more):
    case(name, raw, want, *repairs, dialect="gemma4", thinking=more.pop("thinking", False), **more)


def qwen(name, raw, want, *repairs, **more):
    case(name, raw, want, *repairs, dialect="qwen3.6", thinking=more.pop("thinking", False), **more)


Q = '<|"|>'
OPEN, SHUT = "<|tool_call>", "<tool_call|>"


def g(name, args):
    return OPEN + "call:" + name + "{" + args + "}" + SHUT


def s(text):
    return Q + text + Q


def f(name, *params, close=True):
    out = "<tool_call>\n<function=" + name + ">\n"
    for key, value in params:
        out += "<parameter=" + key + ">\n" + value + "\n</parameter>\n"
    return out + "</function>\n</tool_call>"


def gemma_cases():
    oslo = F("get_weather", '{"city":"Oslo"}')
    gemma("text", "Hello, wörld. 🌍\n\n日本", [C("Hello, wörld. 🌍\n\n日本")])
    gemma("text with line feeds around", "\n\nHello\n", [C("Hello\n")])
    gemma("text like markup", "a < b, <b>x</b> {y: [1]} \"q\" thought\n", [C('a < b, <b>x</b> {y: [1]} "q" thought\n')])
    gemma("thought, then text", "<|channel>thought\nhm,\n\nwell\n<channel|>Yes.", [R("hm,\n\nwell"), C("Yes.")])
    gemma("empty thought", "<|channel>thought\n<channel|>Yes.", [C("Yes.")])
    gemma("thought without a line feed", "<|channel>thought<channel|>Yes.", [C("Yes.")])
    gemma("channel without a heading", "<|channel>I see\n<channel|>Yes.", [R("I see"), C("Yes.")])
    gemma("a word that begins like the heading", "<|channel>thoughtful remark<channel|>Yes.", [R("thoughtful remark"), C("Yes.")])
    gemma("markers written out are text", ["Use ", Text("<|tool_call>"), " and ", Text('<|"|>'), "."], [C('Use <|tool_call> and <|"|>.')], text=False)
    gemma("a call", g("get_weather", "city:" + s("Oslo")), [oslo])
    gemma("a call after a thought", "<|channel>thought\nlook\n<channel|>" + g("get_weather", "city:" + s("Oslo")) + "<|tool_response>", [R("look"), oslo],
          "invented_result -1", oracle=False)
    gemma("text before a call", "Let me look. " + g("get_weather", "city:" + s("Oslo")), [C("Let me look. "), oslo])
    gemma("text after a call", g("get_weather", "city:" + s("Oslo")) + "\nDone.", [oslo, C("Done.")])
    gemma("text around a call", "One.\n\n" + g("ping", "") + "\n\nTwo.", [C("One."), F("ping", "{}"), C("\nTwo.")])
    gemma("no arguments", g("ping", ""), [F("ping", "{}")])
    gemma("all types", g("search", 'deep:true,limit:2.50,n:3,options:{a:[1,-2,{b:false}],c:' + s("x") + "},query:" + s("q") + ",tags:[" + s("a") + "," + s("b") + "]"),
          [F("search", '{"deep":true,"limit":2.50,"n":3,"options":{"a":[1,-2,{"b":false}],"c":"x"},"query":"q","tags":["a","b"]}')])
    gemma("order and spelling kept", g("search", "query:" + s("q") + ",limit:1.0e1,deep:false"), [F("search", '{"query":"q","limit":1.0e1,"deep":false}')])
    gemma("None and null", g("search", "maybe:None,n:null"), [F("search", '{"maybe":null,"n":null}')], differs="mlx-lm reads the text as JSON, where None is an error; the template prints None")
    gemma("braces and commas in a text", g("write", "content:" + s('func f() {\n\treturn "a, b: c"\n}') + ",path:" + s("f.go")),
          [F("write", '{"content":"func f() {\\n\\treturn \\"a, b: c\\"\\n}","path":"f.go"}')])
    gemma("a text that ends with a brace", g("write", "content:" + s("if x { y } }")), [F("write", '{"content":"if x { y } }"}')])
    gemma("unicode", g("größe_🌍", "größe:" + s("日本 🌍 é\u2028")), [F("größe_🌍", '{"größe":"日本 🌍 é\u2028"}')], differs="mlx-lm allows word characters only in names")
    gemma("a text that looks like a number", g("get_weather", "city:" + s("90210")), [F("get_weather", '{"city":"90210"}')])
    gemma("empty values", g("search", "options:{},query:" + s("") + ",tags:[]"), [F("search", '{"options":{},"query":"","tags":[]}')])
    gemma("quoted keys", g("search", s("options") + ":{" + s("a b") + ":1}"), [F("search", '{"options":{"a b":1}}')],)
    gemma("control characters", g("write", "content:" + s("a\x01\\b\r\n")), [F("write", '{"content":"a\\u0001\\\\b\\r\\n"}')])
    gemma("parallel calls", g("get_weather", "city:" + s("Oslo")) + g("get_weather", "city:" + s("Rome")), [oslo, F("get_weather", '{"city":"Rome"}')])
    gemma("white space in a call", OPEN + " call:get_weather { city : " + s("Oslo") + " , days : 2 } " + SHUT, [F("get_weather", '{"city":"Oslo","days":2}')],
          differs="mlx-lm's pattern has no white space")
    gemma("unknown function", g("fly", "to:" + s("Mars") + ",n:1"), [F("fly", '{"to":"Mars","n":1}')], "unknown_function 0")

    # what models get wrong
    gemma("channel opened twice", "<|channel>thought\na\n<|channel>thought\nb\n<channel|>Yes.", [R("a\nb"), C("Yes.")], "reasoning_reopened -1")
    gemma("channel opened again", "<|channel>thought\na\n<channel|><|channel>thought\nb\n<channel|>Yes.", [R("a\nb"), C("Yes.")])
    gemma("channel opened behind text", "One. <|channel>thought\nb\n<channel|>Two.", [C("One. "), R("b"), C("\nTwo.")])
    gemma("closer repeated", "<|channel>thought\na\n<channel|><channel|>Yes.<channel|>", [R("a"), C("Yes.")], "stray_marker -1 <channel|>")
    gemma("closer alone", "<channel|>Yes.", [C("Yes.")], "stray_marker -1 <channel|>")
    gemma("opener left out", "thought\nhm\n<channel|>Yes.", [R("hm"), C("Yes.")], "reasoning_unopened -1")
    gemma("closer left out", "<|channel>thought\nhm, no end", [R("hm, no end")], "reasoning_unclosed -1")
    gemma("a call in a thought", "<|channel>thought\nlook\n" + g("ping", "") + "\nmore\n<channel|>Yes.", [R("look"), F("ping", "{}"), R("\nmore"), C("Yes.")], "call_in_reasoning 0")
    gemma("opening quote left out", g("get_weather", "city:Oslo" + Q + ",days:3"), [F("get_weather", '{"city":"Oslo","days":3}')], "string_unopened 0 city")
    gemma("opening quote left out, commas", g("write", "content:Hello, {world}: 1" + Q + ",path:" + s("a")), [F("write", '{"content":"Hello, {world}: 1","path":"a"}')],
          "string_unopened 0 content")
    gemma("both quotes left out", g("get_weather", "city:Oslo,days:3"), [F("get_weather", '{"city":"Oslo","days":3}')], "value_unquoted 0 city")
    gemma("both quotes left out, then a text", g("write", "path:a.txt,content:" + s("x")), [F("write", '{"path":"a.txt","content":"x"}')], "value_unquoted 0 path")
    gemma("opening quote left out in a list", g("search", "tags:[a b" + Q + "," + s("c") + "]"), [F("search", '{"tags":["a b","c"]}')], "string_unopened 0 tags")
    gemma("quotes left out in a list", g("search", "tags:[a,b]"), [F("search", '{"tags":["a","b"]}')], "value_unquoted 0 tags")
    gemma("closing quote left out", g("get_weather", "city:" + Q + "Oslo"), [oslo], "string_unclosed 0 city")
    gemma("closing quote left out before a call", g("get_weather", "city:" + Q + "Oslo") + g("get_weather", "city:" + s("Rome")), [oslo, F("get_weather", '{"city":"Rome"}')],
          "string_unclosed 0 city")
    gemma("closing quote twice", g("get_weather", "city:" + s("Oslo") + Q + ",days:1"), [F("get_weather", '{"city":"Oslo","days":1}')], 'stray_marker 0 <|"|>')
    gemma("brace left out", OPEN + "call:get_weather{city:" + s("Oslo") + SHUT, [oslo], "call_unclosed 0")
    gemma("brace twice", OPEN + "call:get_weather{city:" + s("Oslo") + "}}" + SHUT, [oslo], "call_garbage 0")
    gemma("bracket left out", g("search", "tags:[" + s("a") + "," + s("b")), [F("search", '{"tags":["a","b"]}')], "value_repaired 0 tags", "call_unclosed 0")
    gemma("call's closer left out", OPEN + "call:ping{}", [F("ping", "{}")], "call_unclosed 0")
    gemma("call's closer left out before a call", OPEN + "call:ping{}" + g("get_weather", "city:" + s("Oslo")), [F("ping", "{}"), oslo], "call_unclosed 0")
    gemma("call's closer left out before text", OPEN + "call:ping{}\nDone.", [F("ping", "{}"), C("Done.")], "call_unclosed 0")
    gemma("two calls between one pair", OPEN + "call:ping{}call:get_weather{city:" + s("Oslo") + "}" + SHUT, [F("ping", "{}"), oslo], "call_unclosed 0")
    gemma("call's closer repeated", g("ping", "") + SHUT, [F("ping", "{}")], "stray_marker -1 <tool_call|>")
    gemma("call's opener repeated", OPEN + g("ping", ""), [F("ping", "{}")], "stray_marker -1 <|tool_call>")
    gemma("without call:", OPEN + "get_weather{city:" + s("Oslo") + "}" + SHUT, [oslo], oracle=False)
    gemma("no braces", OPEN + "call:ping" + SHUT, [F("ping", "{}")], "call_garbage 0 no arguments")
    gemma("marker and no call", OPEN + "I cannot do that." + SHUT, [C("I cannot do that.")], "not_a_call -1")
    gemma("as JSON", OPEN + '{"name": "get_weather", "arguments": {"city": "Oslo", "days": 2}}' + SHUT, [F("get_weather", '{"city":"Oslo","days":2}')], "call_as_json 0")
    gemma("JSON's quotes", g("get_weather", '"city":"Os\\u006co","days":2'), [F("get_weather", '{"city":"Oslo","days":2}')], oracle=False)
    gemma("typed by the schema", g("search", "limit:" + s("5") + ",query:7,deep:" + s("true") + ",n:3.0,tags:" + s('["a"]')), [F("search", '{"limit":5,"query":"7","deep":true,"n":3,"tags":["a"]}')],
          "retyped 0 limit: text as integer", "retyped 0 query: integer as text", "retyped 0 deep: text as boolean", "retyped 0 tags: text as array")
    gemma("not of the schema's type", g("search", "limit:" + s("many") + ",tags:3"), [F("search", '{"limit":"many","tags":3}')],
          "wrong_type 0 limit: not of type number", "wrong_type 0 tags: not of type array")
    gemma("typed within", g("search", "spans:[{from:" + s("1") + ",to:2}]"), [F("search", '{"spans":[{"from":1,"to":2}]}')], "retyped 0 spans: text as integer")
    gemma("no value", g("search", "query:,n:,limit:1"), [F("search", '{"query":null,"n":null,"limit":1}')], "value_repaired 0 query", "wrong_type 0 query: not of type string", "value_repaired 0 n")
    gemma("a key and no value", g("search", "query:" + s("q") + ",limit"), [F("search", '{"query":"q"}')], "call_garbage 0")
    gemma("a parameter twice", g("ping", "a:1,a:2"), [F("ping", '{"a":1,"a":2}')], "repeated_parameter 0 a")
    gemma("marker in a text", g("write", "content:" + s("a<tool_call|>b <|channel> c")), [F("write", '{"content":"a<tool_call|>b <|channel> c"}')],
          differs="mlx-lm cuts the text into calls at the marker before it parses them")
    gemma("a result invented", g("ping", "") + "<|tool_response>response:ping{value:1}<tool_response|>It works.", [F("ping", "{}"), C("It works.")], "invented_result -1")
    gemma("no tools", "x" + g("ping", "a:" + s("b")), [C("xcall:ping{a:b}")], "call_without_tools -1", tools=False)
    gemma("a turn begun", "Yes.<|turn>user\nx", [C("Yes.user\nx")], "stray_marker -1 <|turn>")

    # cut off
    for name, raw, args in [
        ("in a text", "city:" + Q + "Osl", '{"city":"Osl"}'), ("in a number", "days:12", '{"days":12}'), ("in a key", "city:" + s("Oslo") + ",da", '{"city":"Oslo"}'),
        ("behind a colon", "city:" + s("Oslo") + ",days:", '{"city":"Oslo"}'), ("at the beginning", "", "{}"), ("behind a value", "days:1,", '{"days":1}'),
    ]:
        gemma("cut off " + name, OPEN + "call:get_weather{" + raw, [F("get_weather", args)], "truncated_call 0", ended="length", truncated=True)
    gemma("cut off in a list", OPEN + "call:search{tags:[" + s("a") + "," + Q + "b", [F("search", '{"tags":["a","b"]}')], "truncated_call 0",
          ended="length", truncated=True)
    gemma("cut off in a name", "Hm." + OPEN + "call:get_we", [C("Hm.")], "call_unnamed -1", ended="length")
    gemma("cut off behind a call", OPEN + "call:ping{}", [F("ping", "{}")], ended="length", oracle=False)
    gemma("cut off in a thought", "<|channel>thought\nhm\n", [R("hm")], ended="length")


def qwen_cases():
    oslo = F("get_weather", '{"city":"Oslo"}')
    call = f("get_weather", ("city", "Oslo"))
    qwen("text", "Hello, wörld. 🌍\n\n日本\n", [C("Hello, wörld. 🌍\n\n日本\n")])
    qwen("text like markup", "a < b <b> </b> <func <function=nope> </function> <parameter=x> {\"name\": 1}", [C('a < b <b> </b> <func <function=nope> </function> <parameter=x> {"name": 1}')])
    qwen("thinking, opened by the prompt", "hm,\n\nwell\n</think>\n\nYes.", [R("hm,\n\nwell"), C("Yes.")], thinking=True)
    qwen("thinking, opened by the model", "<think>\nhm\n</think>\n\nYes.", [R("hm"), C("Yes.")])
    qwen("thinking, opened by both", "<think>\nhm\n</think>\n\nYes.", [R("hm"), C("Yes.")], "reasoning_reopened -1", thinking=True)
    qwen("nothing thought", "\n</think>\n\nYes.", [C("Yes.")], thinking=True)
    qwen("markers written out are text", ["Use ", Text("<tool_call>"), " and ", Text("</think>"), "."], [C("Use <tool_call> and </think>.")], text=False)
    qwen("a call", call, [oslo])
    qwen("a call after thinking", "look\n</think>\n\n" + call, [R("look"), oslo], thinking=True)
    qwen("text before a call", "Let me look.\n\n" + call, [C("Let me look."), oslo])
    qwen("text after a call", call + "\n\nDone.", [oslo, C("Done.")])
    qwen("parallel calls", call + "\n" + f("get_weather", ("city", "Rome"), ("days", "3")), [oslo, F("get_weather", '{"city":"Rome","days":3}')])
    qwen("no arguments", f("ping"), [F("ping", "{}")])
    qwen("all types", f("search", ("deep", "true"), ("limit", "2.50"), ("n", "-3"), ("options", '{"a": [1, {"b": null}], "c": "é"}'), ("query", "q"), ("tags", '["a", "b"]'), ("nothing", "null")),
         [F("search", '{"deep":true,"limit":2.50,"n":-3,"options":{"a":[1,{"b":null}],"c":"é"},"query":"q","tags":["a","b"],"nothing":null}')])
    qwen("a text stays one", f("get_weather", ("city", "90210")) + "\n" + f("write", ("path", "true"), ("content", '{"a": 1}')),
         [F("get_weather", '{"city":"90210"}'), F("write", '{"path":"true","content":"{\\"a\\": 1}"}')])
    qwen("null for a text", f("write", ("path", "null")), [F("write", '{"path":"null"}')], differs="mlx-lm makes null of the word whatever the schema says; a text cannot be null there")
    qwen("null where it may be", f("search", ("maybe", "null"), ("maybe_int", "None"), ("n", "null")), [F("search", '{"maybe":null,"maybe_int":null,"n":null}')])
    qwen("one of two types", f("search", ("either", "5"), ("one", '["a"]')) + "\n" + f("search", ("either", "five"), ("one", "a")),
         [F("search", '{"either":5,"one":["a"]}'), F("search", '{"either":"five","one":"a"}')], differs="mlx-lm does not look into anyOf: 5 is text there")
    qwen("of the listed values", f("search", ("level", "2"), ("mode", "fast")) + "\n" + f("search", ("level", "high")), [F("search", '{"level":2,"mode":"fast"}'), F("search", '{"level":"high"}')],
         differs="mlx-lm does not look into enum: 2 is text there")
    qwen("by reference", f("search", ("span", '{"from": 1, "to": "2"}')), [F("search", '{"span":{"from":1,"to":2}}')], "retyped 0 span: text as integer")
    qwen("whole numbers", f("search", ("n", "3.0"), ("limit", "1e3")), [F("search", '{"n":3,"limit":1e3}')])
    qwen("a large number", f("search", ("limit", "12345678901234567890.5"), ("n", "123456789012345678901234567890")), [F("search", '{"limit":12345678901234567890.5,"n":123456789012345678901234567890}')],
         differs="mlx-lm goes through a float")
    qwen("without a type", f("search", ("free", '{"a": 1}')) + "\n" + f("search", ("free", "5")), [F("search", '{"free":{"a":1}}'), F("search", '{"free":"5"}')],
         differs="mlx-lm reads a parameter whose schema is empty as one that has none, as text")
    qwen("white space kept", f("write", ("content", "  a\n\n  b  \n"), ("path", "\n\nx")), [F("write", '{"content":"  a\\n\\n  b  \\n","path":"\\n\\nx"}')])
    qwen("empty values", f("write", ("content", ""), ("path", "a")), [F("write", '{"content":"","path":"a"}')])
    qwen("values without line feeds", "<tool_call><function=get_weather><parameter=city>Oslo</parameter><parameter=days>2</parameter></function></tool_call>", [F("get_weather", '{"city":"Oslo","days":2}')])
    qwen("code", f("write", ("content", 'if a < b {\n\tx = "<p>" + `\\`\n}\n<div>\n</div>')), [F("write", '{"content":"if a < b {\\n\\tx = \\"<p>\\" + `\\\\`\\n}\\n<div>\\n</div>"}')])
    qwen("a closing tag in a value", f("write", ("content", "the </parameter> tag"), ("path", "a")), [F("write", '{"content":"the </parameter> tag","path":"a"}')],
         differs="mlx-lm ends the value at the tag")
    qwen("markup in a value", f("write", ("content", "<parameter=nope>\n</function>\nx\n<tool_call> y </tool_call> z"), ("path", "a")),
         [F("write", '{"content":"<parameter=nope>\\n</function>\\nx\\n<tool_call> y </tool_call> z","path":"a"}')], differs="mlx-lm cuts the text into calls at the marker before it parses them")
    qwen("unicode", f("größe_🌍", ("größe", "日本 🌍 é\u2028")), [F("größe_🌍", '{"größe":"日本 🌍 é\u2028"}')])
    qwen("unknown function", f("fly", ("to", "Mars"), ("n", "1"), ("o", '{"a":1}')), [F("fly", '{"to":"Mars","n":"1","o":{"a":1}}')], "unknown_function 0")

    # what models get wrong
    qwen("never closed thinking", "hm, no end", [R("hm, no end")], "reasoning_unclosed -1", thinking=True)
    qwen("closer repeated", "hm\n</think>\n\n</think>\n\nYes.", [R("hm"), C("Yes.")], "stray_marker -1 </think>", thinking=True)
    qwen("closer alone", "Yes.\n</think>\n\nNo.", [C("Yes.\n\n\nNo.")], "stray_marker -1 </think>")
    qwen("a call in thinking", "look\n" + call, [R("look"), oslo], "call_in_reasoning 0", thinking=True)
    qwen("a call in thinking that goes on", "look\n" + call + "\nmore\n</think>\n\nYes.", [R("look"), oslo, R("\nmore"), C("Yes.")], "call_in_reasoning 0", thinking=True)
    qwen("a call's marker in thinking", "I could use <tool_call> here\n</think>\n\nYes.", [R("I could use <tool_call> here"), C("Yes.")], "not_a_call -1", thinking=True)
    qwen("call's marker left out", "Look:\n\n<function=get_weather>\n<parameter=city>\nOslo\n</parameter>\n</function>\n</tool_call>", [C("Look:"), oslo], "call_unopened 0")
    qwen("both markers left out", "<function=get_weather>\n<parameter=city>\nOslo\n</parameter>\n</function>\n", [oslo], "call_unopened 0")
    qwen("call's closer left out", call[: -len("\n</tool_call>")], [oslo], "call_unclosed 0")
    qwen("call's closer left out before a call", call[: -len("\n</tool_call>")] + "\n" + f("ping"), [oslo, F("ping", "{}")], "call_unclosed 0")
    qwen("call's closer left out before text", call[: -len("</tool_call>")] + "Done.", [oslo, C("Done.")], "call_unclosed 0")
    qwen("two functions between one pair", "<tool_call>\n<function=ping>\n</function>\n<function=get_weather>\n<parameter=city>\nOslo\n</parameter>\n</function>\n</tool_call>", [F("ping", "{}"), oslo],
         "call_unclosed 0")
    qwen("function's closer left out", "<tool_call>\n<function=get_weather>\n<parameter=city>\nOslo\n</parameter>\n</tool_call>", [oslo], "call_unclosed 0")
    qwen("parameter's closer left out", "<tool_call>\n<function=get_weather>\n<parameter=city>\nOslo\n</function>\n</tool_call>", [oslo], "value_unclosed 0 city")
    qwen("parameter's closer left out before another", "<tool_call>\n<function=get_weather>\n<parameter=city>\nOslo\n<parameter=days>\n2\n</parameter>\n</function>\n</tool_call>",
         [F("get_weather", '{"city":"Oslo","days":2}')], "value_unclosed 0 city")
    qwen("all closers left out", "<tool_call>\n<function=get_weather>\n<parameter=city>\nOslo", [oslo], "call_unclosed 0")
    qwen("all closers but the last left out", "<tool_call>\n<function=get_weather>\n<parameter=city>\nOslo\n</tool_call>", [oslo], "value_unclosed 0 city", "call_unclosed 0")
    qwen("all closers left out before a call", "<tool_call>\n<function=get_weather>\n<parameter=city>\nOslo\n" + f("ping"), [oslo, F("ping", "{}")], "value_unclosed 0 city", "call_unclosed 0")
    qwen("tag left open", "<tool_call>\n<function=get_weather\n<parameter=city\nOslo\n</parameter>\n</function>\n</tool_call>", [oslo], "call_garbage 0 an open tag")
    qwen("names in quotes", '<tool_call>\n<function="get_weather">\n<parameter="city">\nOslo\n</parameter>\n</function>\n</tool_call>', [oslo], oracle=False)
    qwen("text between parameters", "<tool_call>\n<function=get_weather>\nLet me see.\n<parameter=city>\nOslo\n</parameter>\n</parameter>\n</function>\n</tool_call>", [oslo], "call_garbage 0")
    qwen("as JSON", '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Oslo", "days": 2}}\n</tool_call>', [F("get_weather", '{"city":"Oslo","days":2}')], "call_as_json 0")
    qwen("as JSON, arguments as text", '<tool_call>\n{"name": "get_weather", "arguments": "{\\"city\\": \\"Oslo\\"}"}\n</tool_call>', [oslo], "call_as_json 0")
    qwen("as JSON, a list", '<tool_call>[{"name": "ping", "arguments": {}}, {"name": "get_weather", "parameters": {"city": "Oslo"}}]</tool_call>', [F("ping", "{}"), oslo],
         "call_as_json 0", "call_as_json 1")
    qwen("as JSON, a brace left out", '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Oslo"}\n</tool_call>\nDone.', [oslo, C("Done.")], "call_as_json 0", "value_repaired 0")
    qwen("as JSON, a marker in it", '<tool_call>\n{"name": "write", "arguments": {"content": "a </tool_call> b"}}\n</tool_call>', [F("write", '{"content":"a </tool_call> b"}')], "call_as_json 0")
    qwen("as JSON, typed by the schema", '<tool_call>\n{"name": "get_weather", "arguments": {"city": 5, "days": "2"}}\n</tool_call>', [F("get_weather", '{"city":"5","days":2}')],
         "call_as_json 0", "retyped 0 city: integer as text", "retyped 0 days: text as integer")
    qwen("arguments as JSON", '<tool_call>\n<function=get_weather>\n{"city": "Oslo"}\n</function>\n</tool_call>', [oslo], "call_as_json 0")
    qwen("JSON and no call", '<tool_call>\n{"city": "Oslo"}\n</tool_call>', [C('<tool_call>\n{"city": "Oslo"}\n</tool_call>')], "not_a_call -1")
    qwen("marker and no call", "The <tool_call> marker.", [C("The <tool_call> marker.")], "not_a_call -1")
    qwen("nothing between the markers", "x<tool_call>\n</tool_call>y", [C("x\ny")], "call_unnamed -1")
    qwen("Python's words and quotes", f("search", ("options", "{'a': True, 'b': [None, 1,]}"), ("deep", "False")), [F("search", '{"options":{"a":true,"b":[null,1]},"deep":false}')], "value_repaired 0 options")
    qwen("not of the schema's type", f("search", ("limit", "many"), ("n", "2.5"), ("tags", "a, b"), ("deep", "yes")), [F("search", '{"limit":"many","n":"2.5","tags":"a, b","deep":"yes"}')],
         "wrong_type 0 limit: not of type number", "wrong_type 0 n: not of type integer or null", "wrong_type 0 tags: not of type array", "wrong_type 0 deep: not of type boolean")
    qwen("numbers in other spellings", f("search", ("limit", ".5"), ("n", "007")), [F("search", '{"limit":0.5,"n":7}')], differs="")
    qwen("a parameter twice", f("write", ("path", "a"), ("path", "b")), [F("write", '{"path":"a","path":"b"}')], "repeated_parameter 0 path")
    qwen("no tools", "x\n" + call, [C("x\n" + call)], "call_without_tools -1", tools=False)

    # cut off
    for name, raw, args in [
        ("in a text", "<parameter=city>\nOsl", '{"city":"Osl"}'), ("in a number", "<parameter=days>\n12", '{"days":12}'), ("in a tag", "<parameter=city>\nOslo\n</parameter>\n<param", '{"city":"Oslo"}'),
        ("in a key", "<parameter=city>\nOslo\n</parameter>\n<parameter=da", '{"city":"Oslo"}'), ("in a closing tag", "<parameter=city>\nOslo\n</para", '{"city":"Oslo"}'),
        ("at the beginning", "", "{}"), ("behind a key", "<parameter=city>\n", '{"city":""}'),
    ]:
        qwen("cut off " + name, "<tool_call>\n<function=get_weather>\n" + raw, [F("get_weather", args)], "truncated_call 0", ended="length", truncated=True)
    qwen("cut off in a name", "Hm.\n\n<tool_call>\n<function=get_we", [C("Hm.")], "call_unnamed -1", ended="length")
    qwen("cut off in JSON", '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Osl', [F("get_weather", '{"city":"Osl"}')], "call_as_json 0", "truncated_call 0", ended="length", truncated=True)
    qwen("cut off behind a call", "<tool_call>\n<function=ping>\n</function>", [F("ping", "{}")], ended="length", oracle=False)
    qwen("cut off in thinking", "hm\n", [R("hm")], ended="length", thinking=True)


def pieces(raw, dialect):
    """Markers are tokens; other text is cut into pieces of one to five characters."""
    out = []
    for part in raw if isinstance(raw, list) else [raw]:
        if isinstance(part, Text):
            out.append({"text": str(part)})
            continue
        for i, piece in enumerate(re.split("(" + "|".join(map(re.escape, VOCABULARIES[dialect])) + ")", part)):
            if i % 2:
                out.append(piece)
                continue
            n = 0
            while n < len(piece):
                size = 1 + (n * 7 + len(piece)) % 5
                out.append(piece[n : n + size])
                n += size
    return out


def ask(c):
    """What mlx-lm's parser makes of a case's calls: a list, or the exception's text; and what is expected."""
    from mlx_lm.tool_parsers import gemma4, qwen3_coder

    parser = {"gemma4": gemma4, "qwen3.6": qwen3_coder}[c["dialect"]]
    want = [(x[1], json.loads(x[2])) for x in c["want"] if x[0] == "call"]
    got = []
    for text in re.findall(re.escape(parser.tool_call_start) + "(.*?)" + re.escape(parser.tool_call_end), c["raw"], re.DOTALL):
        try:
            parsed = parser.parse_tool_call(text.strip() if c["dialect"] == "qwen3.6" else text, TOOLS)
        except Exception as e:
            return repr(e), want
        for x in parsed if isinstance(parsed, list) else [parsed]:
            got.append((x["name"], x["arguments"]))
    return got, want


def oracle():
    asked = [c for c in CASES if c["oracle"] and isinstance(c["raw"], str)]
    calls = 0
    for c in asked:
        got, want = ask(c)
        calls += len(want)
        if got != want:
            sys.exit(f"{c['dialect']}, {c['name']}: mlx-lm says {got}, expected {want}")
    print("mlx-lm agrees on", len(asked), "outputs with", calls, "calls; it differs on:")
    for c in CASES:
        if c["differs"]:
            got, want = ask(c)
            if got == want:
                sys.exit(f"{c['dialect']}, {c['name']}: mlx-lm does not differ")
            print(f"  {c['dialect']}, {c['name']}: {c['differs']}")


def main():
    gemma_cases()
    qwen_cases()
    names = [(c["dialect"], c["name"]) for c in CASES]
    assert len(names) == len(set(names)), "two cases of one name"
    cases = []
    for c in CASES:
        keep = {k: c[k] for k in ("name", "dialect", "tools", "thinking", "ended", "truncated")}
        keep["markers_as_text"] = c["text"] and c["dialect"] == "qwen3.6"
        cases.append({**keep, "pieces": pieces(c["raw"], c["dialect"]), "want": c["want"], "repairs": c["repairs"]})
    body = ",\n".join("  " + json.dumps(c, ensure_ascii=True) for c in cases)
    out = pathlib.Path(sys.argv[sys.argv.index("--out") + 1]) if "--out" in sys.argv else HERE
    (out / "corpus.json").write_text(
        '{"vocabularies": %s,\n "tools": %s,\n "cases": [\n%s\n]}\n' % (json.dumps(VOCABULARIES), json.dumps(TOOLS), body), encoding="utf-8")
    print(len(CASES), "cases,", sum(1 for c in CASES if c["repairs"]), "of them malformed")
    if "--oracle" in sys.argv:
        oracle()


main()
