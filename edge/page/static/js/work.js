// What is kept quiet, by whom and until when: lists that are always there. Jobs to confirm, and log lines.

import { $, fill, h } from "./dom.js";
import { ask, may, say } from "./ask.js";
import { checkInForm, dialog, field, input, select } from "./forms.js";
import { t, word } from "./strings.js";
import { all, now, onChange, rows, some, view } from "./store.js";
import { lasting, time } from "./times.js";

const DAY_MS = 86400000;
const SHOWN_MAX = 100; // of a list; the rest is counted, and shown when asked for
const cards = {};
const scopes = new Map(); // asset -> promise of what approved tables know

function card(name) {
  const count = h("span", { class: "count" }), list = h("div", { class: "list" }), none = h("p", { class: "none" }, t(`${name}_none`));
  const node = h("section", { class: `card ${name}`, "data-card": name }, h("div", { class: "head" }, h("h2", {}, t(name)), count), none, list);
  cards[name] = { count, list, none, node, most: SHOWN_MAX, made: new Map() };
  return node;
}

const known = () => view.live && rows.get("page")?.connected;

export function makeQuiet() {
  view.checkIn = checkInForm;
  fill($("quiet"), card("to_confirm"), card("suppressed"), card("shelved"), card("out_of_service"), card("open_work"), note());
  onChange((changes) => { if (some(changes, "alert/", "job/", "page", "view", "live")) draw(); });
}

let drawn = "";
function draw() {
  const minute = Math.floor(now() / 60000);
  const alerts = all("alert/"), jobs = all("job/");
  const state = JSON.stringify([minute, known(), alerts.filter((one) => one.suppressed_or_shelved || one.suppressed || one.shelved || one.out_of_service).map((one) => [one.id, one.revision]), jobs.map((one) => [one.asset, one.ts_ms, one.jobs.map((job) => [job.job_id, job.state, job.fuse_ms, job.valid_to_ms]), one.proposals.length, one.silences.length])]);
  if (state === drawn) return; // a button under a finger stays where it is
  drawn = state;
  put("suppressed", alerts.filter((one) => one.suppressed).sort((a, b) => b.begin_ms - a.begin_ms).map((one) => ({ asset: one.asset, id: one.id, message: one.message, job_id: one.job_id, rings_again_ms: one.rings_again_ms, title: workOf(one) })), suppressed);
  const silences = jobs.flatMap((one) => one.silences.map((silence) => ({ ...silence, asset: one.asset })));
  put("shelved", silences.filter((one) => one.kind === "shelved"), silence);
  put("out_of_service", silences.filter((one) => one.kind !== "shelved"), silence);
  put("to_confirm", jobs.flatMap((one) => one.proposals.map((job) => ({ ...job, asset: one.asset }))).filter(today).sort((a, b) => (a.valid_from_ms ?? 0) - (b.valid_from_ms ?? 0)), proposal);
  put("open_work", jobs.flatMap((one) => one.jobs.filter((job) => ["open", "scheduled"].includes(job.state)).map((job) => ({ ...job, asset: one.asset }))), openWork);
}

// What falls into a day before or after now: what goes on for longer is there on each of its days.
function today(job) {
  const at = now(), begin = job.valid_from_ms;
  return begin === null || (begin < at + DAY_MS && Math.max(begin, job.valid_to_ms ?? begin) > at - DAY_MS);
}

// An item of which nothing has changed stays the element that it is: with what has the focus, and
// with what somebody has chosen in it, whatever else changes in the plant.
function put(name, items, make) {
  const held = cards[name], { count, list, none } = held;
  count.textContent = String(items.length);
  none.hidden = items.length > 0;
  none.textContent = t(known() ? `${name}_none` : "not_known");
  const day = new Date(now()).toDateString(), made = new Map();
  for (const item of items.slice(0, held.most)) {
    let version = JSON.stringify([day, item]);
    while (made.has(version)) version += " ";
    made.set(version, held.made.get(version) ?? make(item));
  }
  for (const [version, node] of held.made) if (!made.has(version)) node.remove();
  held.made = made;
  list.querySelector(":scope > .more")?.remove();
  [...made.values()].forEach((node, i) => { if (list.children[i] !== node) list.insertBefore(node, list.children[i] ?? null); });
  const rest = items.length - held.most;
  if (rest > 0) list.append(h("button", { type: "button", class: "link more", onclick: () => { held.most += SHOWN_MAX; drawn = ""; draw(); } }, t("and_more", { n: rest })));
}

