"use strict";
// Everything is on the page without this: it turns the colours, opens what a link points at, and what is printed.
const root = document.documentElement, dark = matchMedia("(prefers-color-scheme: dark)");
document.getElementById("theme").onclick = () => { root.dataset.theme = (root.dataset.theme || (dark.matches ? "dark" : "light")) === "dark" ? "light" : "dark"; };
const follow = () => {
  const at = document.getElementById(location.hash.slice(1));
  if (at && at.tagName === "DETAILS") { at.open = true; at.scrollIntoView({ block: "center" }); at.querySelector("summary").focus({ preventScroll: true }); }
};
addEventListener("hashchange", follow);
addEventListener("load", follow);
addEventListener("beforeprint", () => { for (const d of document.querySelectorAll("details.worst")) d.open = true; });
