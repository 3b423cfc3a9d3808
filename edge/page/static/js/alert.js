// One alert: what happened, what to check first, why it rang or did not, and what can be done about it.

import { $, fill, h } from "./dom.js";
import { ask, may, say } from "./ask.js";
import { known, plain } from "./alerts.js";
import { askWith, silenceForm } from "./forms.js";
import { openPaper, quoted } from "./paper.js";
import { number, t, word } from "./strings.js";
import { all, now, onChange, rows, some, view } from "./store.js";
import { makeTimeline } from "./timeline.js";
import { lasting, time } from "./times.js";
import { makeTrend, moveTrend } from "./trend.js";
import { worksOf } from "./work.js";

const AGAIN_MS = 400; // an alert and its event are two messages: the second may still be on its way
const AGAIN_MAX = 10;
const NOTHING = { key: "", mark: "", event: null, similar: [] };
let shown = NOTHING;
let minute = 0; // of plant time, as what stands here counts from and to now

export function makeAlert() {
  idle();
  onChange((changes) => {
    const passed = Math.floor(now() / 60000) !== minute;
    if (some(changes, "alert/", "view", "live", "status")) refresh();
    if (shown.event && (passed || some(changes, `job/${shown.event.asset}`, ...(isGroup(shown.event) ? ["alert/", "group/"] : [])))) draw();
    if (shown.event && some(changes, "spike/")) moveTrend(shown.event.asset);
  });
}

const rowOf = (key) => all("alert/").find((row) => `${row.asset}/${row.id}` === key);

function idle() {
  fill($("alert"), h("div", { class: "body" }, h("div", { class: "empty" }, t("nothing_selected"))));
}

const isGroup = (event) => event.asset === "_group"; // its topic has no asset: it rings for many
const isOver = (event) => ["NORMAL", "CLEARED_ACK"].includes(event.state) && !event.suppressed_or_shelved;

// How it stands. What no list has any more is over, whatever the newest event says that came here.
function stateOf(event) {
  const row = rowOf(shown.key);
  if (row || !known() || isOver(event)) return row || event;
  return { ...event, state: "NORMAL", active: 0, suppressed: 0, shelved: 0, out_of_service: 0, rings_again_ms: null };
}

export async function refresh() {
  const key = view.selected;
  if (!key) { shown = NOTHING; idle(); return; }
  const row = rowOf(key), fresh = key !== shown.key;
  const mark = row ? row.revision : known() ? "over" : fresh ? "" : shown.mark;
  if (!fresh && mark === shown.mark && shown.event) return;
  shown = { key, mark, event: fresh ? null : shown.event, similar: fresh ? [] : shown.similar };
  await look(shown, fresh, AGAIN_MAX);
  if (!fresh) return;
  const similar = await ask(`/api/similar/${pathOf(key)}`).catch(() => []);
  if (key === shown.key && shown.event) { shown.similar = similar; draw(); }
}

function pathOf(key) {
  const [asset, ...rest] = key.split("/");
  return `${encodeURIComponent(asset)}/${encodeURIComponent(rest.join("/"))}`;
}

// The event in full, and again while the list is ahead of it.
async function look(asked, fresh, times) {
  const row = rowOf(asked.key);
  let missing = "";
  const event = await ask(`/api/event/${pathOf(asked.key)}`).catch((error) => { missing = error.message; });
  if (asked !== shown) return;
  shown.event = event || (row ? { ...row, explanation: [], contributions: [], clauses: [], resembles: [], history: [], functional_location: "" } : shown.event);
  if (!shown.event) { fill($("alert"), h("div", { class: "body" }, h("div", { class: "empty" }, missing))); return; }
  draw(fresh);
  const behind = row ? event?.revision < row.revision : event && !isOver(event);
  if (behind && times > 0) setTimeout(() => { if (asked === shown) look(asked, false, times - 1); }, AGAIN_MS);
}

