"use strict";
// Why a turn did not reuse more, in words: the ledger's names are kept in brackets, so that what is read here is found there.
const MISSES = {
  none: "everything that was known was used", first_request: "nothing had been computed yet", prefix_changed: "what was known goes on differently",
  evicted: "it was known, and given up for room", no_snapshot: "its rows were there, but no snapshot of the layers that cannot be cut back",
  model_changed: "another model had computed it", media_changed: "the same tokens, with another image behind them", bad_block: "what the disk or the shared store had was damaged",
  tier_timeout: "the disk or the shared store did not answer in time", tier_down: "the disk or the shared store did not answer", store_off: "the disk takes no more blocks",
  reuse_off: "the request wanted everything computed",
};
const LIMITS = {
  last_token: "one token of a prompt is always computed", full: "rows of a layer that sees everything were not kept", sliding: "a layer's window had moved on",
  recurrent: "a recurrent layer cannot be cut back to there", memory: "the budget had no room",
};
const PLACES = {
  system: "the system text", tools: "the list of tools", thinking: "the thinking of an answer", retokenized: "an answer that came back as other tokens of the same text",
  template: "what the chat template writes between messages",
};

// named is what a ledger's value says, with the value.
const named = (words, value) => words[value] ? `${words[value]} (${value})` : value;

// place is diverged_in: "message 3 user" is the request's messages[3].
function place(name) {
  const [, at, role] = /^message (\d+) (.*)$/.exec(name) || [];
  return at ? `messages[${at}], the ${role} message` : PLACES[name] || name;
}

// parted cuts both texts into what they begin with and what differs, in whole characters. The server has cut off what they end with.
function parted(old, now) {
  const x = [...old], y = [...now];
  let head = 0;
  while (head < x.length && x[head] === y[head]) head++;
  return [x, y].map((t) => [t.slice(0, head).join(""), t.slice(head).join("")]);
}

// shown is one of the two texts, to be scrolled by keyboard.
function shown(title, [head, differs]) {
  const side = make("div"), text = make("pre", "", { tabIndex: 0 }), mark = make("mark", differs);
  text.setAttribute("role", "region");
  text.setAttribute("aria-label", title);
  if (!differs) mark.setAttribute("aria-label", "nothing");
  text.append(head, mark);
  side.append(make("h4", title), text);
  return side;
}

// reason is the part of a turn's detail that says why, for its row. The texts come when the server has told them.
function reason(r) {
  const box = make("section", "", { id: "why" }), limited = r.limited_by && r.limited_by !== "none" ? "; " + named(LIMITS, r.limited_by) : "";
  box.append(make("h3", "Why it reused no more"), make("p", `${named(MISSES, r.miss_reason ?? "not told")}${limited}.`, { className: "reason" }));
  if (r.diverged_at == null) return box;
  const where = make("p", "It left "), whose = make("span", "what was known");
  where.append(whose, ` at token ${count(r.diverged_at)}, in ${place(r.diverged_in ?? "a place that was not told")}.`);
  box.append(where);
  json("/v1/cache/why/" + encodeURIComponent(r.turn_id)).then((why) => texts(box, whose, why), (e) => box.append(make("p", e.message)));
  return box;
}

function texts(box, whose, why) {
  const other = why.other_turn_id, sides = make("div", "", { className: "texts" }), [was, is] = parted(why.old, why.new);
  if (rows.some((r) => r.turn_id === other)) whose.replaceWith("what ", make("button", other, { type: "button", onclick: () => show(other) }), " had");
  if (why.old === why.new) box.append(make("p", "Both texts are equal: other tokens stand for the same text."));
  sides.append(shown("what was known", was), shown("this prompt", is));
  box.append(sides);
}
