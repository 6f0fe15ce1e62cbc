"""Answers in one that take longer than the SDKs wait for a byte: URL. Without a sign of life every one of them would time out."""
import concurrent.futures
import sys

import anthropic
import openai

url = sys.argv[1]
o = openai.OpenAI(base_url=url + "/v1", api_key="local", max_retries=0, timeout=9)
a = anthropic.Anthropic(base_url=url, auth_token="local", api_key=None, max_retries=0, timeout=9)
said = [{"role": "user", "content": "Hi"}]
asked = {
    "chat": lambda: o.chat.completions.create(model="tiny", messages=said).choices[0].message.content,
    "completions": lambda: o.completions.create(model="tiny", prompt="Hi").choices[0].text,
    "responses": lambda: o.responses.create(model="tiny", input="Hi").output_text,
    "messages": lambda: a.messages.create(model="tiny", max_tokens=8, messages=said).content[0].text,
}
with concurrent.futures.ThreadPoolExecutor() as pool:
    answers = {api: pool.submit(ask) for api, ask in asked.items()}
wrong = {api: got.exception() or got.result() for api, got in answers.items() if got.exception() or got.result() != "Hello"}
sys.exit(str(wrong) if wrong else 0)