function draw(fresh = false) {
  const event = shown.event, state = stateOf(event);
  minute = Math.floor(now() / 60000);
  const quiet = state.suppressed || state.shelved || state.out_of_service;
  const tone = quiet || !["ACTIVE_UNACK", "ACTIVE_ACK"].includes(state.state) ? "" : ` p${state.priority}`;
  const place = $("alert");
  const before = place.querySelector(".body");
  const top = fresh || !before ? 0 : before.scrollTop;
  const focus = fresh ? null : focusIn(place);
  const open = new Set(fresh ? [] : [...place.querySelectorAll("details[open]")].map((one) => one.dataset.of));
  const trend = isGroup(event) ? members(state) : [h("h3", {}, t("trend")), makeTrend(event.asset, fresh)];
  const body = h("div", { class: "body" },
    h("div", { class: "title" },
      h("span", { class: "asset" }, isGroup(event) ? t("group") : event.asset),
      event.functional_location ? h("span", { class: "faint" }, event.functional_location) : "",
      h("span", { class: `chip${tone}` }, stateWord(state)),
      h("span", { class: "chip" }, word("severity", event.severity)),
      h("span", { class: "chip" }, word("track", event.track)),
      event.fault_class ? h("span", { class: "chip" }, event.fault_class) : ""),
    h("h2", {}, plain({ ...event, message: state.message || event.message })),
    h("p", { class: "since" }, t("since"), " ", time(event.begin_ms, now(), { seconds: true }), " · ", lasting(now() - event.begin_ms), event.count > 1 ? ` · ${t("times", { n: event.count })}` : ""),
    held(state), value(event), checks(event), trend,
    shares(event), told(event), similar(), works(event), clauses(event, open), history(event, open));
  show(place, fresh, h("div", { class: `edge${tone}` }), body, actions(state));
  body.scrollTop = top;
  if (focus) [...place.querySelectorAll(focus.tag)].find((one) => one.textContent === focus.text)?.focus({ preventScroll: true });
}

// Buttons that say the same as before stay where they are, under whichever finger.
function show(place, fresh, edge, body, acts) {
  const [, , before] = place.children;
  if (fresh || !before?.isEqualNode(acts)) { fill(place, edge, body, acts); return; }
  place.children[0].replaceWith(edge);
  place.children[1].replaceWith(body);
}

// What a keyboard is at, to be found again when all is made anew.
function focusIn(place) {
  const at = document.activeElement;
  return place.contains(at) && at !== place ? { tag: at.tagName, text: at.textContent } : null;
}

function stateWord(state) {
  if (state.suppressed) return t("suppressed");
  if (state.shelved) return t("shelved");
  if (state.out_of_service) return t("out_of_service");
  return word("state", state.state);
}

// What keeps it quiet, until when, and the way to end that.
function held(state) {
  if (!state.suppressed) return "";
  const job = jobOf(state.asset, state.job_id);
  return h("div", { class: "held" },
    h("p", {}, h("b", {}, job ? `${word("work", job.kind)}${job.instrument ? ` ${job.instrument}` : ""}` : state.job_id), ` (${state.job_id}) `, t("keeps_quiet"), " ",
      state.rings_again_ms ? [t("rings_again"), " ", time(state.rings_again_ms, now()), ` (${t("in", { time: lasting(state.rings_again_ms - now()) })})`] : ""),
    may("job.cancel") ? h("button", { class: "loud", type: "button", "data-act": "cancel", onclick: () => say("job", { action: "cancel", job_id: state.job_id, reason: t("cancelled_here") }) }, t("cancel_job")) : "");
}

const jobOf = (asset, id) => rows.get(`job/${asset}`)?.jobs.find((job) => job.job_id === id);

