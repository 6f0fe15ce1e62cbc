const $ = (id) => document.getElementById(id);
const make = (name, text, set = {}) => Object.assign(document.createElement(name), { textContent: text ?? "" }, set);
const count = (n) => n == null ? "–" : Number(n).toLocaleString("en");
const bytes = (n) => n == null ? "–" : n >= 1e9 ? (n / 1e9).toFixed(2) + " GB" : n >= 1e6 ? (n / 1e6).toFixed(1) + " MB" : (n / 1e3).toFixed(1) + " kB";
const ms = (n) => n == null ? "–" : n >= 1e4 ? (n / 1e3).toFixed(1) + " s" : n >= 10 ? n.toFixed(0) + " ms" : n.toFixed(1) + " ms";

// The parts of a prompt in the order of the bar, from the row's own fields: they add up to prompt_tokens.
const PARTS = [
  ["l0", "memory (L0)", (r) => r.l0_hit_tokens], ["l1", "disk (L1)", (r) => r.l1_hit_tokens], ["l2", "shared store (L2)", (r) => r.l2_hit_tokens],
  ["recompute", "recomputed", (r) => r.recompute_tokens], ["displaced", "moved", (r) => r.displaced_tokens], ["new", "new", (r) => (r.new_tokens ?? 0) - (r.displaced_tokens ?? 0)],
];
let key = sessionStorage.getItem("key") || "", model = "", rows = [], chosen = "", talk = [];

async function ask(path, options = {}) {
  const headers = { ...options.headers, ...(key ? { Authorization: "Bearer " + key } : {}) };
  const res = await fetch(path, { ...options, headers });
  if (res.status === 401) { $("gate").hidden = false; $("key").focus(); }
  if (!res.ok) throw new Error(((await res.json().catch(() => ({}))).error || {}).message || "status " + res.status);
  return res;
}
const json = async (path) => (await ask(path)).json();

function state(text, ok) { $("state").textContent = text; $("state").className = ok ? "ok" : ""; }

async function poll() {
  try {
    if (!model) {
      const m = (await json("/v1/models")).data[0];
      model = m.id;
      $("model").textContent = `${m.id}, context ${count(m.context_length)} tokens`;
    }
    const last = rows.length ? rows[rows.length - 1].turn_id : "";
    const got = await json("/v1/cache/ledger" + (last ? "?since=" + encodeURIComponent(last) : ""));
    if (got.gap) rows = [];
    if (got.rows.length || !last) { rows = rows.concat(got.rows).slice(-400); list(); }
    totals(await json("/v1/cache/stats"));
    state("live", true);
  } catch (e) { state(e.message, false); }
  setTimeout(poll, document.hidden ? 5000 : 1000);
}

function totals(s) {
  const t = s.turns, newest = rows[rows.length - 1] || {};
  const share = (n) => t.prompt_tokens ? (100 * n / t.prompt_tokens).toFixed(1) + " %" : "–";
  const cards = [
    [count(t.turns), "turns, " + count(s.waiting) + " waiting"], [share(t.lookup_hit_tokens), "of prompts reused"], [share(t.paid_again_tokens), "paid again"],
    [bytes(s.cache.kv_live_bytes), "state, of " + bytes(s.cache.budget_bytes), s.cache.kv_live_bytes, s.cache.budget_bytes],
    [bytes(newest.footprint_bytes), "process, " + bytes(newest.host_available_bytes) + " free on the machine", newest.footprint_bytes, (newest.footprint_bytes ?? 0) + (newest.host_available_bytes ?? 0)],
  ];
  $("totals").replaceChildren(...cards.map(([big, small, value, max]) => {
    const card = make("div");
    card.append(make("b", big), make("span", small));
    if (max) card.append(make("meter", "", { value, min: 0, max, high: max * 0.9 }));
    return card;
  }));
}

function bar(r, most) {
  const b = make("span", "", { className: "bar" });
  b.style.width = Math.max(1, 100 * (r.prompt_tokens || 0) / most) + "%";
  for (const [part, name, of] of PARTS) {
    const n = of(r) || 0;
    if (n <= 0) continue;
    const i = make("i", "", { title: `${name}: ${count(n)} tokens` });
    i.dataset.part = part; i.dataset.tokens = n; i.style.flexGrow = n;
    b.append(i);
  }
  return b;
}

function list() {
  const most = Math.max(1, ...rows.map((r) => r.prompt_tokens || 0));
  $("list").replaceChildren(...rows.toReversed().map((r) => {
    const li = make("li", "", { id: r.turn_id, role: "option", title: r.session_id });
    li.setAttribute("aria-selected", r.turn_id === chosen);
    li.append(make("time", r.purpose === "turn" ? new Date(r.time).toLocaleTimeString("en-GB") : r.purpose), bar(r, most),
      make("span", ms(r.ttft_ms), { title: "to the first token" }), make("span", r.decode_tps == null ? "–" : r.decode_tps.toFixed(1) + " t/s"));
    li.onclick = () => show(r.turn_id);
    return li;
  }));
}

