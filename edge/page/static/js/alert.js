// One alert: what happened, what to check first, why it rang or did not, and what can be done about it.

import { $, fill, h } from "./dom.js";
import { ask, may, say } from "./ask.js";
import { plain } from "./alerts.js";
import { askWith, silenceForm } from "./forms.js";
import { openPaper, quoted } from "./paper.js";
import { number, t, word } from "./strings.js";
import { all, now, onChange, rows, some, view } from "./store.js";
import { makeTimeline } from "./timeline.js";
import { lasting, time } from "./times.js";
import { makeTrend, moveTrend } from "./trend.js";
import { worksOf } from "./work.js";

let shown = { key: "", revision: -1, event: null, similar: [] };

export function makeAlert() {
  idle();
  onChange((changes) => {
    if (some(changes, "alert/", "view")) refresh();
    else if (shown.event && some(changes, `job/${shown.event.asset}`)) draw();
    if (shown.event && some(changes, "spike/")) moveTrend(shown.event.asset);
  });
}

const rowOf = (key) => all("alert/").find((row) => `${row.asset}/${row.id}` === key);

function idle() {
  fill($("alert"), h("div", { class: "body" }, h("div", { class: "empty" }, t("nothing_selected"))));
}

export async function refresh() {
  const key = view.selected;
  if (!key) { shown = { key: "", revision: -1, event: null, similar: [] }; idle(); return; }
  const row = rowOf(key);
  const revision = row ? row.revision : shown.revision;
  if (key === shown.key && revision === shown.revision && shown.event) return;
  const fresh = key !== shown.key;
  const [asset, ...rest] = key.split("/");
  const path = `${encodeURIComponent(asset)}/${encodeURIComponent(rest.join("/"))}`;
  shown = { key, revision, event: fresh ? null : shown.event, similar: fresh ? [] : shown.similar };
  const asked = shown;
  try {
    const event = await ask(`/api/event/${path}`);
    if (asked !== shown) return;
    shown.event = event;
  } catch (error) {
    if (asked !== shown) return;
    shown.event = row ? { ...row, explanation: [], contributions: [], clauses: [], resembles: [], history: [], functional_location: "" } : null;
    if (!row) { fill($("alert"), h("div", { class: "body" }, h("div", { class: "empty" }, error.message))); return; }
  }
  draw(fresh);
  if (!fresh) return;
  const similar = await ask(`/api/similar/${path}`).catch(() => []);
  if (asked.key === shown.key) { shown.similar = similar; draw(); }
}

function draw(fresh = false) {
  const event = shown.event;
  const row = rowOf(shown.key);
  const state = row || event;
  const quiet = state.suppressed || state.shelved || state.out_of_service;
  const tone = quiet || !["ACTIVE_UNACK", "ACTIVE_ACK"].includes(state.state) ? "" : ` p${state.priority}`;
  const place = $("alert");
  const before = place.querySelector(".body");
  const top = fresh || !before ? 0 : before.scrollTop;
  const open = new Set(fresh ? [] : [...place.querySelectorAll("details[open]")].map((one) => one.dataset.of));
  const trend = makeTrend(event.asset, fresh);
  const body = h("div", { class: "body" },
    h("div", { class: "title" },
      h("span", { class: "asset" }, event.asset),
      event.functional_location ? h("span", { class: "faint" }, event.functional_location) : "",
      h("span", { class: `chip${tone}` }, stateWord(state)),
      h("span", { class: "chip" }, word("severity", event.severity)),
      h("span", { class: "chip" }, word("track", event.track)),
      event.fault_class ? h("span", { class: "chip" }, event.fault_class) : ""),
    h("h2", {}, plain({ ...event, message: state.message || event.message })),
    h("p", { class: "since" }, t("since"), " ", time(event.begin_ms, now(), { seconds: true }), " · ", lasting(now() - event.begin_ms), event.count > 1 ? ` · ${t("times", { n: event.count })}` : ""),
    held(state), value(event), checks(event), h("h3", {}, t("trend")), trend,
    shares(event), told(event), similar(), works(event), clauses(event, open), history(event, open));
  fill(place, h("div", { class: `edge${tone}` }), body, actions(state));
  body.scrollTop = top;
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
  else button("shelve", "shelve", t("shelve"), () => silenceForm("shelve", state));
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