function value(event) {
  const { top_channel: name, top_value: at, top_unit: unit, usual_low: low, usual_high: high } = event;
  if (at === null || at === undefined) return "";
  return h("div", { class: "value" },
    h("div", {}, h("div", { class: "name" }, name), h("div", { class: "now" }, number(at), h("small", {}, unit))),
    low === null || high === null ? "" : gauge(at, low, high, unit));
}

function gauge(at, low, high, unit) {
  const width = high - low || Math.abs(high) || 1;
  const begin = Math.min(low - width * 0.35, at - width * 0.15), end = Math.max(high + width * 0.35, at + width * 0.15);
  const x = (v) => `${(((v - begin) / (end - begin)) * 100).toFixed(2)}%`;
  const out = at < low || at > high;
  return h("div", { class: "gauge", role: "img", "aria-label": t("usual_range", { low: number(low), high: number(high), unit }) },
    h("span", { class: "cap" }, t("usual")),
    h("div", { class: "track" }),
    h("div", { class: "usual", at: { left: x(low), right: `calc(100% - ${x(high)})` } }),
    h("div", { class: `at${out ? " out" : ""}`, at: { left: x(at) } }),
    h("span", { class: "lab", at: { left: x(low) } }, number(low)), h("span", { class: "lab", at: { left: x(high) } }, number(high)));
}

function source(sentence) {
  const one = sentence.citation;
  if (!one) return "";
  return h("button", { class: "link src", type: "button", "data-doc": one.doc_id, onclick: () => openPaper(one) }, one.revision ? t("revision", { doc: one.doc_id, revision: one.revision }) : one.doc_id);
}

function checks(event) {
  const steps = event.explanation.filter((one) => one.role === "check_first");
  const passage = event.explanation.find((one) => one.role === "passage" && one.citation);
  const advice = !steps.length && event.advice ? [h("li", {}, h("i", {}, "1"), h("div", {}, event.advice))] : [];
  if (!steps.length && !advice.length && !passage) return "";
  return h("section", {}, h("h3", {}, t("check_first")),
    h("ol", { class: "checks" }, advice, steps.map((one, i) => h("li", {}, h("i", {}, String(i + 1)), h("div", {}, one.quoted[0] || one.text, " ", source(one))))),
    passage ? h("blockquote", {}, quoted(passage.citation.quote, wordsOf(steps, passage)), h("div", {}, source(passage))) : "");
}

// What to mark in a passage: the steps that were taken out of it, else all that is quoted.
function wordsOf(steps, passage) {
  const inside = steps.flatMap((one) => one.quoted).filter((text) => passage.citation.quote.includes(text));
  return inside.length ? inside : passage.quoted;
}

function shares(event) {
  if (!event.contributions.length) return "";
  return h("section", {}, h("h3", {}, t("contributions")), h("ul", { class: "shares" }, event.contributions.slice(0, 8).map((one) =>
    h("li", {}, h("span", {}, one.channel), h("span", { class: "bar" }, h("i", { at: { width: `${Math.round(one.share * 100)}%` } })), h("span", { class: "r" }, `${Math.round(one.share * 100)} %`),
      h("span", { class: "soft" }, `${number(one.value)} ${one.unit}`, one.usual_low === null ? "" : ` (${number(one.usual_low)} – ${number(one.usual_high)})`)))));
}

function told(event) {
  const rest = event.explanation.filter((one) => ["happened", "considered", "resembles", "none"].includes(one.role));
  const passages = event.explanation.filter((one) => one.role === "passage" && one.citation).slice(1, 4);
  if (!rest.length && !passages.length) return "";
  return h("section", {}, h("h3", {}, t("what_is_known")), h("ul", { class: "told" }, rest.map((one) => h("li", {}, one.text, " ", source(one)))),
    passages.map((one) => h("blockquote", {}, quoted(one.citation.quote, one.quoted), h("div", {}, source(one)))));
}

