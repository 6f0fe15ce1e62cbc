// Two turns with a tool call each, through Anthropic's Node SDK: URL MODEL. Every answer is asked for once as a stream and once whole.
import { createRequire } from "node:module";
import { isDeepStrictEqual } from "node:util";

const [modules, url, model] = process.argv.slice(2);
const require = createRequire(modules + "/");
const Anthropic = require("@anthropic-ai/sdk").default ?? require("@anthropic-ai/sdk");
const client = new Anthropic({ baseURL: url, authToken: "local", apiKey: null, maxRetries: 0, timeout: 120_000 });
const tools = [{ name: "read_note", description: "Reads a note.", input_schema: { type: "object", properties: { path: { type: "string" }, lines: { type: "integer" } }, required: ["path"] } }];
const want = { path: "notes/é.txt", lines: 3 };

function check(ok, what) {
  if (!ok) {
    console.error(`messages: ${what}`);
    process.exit(1);
  }
}

async function ask(messages, stream) {
  const args = { model, max_tokens: 64, system: "You read notes. ".repeat(40), messages, tools };
  return stream ? client.messages.stream(args).finalMessage() : client.messages.create(args);
}

const messages = [];
for (const stream of [true, false]) {
  messages.push({ role: "user", content: "Run reprise-sdk on my note." });
  let answer = await ask(messages, stream);
  const calls = answer.content.filter((b) => b.type === "tool_use");
  check(answer.stop_reason === "tool_use" && calls.length === 1, `no call but ${JSON.stringify(answer)}`);
  check(calls[0].name === "read_note" && isDeepStrictEqual(calls[0].input, want), `called ${JSON.stringify(calls[0])}`);
  messages.push({ role: "assistant", content: answer.content });
  messages.push({ role: "user", content: [{ type: "tool_result", tool_use_id: calls[0].id, content: "The note says: é-42." }] });
  answer = await ask(messages, !stream);
  check(["end_turn", "max_tokens"].includes(answer.stop_reason), `stop reason ${answer.stop_reason}`);
  messages.push({ role: "assistant", content: answer.content });
}
console.log(`@anthropic-ai/sdk ${require("@anthropic-ai/sdk/version").VERSION} (Node), messages: two turns, two calls`);
