// Dialogs that ask for a reason before something is kept quiet.

import { h } from "./dom.js";
import { ask, say } from "./ask.js";
import { t, word } from "./strings.js";
import { now } from "./store.js";

const MINUTES = [15, 30, 60, 120, 240, 480];
const DAYS = [60, 240, 480, 1440, 4320, 10080];

// Opens a form; resolves with what was said, null when it was left.
export function dialog(title, note, fields, confirm) {
  return new Promise((resolve) => {
    const wrong = h("p", { class: "wrong", hidden: true });
    const form = h("form", { method: "dialog" }, h("h2", {}, title), note ? h("p", { class: "soft" }, note) : "", fields, wrong,
      h("div", { class: "buttons" }, h("button", { type: "button", "data-act": "leave", onclick: () => box.close() }, t("leave")), h("button", { type: "submit", class: "first", "data-act": "do" }, confirm)));
    const box = h("dialog", {}, form);
    let said = null;
    form.addEventListener("submit", (event) => { event.preventDefault(); said = new FormData(form); box.close(); });
    box.addEventListener("close", () => { box.remove(); resolve(said); });
    document.body.append(box);
    box.showModal();
    form.querySelector("input, select, textarea")?.focus();
  });
}

export const field = (label, control) => h("label", {}, label, control);
export const input = (name, attributes = {}) => h("input", { name, autocomplete: "off", ...attributes });
export function select(name, options, chosen) {
  const made = h("select", { name }, options.map(([value, text]) => h("option", { value }, text)));
  if (chosen !== undefined) made.value = chosen;
  return made;
}

export const minutesWord = (n) => (n < 120 ? t("for_min", { n }) : n < 1440 ? t("for_h", { n: n / 60 }) : t("for_d", { n: n / 1440 }));

export async function askWith(title, note, { choices = null, text = "", required = false }) {
  const fields = [];
  if (choices) fields.push(h("div", { class: "pick", role: "radiogroup" }, choices.map(([value, label], i) => h("label", {}, input("choice", { type: "radio", value, checked: i === 0 }), label))));
  if (text) fields.push(field(text, input("text", { maxlength: 500, required })));
  const said = await dialog(title, note, fields, t("send"));
  return said && { choice: said.get("choice") || "", text: said.get("text") || "" };
}

export async function silenceForm(kind, alert) {
  const out = kind === "oos";
  const said = await dialog(out ? t("take_out_title", { asset: alert.asset }) : t("shelve_title", { asset: alert.asset }), out ? t("take_out_note") : t("shelve_note"), [
    field(t("how_long"), select("minutes", (out ? DAYS : MINUTES).map((n) => [n, minutesWord(n)]), 60)),
    out ? field(t("owner"), input("owner", { maxlength: 80 })) : "",
    field(t("reason"), input("reason", { required: true, maxlength: 500 })),
  ], out ? t("take_out") : t("shelve"));
  if (!said) return;
  const body = { minutes: Number(said.get("minutes")), reason: said.get("reason") };
  if (out) say("oos", { asset: alert.asset, owner: said.get("owner") || "", ...body });
  else say("shelve", { alert_id: alert.id, ...body });
}

const KINDS = ["calibration", "verification", "function_test", "repair", "replacement", "cleaning", "planned_stop"];

export async function checkInForm(asset) {
  const scopes = await ask(`/api/scopes/${encodeURIComponent(asset)}`).catch(() => []);
  const known = scopes.map((one, i) => [String(i), `${word("work", one.kind)} ${one.instrument}`]);
  const others = KINDS.map((kind) => [kind, t("without_scope", { work: word("work", kind) })]);
  const said = await dialog(t("check_in_title", { asset }), t("check_in_note"), [
    field(t("which_work"), select("work", [...known, ...others])),
    field(t("how_long"), select("minutes", MINUTES.slice(0, 5).map((n) => [n, minutesWord(n)]), 30)),
    field(t("reason"), input("reason", { required: true, maxlength: 500 })),
  ], t("check_in"));
  if (!said) return;
  const scope = scopes[Number(said.get("work"))];
  const work = scope ? { kind: scope.kind, instrument: scope.instrument } : { kind: said.get("work") };
  const valid_to = now() + Number(said.get("minutes")) * 60000;
  say("job", { action: "check_in", asset, ...work, valid_to, reason: said.get("reason") });
}