// What a group rings for, the first to begin on top.
function members(state) {
  const told = all("group/").find((one) => one.id === state.id)?.members ?? [];
  const more = state.members_total - told.length; // long lists are cut
  return h("section", { class: "members" }, h("h3", {}, t("rings_for")), h("ul", { class: "similar" }, told.map((one) => {
    const row = rowOf(`${one.asset}/${one.id}`);
    return h("li", {}, h("span", { class: "faint" }, time(one.begin_ms, now())), h("button", { class: "link m", type: "button", onclick: () => view.select(one.asset, one.id) }, row ? row.message : [one.asset, one.top_channel].filter(Boolean).join(": ")), h("span", { class: "chip" }, row ? stateWord(row) : word("state", "NORMAL")));
  })), more > 0 ? h("p", { class: "faint" }, t("members_more", { n: more })) : "");
}

function similar() {
  if (!shown.similar.length) return "";
  return h("section", {}, h("h3", {}, t("similar")), h("ul", { class: "similar" }, shown.similar.map((one) =>
    h("li", {}, h("span", { class: "faint" }, time(one.begin_ms, now())), h("button", { class: "link m", type: "button", onclick: () => view.select(shown.event.asset, one.id) }, one.message), h("span", { class: "chip" }, word("decision", one.decision)), h("span", { class: "faint" }, `${Math.round(one.likeness * 100)} %`)))));
}

function works(event) {
  const found = worksOf(event.asset);
  return found.length ? h("section", {}, h("h3", {}, t("work_on", { asset: event.asset })), makeTimeline(event.asset), h("ul", { class: "works" }, found)) : "";
}

function folded(name, title, open, ...inside) {
  return h("details", { "data-of": name, open: open.has(name) }, h("summary", {}, title), ...inside);
}

function clauses(event, open) {
  if (!event.clauses.length) return "";
  const sign = (one) => (one.outcome === true ? h("span", { class: "yes" }, "✓") : one.outcome === false ? h("span", { class: "no" }, "✕") : h("span", { class: "no" }, "?"));
  return folded("clauses", t("why_decided", { decision: word("decision", event.decision) }), open,
    h("div", { class: "clauses" }, event.clauses.map((one) => [sign(one), h("span", {}, one.name.replaceAll("_", " ")), h("span", { class: "soft" }, one.detail)])));
}

function history(event, open) {
  if (!event.history.length) return "";
  return folded("history", t("history"), open, h("ul", { class: "works" }, event.history.map((one) =>
    h("li", {}, h("span", { class: "faint" }, time(one.ts_ms, now(), { seconds: true })), h("span", { class: "chip" }, word("state", one.state)), h("span", { class: "m" }, one.reason)))));
}

function actions(state) {
  const waits = ["ACTIVE_UNACK", "CLEARED_UNACK"].includes(state.state);
  const made = h("div", { class: "actions" });
  const id = { alert_id: state.id };
  const button = (command, act, text, run, kind = "") => { if (may(command)) made.append(h("button", { type: "button", class: kind, "data-act": act, onclick: run }, text)); };
  if (waits) button("ack", "ack", t("acknowledge"), () => say("ack", id), "first");
  if (state.shelved) button("shelve", "unshelve", t("unshelve"), () => say("shelve", { ...id, action: "unshelve" }));
  else if (!isGroup(state)) button("shelve", "shelve", t("shelve"), () => silenceForm("shelve", state));
  if (may("feedback")) {
    button("feedback", "feedback", t("feedback"), async () => {
      const said = await askWith(t("feedback"), t("feedback_note"), { choices: ["real", "expected", "nuisance", "sensor", "unsure"].map((name) => [name, word("label", name)]), text: t("note") });
      if (said) say("feedback", { ...id, label: said.choice, note: said.text });
    });
  }
  made.append(h("span", { class: "gap" }));
  if (state.asset[0] !== "_") {
    button("job.check_in", "check-in", t("check_in"), () => view.checkIn(state.asset));
    button("oos", "oos", t("take_out"), () => silenceForm("oos", state));
  }
  return made;
}
