// A search over manuals, procedures, orders and logs; a hit opens its document at the passage.

import { $, fill, h } from "./dom.js";
import { ask } from "./ask.js";
import { openPaper } from "./paper.js";
import { t, word } from "./strings.js";
import { view } from "./store.js";

export function makeSearch() {
  $("open-search").addEventListener("click", open);
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !/^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName) && !document.querySelector("dialog[open]")) { event.preventDefault(); open(); }
  });
}

function open() {
  const asset = view.selected && view.selected[0] !== "_" ? view.selected.split("/")[0] : "";
  const text = h("input", { type: "search", name: "q", placeholder: t("search_example"), "aria-label": t("search"), maxlength: 400 });
  const only = h("input", { type: "checkbox", name: "only" });
  const found = h("div", { class: "found", "aria-live": "polite" });
  const form = h("form", {}, h("h2", {}, t("search_title")), text,
    asset ? h("div", { class: "pick" }, h("label", {}, only, t("search_only", { asset }))) : "",
    h("div", { class: "buttons" }, h("button", { type: "button", onclick: () => box.close() }, t("close")), h("button", { type: "submit", class: "first" }, t("search"))), found);
  const box = h("dialog", { class: "search" }, form);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    fill(found, h("p", { class: "faint" }, t("loading")));
    try {
      const hits = await ask("/api/search", { q: text.value, ...(only.checked ? { asset } : {}) });
      fill(found, hits.length ? hits.map(hit) : h("p", { class: "faint" }, t("search_none")));
    } catch (error) { fill(found, h("p", { class: "wrong" }, error.message)); }
  });
  box.addEventListener("close", () => box.remove());
  document.body.append(box);
  box.showModal();
  text.focus();
}

const hit = (one) => h("button", { type: "button", class: "hit", onclick: () => openPaper(one) }, h("b", {}, one.title, one.section ? ` › ${one.section}` : ""), h("span", {}, one.quote), h("small", { class: "faint" }, word("paper", one.kind)));