const title = (job) => `${word("work", job.kind)}${job.instrument ? ` · ${job.instrument}` : ""}`;

function workOf(alert) {
  const job = rows.get(`job/${alert.asset}`)?.jobs.find((job) => job.job_id === alert.job_id);
  return job ? title(job) : alert.job_id;
}

function suppressed(one) {
  return h("div", { class: "item", "data-alert": one.id },
    h("div", { class: "line" }, h("b", {}, one.asset), one.title, h("span", { class: "end" }, one.rings_again_ms ? [t("until"), " ", time(one.rings_again_ms, now())] : "")),
    h("p", {}, one.message.replace(/^.*?: .*?: /, "")),
    h("div", { class: "acts" }, h("button", { type: "button", onclick: () => view.select(one.asset, one.id) }, t("show")),
      may("job.cancel") ? h("button", { type: "button", class: "loud", "data-act": "cancel", onclick: () => say("job", { action: "cancel", job_id: one.job_id, reason: t("cancelled_here") }) }, t("cancel_job")) : ""));
}

function silence(one) {
  const out = one.kind !== "shelved";
  const end = out ? () => say("oos", { asset: one.asset, action: "in" }) : () => say("shelve", { asset: one.asset, track: one.track, action: "unshelve" });
  return h("div", { class: "item" },
    h("div", { class: "line" }, h("b", {}, one.asset), one.track ? word("track", one.track) : "", h("span", { class: "end" }, t("until"), " ", time(one.end_ms, now()))),
    h("p", {}, t("by", { who: one.owner || one.operator }), one.reason ? `: ${one.reason}` : ""),
    may(out ? "oos" : "shelve") ? h("div", { class: "acts" }, h("button", { type: "button", "data-act": "end-silence", onclick: end }, out ? t("back_in") : t("unshelve"))) : "");
}

function proposal(one) {
  const acts = h("div", { class: "acts" });
  if (may("confirm")) confirmButtons(one, acts);
  return h("div", { class: "item", "data-proposal": one.job_id },
    h("div", { class: "line" }, h("b", {}, one.asset), title(one), h("span", { class: "end" }, one.valid_from_ms === null ? "" : [time(one.valid_from_ms, now()), one.valid_to_ms === null ? "" : [" – ", time(one.valid_to_ms, now())]])),
    one.quotes.map((quote) => h("q", {}, quote)), acts);
}

// One tap where it is known on which instrument; else a choice of those that approved tables know.
async function confirmButtons(one, acts) {
  const button = (instrument) => h("button", { type: "button", class: "first", "data-act": "confirm", onclick: () => confirm(one, instrument()) }, t("confirm"));
  if (one.instrument) { acts.append(button(() => "")); return; }
  if (!scopes.has(one.asset)) scopes.set(one.asset, ask(`/api/scopes/${encodeURIComponent(one.asset)}`).catch(() => []));
  const known = (await scopes.get(one.asset)).filter((scope) => scope.kind === one.kind).map((scope) => scope.instrument);
  if (known.length < 2) { acts.append(button(() => known[0] || "")); return; }
  const picked = select("instrument", known.map((name) => [name, name || t("whole_asset")]));
  picked.setAttribute("aria-label", t("which_instrument"));
  acts.append(picked, button(() => picked.value));
}

const confirm = (one, instrument) => say("confirm", { proposal_id: one.job_id, instrument, reason: t("confirmed_here", { quote: one.quotes[0] || one.job_id }).slice(0, 300) });

