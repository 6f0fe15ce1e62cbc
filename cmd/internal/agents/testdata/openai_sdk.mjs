// Two turns with a tool call each, through OpenAI's Node SDK: URL MODEL chat|responses. Every answer is asked for once as a stream and once whole.
import { createRequire } from "node:module";
import { isDeepStrictEqual } from "node:util";

const [modules, url, model, api] = process.argv.slice(2);
const require = createRequire(modules + "/");
const OpenAI = require("openai").default ?? require("openai");
const { VERSION } = require("openai/version");
const client = new OpenAI({ baseURL: url + "/v1", apiKey: "local", maxRetries: 0, timeout: 120_000 });
const schema = { type: "object", properties: { path: { type: "string" }, lines: { type: "integer" } }, required: ["path"] };
const want = { path: "notes/é.txt", lines: 3 };
const note = "The note says: é-42.";

function check(ok, what) {
  if (!ok) {
    console.error(`${api}: ${what}`);
    process.exit(1);
  }
}

async function chat(messages, stream) {
  const args = { model, messages, tools: [{ type: "function", function: { name: "read_note", description: "Reads a note.", parameters: schema } }] };
  if (!stream) {
    const answer = await client.chat.completions.create(args);
    check(answer.usage?.prompt_tokens > 0, "no usage");
    return answer.choices[0];
  }
  const events = client.chat.completions.stream({ ...args, stream_options: { include_usage: true } });
  const answer = await events.finalChatCompletion();
  check(answer.usage?.prompt_tokens > 0, "no usage at the stream's end");
  return answer.choices[0];
}

async function byChat() {
  const messages = [{ role: "system", content: "You read notes. ".repeat(40) }];
  for (const stream of [true, false]) {
    messages.push({ role: "user", content: "Run reprise-sdk on my note." });
    let choice = await chat(messages, stream);
    const calls = choice.message.tool_calls ?? [];
    check(choice.finish_reason === "tool_calls" && calls.length === 1, `no call but ${JSON.stringify(choice)}`);
    check(calls[0].function.name === "read_note" && isDeepStrictEqual(JSON.parse(calls[0].function.arguments), want), `called ${JSON.stringify(calls[0])}`);
    messages.push(choice.message, { role: "tool", tool_call_id: calls[0].id, content: note });
    choice = await whole(messages, !stream);
    messages.push({ role: "assistant", content: choice.text });
  }
}

// whole is an answer that the limit may have cut, which the SDK's stream helper takes for an error.
async function whole(messages, stream) {
  const args = { model, messages, tools: [{ type: "function", function: { name: "read_note", description: "Reads a note.", parameters: schema } }] };
  if (!stream) {
    const choice = (await client.chat.completions.create(args)).choices[0];
    check(["stop", "length"].includes(choice.finish_reason), `finish reason ${choice.finish_reason}`);
    return { text: choice.message.content };
  }
  let text = "", finish = null;
  for await (const chunk of await client.chat.completions.create({ ...args, stream: true })) {
    text += chunk.choices[0]?.delta?.content ?? "";
    finish = chunk.choices[0]?.finish_reason ?? finish;
  }
  check(["stop", "length"].includes(finish), `finish reason ${finish}`);
  return { text };
}

async function response(input, stream) {
  const args = { model, input, store: false, tools: [{ type: "function", name: "read_note", description: "Reads a note.", parameters: schema, strict: false }] };
  if (!stream) return client.responses.create(args);
  let final = null, deltas = 0;
  for await (const event of await client.responses.create({ ...args, stream: true })) {
    check(event.type !== "error" && event.type !== "response.failed", `event ${JSON.stringify(event)}`);
    if (event.type.endsWith(".delta")) deltas++;
    if (event.type === "response.completed" || event.type === "response.incomplete") final = event.response;
  }
  check(final && deltas > 0, "a stream without deltas or end");
  return final;
}

async function byResponses() {
  const input = [{ role: "system", content: "You read notes. ".repeat(40) }];
  for (const stream of [true, false]) {
    input.push({ role: "user", content: "Run reprise-sdk on my note." });
    let answer = await response(input, stream);
    const calls = answer.output.filter((i) => i.type === "function_call");
    check(calls.length === 1 && calls[0].name === "read_note" && isDeepStrictEqual(JSON.parse(calls[0].arguments), want), `answered ${JSON.stringify(answer.output)}`);
    check(answer.usage?.input_tokens > 0, "no usage");
    input.push(...answer.output, { type: "function_call_output", call_id: calls[0].call_id, output: note });
    answer = await response(input, !stream);
    check(["completed", "incomplete"].includes(answer.status), `status ${answer.status}`);
    input.push(...answer.output);
  }
}

await { chat: byChat, responses: byResponses }[api]();
console.log(`openai ${VERSION} (Node), ${api}: two turns, two calls`);
