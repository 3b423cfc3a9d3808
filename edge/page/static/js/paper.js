// Documents: a passage in its text, marked. Everything is text, whatever a document holds.

import { fill, h } from "./dom.js";
import { ask } from "./ask.js";
import { t, word } from "./strings.js";

// A text with some of its words marked, as nodes.
export function quoted(text, words) {
  const spans = [];
  for (const one of words || []) {
    const at = one ? text.indexOf(one) : -1;
    if (at >= 0) spans.push([at, at + one.length]);
  }
  return marked(text, spans);
}

export function marked(text, spans) {
  const parts = [];
  let end = 0;
  for (const [from, to] of spans.sort((a, b) => a[0] - b[0])) {
    if (from < end) continue;
    parts.push(text.slice(end, from), h("mark", {}, text.slice(from, to)));
    end = to;
  }
  parts.push(text.slice(end));
  return parts;
}

// Offsets of the wire count characters; those of JavaScript count halves of some.
function offset(text, characters) {
  let at = 0;
  for (let i = 0; i < characters && at < text.length; i += 1) at += text.codePointAt(at) > 0xffff ? 2 : 1;
  return at;
}

export async function openPaper(citation) {
  const text = h("pre", { tabindex: "0" }, t("loading"));
  const head = h("div", {}, h("h2", {}, citation.doc_id));
  const box = h("dialog", { class: "paper" }, h("div", { class: "head" }, head, h("button", { type: "button", "data-act": "leave", onclick: () => box.close() }, t("close"))), text);
  box.addEventListener("close", () => box.remove());
  document.body.append(box);
  box.showModal();
  try {
    const paper = await ask("/api/document", { doc: citation.doc_id, revision: citation.revision });
    fill(head, h("h2", {}, paper.title || paper.doc_id), h("p", { class: "faint" }, [paper.doc_id, paper.revision && t("revision_only", { revision: paper.revision }), word("paper", paper.kind), paper.current ? "" : t("not_current")].filter(Boolean).join(" · ")));
    const from = offset(paper.text, citation.start), to = offset(paper.text, citation.end);
    fill(text, marked(paper.text, [[from, to]]));
    text.querySelector("mark")?.scrollIntoView({ block: "center" });
  } catch (error) {
    fill(text, error.message);
  }
}
