"""Two turns with a tool call each, through Anthropic's Python SDK: URL MODEL. Every answer is asked for once as a stream and once whole."""
import sys

import anthropic

url, model = sys.argv[1:3]
client = anthropic.Anthropic(base_url=url, auth_token="local", api_key=None, max_retries=0, timeout=120)
TOOLS = [{"name": "read_note", "description": "Reads a note.", "input_schema": {"type": "object", "properties": {"path": {"type": "string"}, "lines": {"type": "integer"}}, "required": ["path"]}}]
WANT = {"path": "notes/é.txt", "lines": 3}


def check(ok, what):
    if not ok:
        sys.exit(f"messages: {what}")


def ask(messages, stream):
    args = dict(model=model, max_tokens=64, system="You read notes. " * 40, messages=messages, tools=TOOLS)
    if not stream:
        return client.messages.create(**args)
    with client.messages.stream(**args) as events:
        seen = {event.type for event in events}
        answer = events.get_final_message()
    check({"message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta", "message_stop"} <= seen, f"events {seen}")
    return answer


messages = []
for stream in (True, False):
    messages.append({"role": "user", "content": "Run reprise-sdk on my note."})
    answer = ask(messages, stream)
    calls = [b for b in answer.content if b.type == "tool_use"]
    check(answer.stop_reason == "tool_use" and len(calls) == 1, f"no call but {answer.stop_reason}: {answer.content}")
    check(calls[0].name == "read_note" and calls[0].input == WANT, f"called {calls[0]}")
    check(answer.usage.input_tokens + (answer.usage.cache_read_input_tokens or 0) > 0, "no usage")
    messages += [
        {"role": "assistant", "content": [b.model_dump(exclude_none=True) for b in answer.content]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": calls[0].id, "content": "The note says: é-42."}]},
    ]
    answer = ask(messages, not stream)
    check(answer.stop_reason in ("end_turn", "max_tokens"), f"stop reason {answer.stop_reason}")
    messages.append({"role": "assistant", "content": [b.model_dump(exclude_none=True) for b in answer.content]})
counted = client.messages.count_tokens(model=model, messages=messages + [{"role": "user", "content": "Well?"}], tools=TOOLS)
check(counted.input_tokens > 0, "count_tokens counts nothing")
print(f"anthropic {anthropic.__version__} (Python), messages: two turns, two calls")
