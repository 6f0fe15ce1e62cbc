"""Two turns with a tool call each, through OpenAI's Python SDK: URL MODEL chat|responses. Every answer is asked for once as a stream and once whole."""
import json
import sys

import openai

url, model, api = sys.argv[1:]
client = openai.OpenAI(base_url=url + "/v1", api_key="local", max_retries=0, timeout=120)
SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}, "lines": {"type": "integer"}}, "required": ["path"]}
WANT = {"path": "notes/é.txt", "lines": 3}
NOTE = "The note says: é-42."


def check(ok, what):
    if not ok:
        sys.exit(f"{api}: {what}")


def chat(messages, stream):
    """One answer as the message to send back, and its finish reason."""
    args = dict(model=model, messages=messages, tools=[{"type": "function", "function": {"name": "read_note", "description": "Reads a note.", "parameters": SCHEMA}}])
    if not stream:
        answer = client.chat.completions.create(**args)
        check(answer.usage.prompt_tokens > 0 and answer.usage.prompt_tokens_details is not None, "no usage")
        choice = answer.choices[0]
        return choice.message.model_dump(exclude_none=True, include={"role", "content", "tool_calls"}), choice.finish_reason
    text, calls, finish, usage = "", {}, None, None
    for chunk in client.chat.completions.create(**args, stream=True, stream_options={"include_usage": True}):
        usage = chunk.usage or usage
        for choice in chunk.choices:
            finish = choice.finish_reason or finish
            text += choice.delta.content or ""
            for piece in choice.delta.tool_calls or []:
                call = calls.setdefault(piece.index, {"id": "", "type": "function", "function": {"name": "", "arguments": ""}})
                call["id"] += piece.id or ""
                call["function"]["name"] += piece.function.name or ""
                call["function"]["arguments"] += piece.function.arguments or ""
    check(usage and usage.prompt_tokens > 0, "no usage at the stream's end")
    message = {"role": "assistant", "content": text or None}
    if calls:
        message["tool_calls"] = list(calls.values())
    return message, finish


def by_chat():
    messages = [{"role": "system", "content": "You read notes. " * 40}]
    for stream in (True, False):
        messages.append({"role": "user", "content": "Run reprise-sdk on my note."})
        message, finish = chat(messages, stream)
        check(finish == "tool_calls" and len(message.get("tool_calls", [])) == 1, f"no call but {finish}: {message}")
        call = message["tool_calls"][0]
        check(call["function"]["name"] == "read_note" and json.loads(call["function"]["arguments"]) == WANT, f"called {call}")
        messages += [message, {"role": "tool", "tool_call_id": call["id"], "content": NOTE}]
        message, finish = chat(messages, not stream)
        check(finish in ("stop", "length"), f"finish reason {finish}")
        messages.append(message)


def response(items, stream):
    args = dict(model=model, input=items, store=False, tools=[{"type": "function", "name": "read_note", "description": "Reads a note.", "parameters": SCHEMA, "strict": False}])
    if not stream:
        return client.responses.create(**args)
    final, text = None, 0
    for event in client.responses.create(**args, stream=True):
        text += event.type in ("response.output_text.delta", "response.function_call_arguments.delta", "response.reasoning_text.delta", "response.reasoning_summary_text.delta")
        if event.type in ("response.completed", "response.incomplete"):
            final = event.response
        check(event.type not in ("error", "response.failed"), f"event {event}")
    check(final is not None and text > 0, "a stream without deltas or end")
    return final


def by_responses():
    items = [{"role": "system", "content": "You read notes. " * 40}]
    for stream in (True, False):
        items.append({"role": "user", "content": "Run reprise-sdk on my note."})
        answer = response(items, stream)
        calls = [i for i in answer.output if i.type == "function_call"]
        check(len(calls) == 1 and calls[0].name == "read_note" and json.loads(calls[0].arguments) == WANT, f"answered {answer.output}")
        check(answer.usage.input_tokens > 0, "no usage")
        items += [i.model_dump(exclude_none=True) for i in answer.output]
        items.append({"type": "function_call_output", "call_id": calls[0].call_id, "output": NOTE})
        answer = response(items, not stream)
        check(answer.status in ("completed", "incomplete"), f"status {answer.status}")
        items += [i.model_dump(exclude_none=True) for i in answer.output]


{"chat": by_chat, "responses": by_responses}[api]()
print(f"openai {openai.__version__} (Python), {api}: two turns, two calls")
