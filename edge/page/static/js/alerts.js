// Active alerts by priority; beside them, where nothing was known, what would have rung as well.

import { $, fill, h } from "./dom.js";
import { t, word } from "./strings.js";
import { keyOf, now, onChange, rows, some, touch, view } from "./store.js";
import { Listing } from "./listing.js";
import { time } from "./times.js";

const HEIGHT = 66;
const AUDIENCES = ["", "operator", "maintenance", "engineer"];
let listing = null;
let select = null;
const count = h("span", { class: "count" });

// Whether it belongs to the list: it rings, or has cleared and nobody has seen it; not what is kept quiet.
const waits = (row) => ["ACTIVE_UNACK", "ACTIVE_ACK", "CLEARED_UNACK"].includes(row.state) && !row.shelved && !row.out_of_service && !row.suppressed;
const would = (row) => view.withoutKnowledge && row.suppressed;

function order(a, b) {
  const rank = (row) => (row.state === "ACTIVE_UNACK" ? 0 : row.state === "ACTIVE_ACK" ? 1 : 2);
  return (b.active - a.active) || a.priority - b.priority || rank(a) - rank(b) || b.begin_ms - a.begin_ms || (a.asset < b.asset ? -1 : 1);
}

export function listed() {
  const found = [];
  for (const [key, row] of rows) {
    if (!key.startsWith("alert/") || !(waits(row) || would(row))) continue;
    if (view.audience && row.audience !== view.audience) continue;
    found.push(row);
  }
  return found.sort(order);
}

// Without server, broker or gateway an empty list says nothing.
export const known = () => view.live && rows.get("page")?.connected && rows.get("status")?.online;

export function makeAlerts(onSelect) {
  select = onSelect;
  listing = new Listing({ height: HEIGHT, make, label: t("active_alerts"), empty: t("no_alerts") });
  const filters = h("div", { class: "filters", role: "group", "aria-label": t("audience") },
    AUDIENCES.map((name) => h("button", { type: "button", "aria-pressed": String(name === ""), "data-audience": name, onclick: (event) => audience(name, event.currentTarget) }, t(`audience_${name || "all"}`))));
  fill($("alerts"), h("div", { class: "head" }, h("h2", { id: "alerts-title" }, t("active_alerts")), count, filters), listing.node);
  listing.node.addEventListener("keydown", keys);
  onChange((changes) => { if (some(changes, "alert/", "view", "page", "status", "live")) draw(); });
  return listing;
}

function audience(name, button) {
  view.audience = name;
  for (const other of button.parentNode.children) other.setAttribute("aria-pressed", String(other === button));
  touch("view");
}

function draw() {
  const found = listed();
  count.textContent = known() ? String(found.length) : "?";
  listing.none.textContent = t(known() ? "no_alerts" : "not_known");
  listing.show(found.map((row) => ({ key: `${row.asset}/${row.track}`, row, version: `${row.id} ${row.revision} ${keyOf(row) === view.selected} ${view.withoutKnowledge}` })));
}

function make({ row }) {
  const chosen = keyOf(row) === view.selected;
  const cleared = row.state === "CLEARED_UNACK";
  const chips = [h("span", { class: `chip p${row.priority}${row.state === "ACTIVE_UNACK" ? " new" : ""}` }, would(row) ? t("would_ring") : word("state", row.state))];
  if (row.decision === "ANNOTATED") chips.push(h("span", { class: "chip" }, t("maybe_work")));
  if (row.shadow) chips.push(h("span", { class: "chip" }, t("shadow")));
  if (row.members_total) chips.push(h("span", { class: "chip" }, t("members", { n: row.members_total })));
  return h("div", { class: `arow${cleared ? " cleared" : ""}`, "aria-selected": String(chosen), "data-alert": row.id, onclick: () => select(row.asset, row.id) },
    h("span", { class: `bar p${cleared ? 0 : row.priority}` }),
    h("div", {}, h("div", { class: "top" }, h("span", { class: "who" }, row.members_total ? t("group") : row.asset), chips), h("div", { class: "what" }, plain(row))),
    h("div", { class: "when" }, time(row.begin_ms, now()), row.count > 1 ? h("div", {}, `×${row.count}`) : ""));
}

// The message without the asset in front, which stands beside it.
export const plain = (row) => (row.message.startsWith(`${row.asset}: `) ? row.message.slice(row.asset.length + 2) : row.message);

function keys(event) {
  const found = listing.items.map((item) => item.row);
  const place = found.findIndex((row) => keyOf(row) === view.selected);
  const step = { ArrowDown: 1, ArrowUp: -1, Home: -place, End: found.length - 1 - place }[event.key];
  if (step === undefined || !found.length) return;
  event.preventDefault();
  const next = found[Math.min(Math.max(place + step, 0), found.length - 1)];
  select(next.asset, next.id);
  listing.reveal(`${next.asset}/${next.track}`);
}