function choose(id) {
  chosen = id;
  for (const li of $("list").children) li.setAttribute("aria-selected", li.id === id);
  const li = document.getElementById(id);
  $("list").setAttribute("aria-activedescendant", id);
  if (li) li.scrollIntoView({ block: "nearest" });
}

$("list").onkeydown = (e) => {
  const ids = rows.map((r) => r.turn_id).reverse(), at = ids.indexOf(chosen);
  const to = { ArrowDown: Math.min(ids.length - 1, at + 1), ArrowUp: Math.max(0, at - 1), Home: 0, End: ids.length - 1 }[e.key];
  if (to != null && ids.length) { choose(ids[to]); e.preventDefault(); }
  if ((e.key === "Enter" || e.key === " ") && chosen) { show(chosen); e.preventDefault(); }
};

function show(id) {
  choose(id);
  const r = rows.find((r) => r.turn_id === id), d = make("dl"), box = $("detail");
  if (!r) return;
  const facts = {
    turn: r.turn_id, session: r.session_id, "prompt": count(r.prompt_tokens) + " tokens", ...Object.fromEntries(PARTS.map(([, name, of]) => [name, count(of(r))])),
    "generated": count(r.generated_tokens) + ", " + r.finish_reason,
    "first token": ms(r.ttft_ms), "queue": ms(r.queue_ms), "restore": ms(r.restore_ms), "prefill": ms(r.prefill_ms) + (r.prefill_tps ? `, ${r.prefill_tps.toFixed(0)} t/s` : ""),
    "decode": ms(r.decode_ms) + (r.decode_tps ? `, ${r.decode_tps.toFixed(1)} t/s` : ""), "state": bytes(r.kv_live_bytes), "MLX peak": bytes(r.mlx_peak_bytes),
    "footprint peak": bytes(r.footprint_peak_bytes), "audit": r.audit ?? "–", "identity": r.identity_error ?? "holds",
  };
  for (const [name, value] of Object.entries(facts)) d.append(make("dt", name), make("dd", value));
  box.replaceChildren(make("h2", "One turn"), reason(r), d);
  box.focus({ preventScroll: true });
}

$("detail").onkeydown = (e) => { if (e.key === "Escape") $("list").focus(); };

function say(kind, text) {
  const p = make("p", text, { className: kind });
  $("said").append(p);
  p.scrollIntoView({ block: "nearest" });
  return p;
}

// events reads a stream of server-sent events.
async function* events(res) {
  const reader = res.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let held = ""; ;) {
    const { value, done } = await reader.read();
    if (done) return;
    held += value;
    for (let end; (end = held.indexOf("\n\n")) >= 0; held = held.slice(end + 2)) {
      const data = held.slice(0, end).split("\n").filter((l) => l.startsWith("data: ")).map((l) => l.slice(6)).join("\n");
      if (data === "[DONE]") return;
      if (data) yield JSON.parse(data);
    }
  }
}

$("ask").onsubmit = async (e) => {
  e.preventDefault();
  const text = $("text").value.trim();
  if (!text || $("send").disabled) return;
  $("text").value = ""; $("send").disabled = true;
  talk.push({ role: "user", content: text });
  say("user", text);
  const answer = { role: "assistant", content: "" }, shown = {};
  const add = (kind, piece) => { (shown[kind] ??= say(kind, "")).textContent += piece; };
  try {
    const res = await ask("/v1/chat/completions", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ model, messages: talk, stream: true }) });
    for await (const ev of events(res)) {
      const d = (ev.choices[0] || {}).delta || {};
      if (d.reasoning_content) { answer.reasoning_content = (answer.reasoning_content || "") + d.reasoning_content; add("reasoning", d.reasoning_content); }
      if (d.content) { answer.content += d.content; add("assistant", d.content); }
      for (const c of d.tool_calls || []) add("call", (c.function.name ? "\n" + c.function.name : "") + c.function.arguments);
    }
    if (!shown.assistant && !shown.call) add("assistant", "(no text)");
    talk.push(answer);
  } catch (err) { say("error", err.message); talk.pop(); $("text").value = text; }
  $("send").disabled = false; $("text").focus();
};
$("text").onkeydown = (e) => { if (e.key === "Enter" && !e.shiftKey) { e.preventDefault(); $("ask").requestSubmit(); } };
$("anew").onclick = () => { talk = []; $("said").replaceChildren(); $("text").focus(); };
$("gate").onsubmit = (e) => { e.preventDefault(); key = $("key").value; sessionStorage.setItem("key", key); $("gate").hidden = true; };
$("theme").onclick = () => {
  const dark = document.documentElement.dataset.theme ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "light" : "dark";
};
$("legend").replaceChildren(...PARTS.map(([part, name]) => { const li = make("li"), i = make("i"); i.dataset.part = part; li.append(i, name); return li; }));
poll();