async function extend(one) {
  const said = await dialog(t("extend_title", { job: one.job_id }), "", [field(t("how_long"), select("minutes", [15, 30, 60].map((n) => [n, t("for_min", { n })]), 30)), field(t("reason"), input("reason", { required: true, maxlength: 500 }))], t("extend"));
  if (said) say("job", { action: "extend", job_id: one.job_id, minutes: Number(said.get("minutes")), reason: said.get("reason") });
}

function openWork(one) {
  const open = one.state === "open", end = one.fuse_ms ?? one.valid_to_ms;
  const acts = may("job.check_out") ? h("div", { class: "acts" },
    open ? h("button", { type: "button", "data-act": "check-out", onclick: () => say("job", { action: "check_out", job_id: one.job_id }) }, t("check_out")) : "",
    open && may("job.extend") ? h("button", { type: "button", onclick: () => extend(one) }, t("extend")) : "",
    h("button", { type: "button", class: "loud", "data-act": "cancel", onclick: () => say("job", { action: "cancel", job_id: one.job_id, reason: t("cancelled_here") }) }, t("cancel_job"))) : "";
  return h("div", { class: "item", "data-job": one.job_id },
    h("div", { class: "line" }, h("b", {}, one.asset), title(one), h("span", { class: "end" }, end ? [open ? t("until") : t("planned"), " ", time(open ? end : one.valid_from_ms, now())] : "")),
    h("p", {}, word("job", one.state), one.opened_by ? ` · ${t("by", { who: one.opened_by })}` : "", one.scope.length ? ` · ${t("may_disturb", { channels: one.scope.join(", ") })}` : ` · ${t("annotates_only")}`), acts);
}

export function worksOf(asset) {
  const told = rows.get(`job/${asset}`);
  if (!told) return [];
  const every = [...told.jobs, ...told.proposals].sort((a, b) => (b.valid_from_ms ?? 0) - (a.valid_from_ms ?? 0));
  return every.slice(0, 30).map((job) => h("li", { "data-work": job.job_id },
    h("span", { class: "faint" }, job.valid_from_ms === null ? "–" : time(job.valid_from_ms, now()), job.valid_to_ms === null ? "" : [" – ", time(job.valid_to_ms, now())]),
    h("span", { class: "m" }, title(job), job.valid_from_ms !== null && job.valid_to_ms !== null ? ` · ${lasting(job.valid_to_ms - job.valid_from_ms)}` : "", job.quotes[0] ? h("div", { class: "faint" }, `“${job.quotes[0]}”`) : ""),
    h("span", { class: "chip" }, word("job", job.state))));
}

// A line for the shift log: it proposes, and a person confirms.
function note() {
  const asset = input("asset", { list: "assets", required: true, placeholder: t("asset"), "aria-label": t("asset") });
  const text = input("text", { required: true, maxlength: 400, placeholder: t("log_example"), "aria-label": t("log_line") });
  const form = h("form", { class: "note", id: "log-form" }, h("div", { class: "two" }, asset, text),
    h("div", { class: "acts" }, h("button", { type: "submit", class: "first" }, t("log_send")), h("button", { type: "button", onclick: () => asset.value && checkInForm(asset.value) }, t("check_in"))), h("p", { class: "faint" }, t("log_note")));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const said = await say("text", { asset: asset.value.trim(), text: text.value });
    if (said.done) text.value = "";
  });
  onChange((changes) => { // the asset in view, until somebody writes another
    if (changes.has("view") && !asset.dataset.own) asset.value = view.selected[0] === "_" ? "" : view.selected.split("/")[0];
  });
  asset.addEventListener("input", () => { asset.dataset.own = asset.value; });
  const card = h("section", { class: "card", "data-card": "log_line", hidden: true }, h("div", { class: "head" }, h("h2", {}, t("log_line"))), form, h("datalist", { id: "assets" }));
  onChange(() => { card.hidden = !may("text"); }); // who may is known only after all this is made
  return card;
}

let assetsKnown = -1;
export async function keepAssets() {
  const count = rows.get("page")?.assets ?? 0;
  if (count === assetsKnown) return;
  assetsKnown = count;
  const ids = await ask("/api/assets").catch(() => []);
  fill($("assets"), ids.slice(0, 2000).map((id) => h("option", { value: id })));
}
