// Answers in one that take longer than the SDKs wait for headers: MODULES URL. Without a sign of life every one of them would time out.
import { createRequire } from "node:module";

const [modules, url] = process.argv.slice(2);
const require = createRequire(modules + "/");
const OpenAI = require("openai").default ?? require("openai");
const Anthropic = require("@anthropic-ai/sdk").default ?? require("@anthropic-ai/sdk");
const o = new OpenAI({ baseURL: url + "/v1", apiKey: "local", maxRetries: 0, timeout: 9000 });
const a = new Anthropic({ baseURL: url, authToken: "local", apiKey: null, maxRetries: 0, timeout: 9000 });
const messages = [{ role: "user", content: "Hi" }];
const answers = await Promise.all([
  o.chat.completions.create({ model: "tiny", messages }).then((r) => r.choices[0].message.content),
  o.completions.create({ model: "tiny", prompt: "Hi" }).then((r) => r.choices[0].text),
  o.responses.create({ model: "tiny", input: "Hi" }).then((r) => r.output_text),
  a.messages.create({ model: "tiny", max_tokens: 8, messages }).then((r) => r.content[0].text),
]);
if (answers.some((text) => text !== "Hello")) {
  console.error(answers);
  process.exit(1);
}
