// The status strip: broker, gateway, model, knowledge, rate, lag, and what is blind; and our own troubles.

import { $, fill, h } from "./dom.js";
import { LANGUAGES, language, number, setLanguage, t } from "./strings.js";
import { now, onChange, rows, some, view } from "./store.js";
import { lasting, time } from "./times.js";

const THEME = "andon.theme";
const THEMES = ["system", "light", "dark"];
const SILENT_MS = 40000; // four reports of health at the usual pace
let healthAt = 0;
const figures = h("dl");
const clockPlace = h("span", { class: "soft" });

function applyTheme(name) {
  if (name === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
  window.dispatchEvent(new Event("theme"));
}

function choice(label, options, chosen, picked) {
  const made = h("select", { "aria-label": label, title: label }, options.map(([value, text]) => h("option", { value }, text)));
  made.value = chosen;
  made.addEventListener("change", () => picked(made.value));
  return made;
}

export function makeStrip() {
  const theme = localStorage.getItem(THEME) || "system";
  applyTheme(theme);
  fill(
    $("strip"),
    h("span", { class: "brand" }, h("img", { src: "/static/icon.svg", alt: "" }), h("span", { id: "site" }, "Andon")),
    figures,
    h("span", { class: "room" }),
    clockPlace,
    h("a", { href: `/handover?language=${language}` }, t("handover")),
    h("a", { href: `/report/month?language=${language}` }, t("month")),
    h("button", { class: "plain", type: "button", id: "open-search", title: "/" }, t("search")),
    choice(t("theme"), THEMES.map((name) => [name, t(`theme_${name}`)]), theme, (name) => { localStorage.setItem(THEME, name); applyTheme(name); }),
    choice(t("language"), Object.entries(LANGUAGES), language, setLanguage),
    h("a", { id: "who", title: t("change_password") }),
    h("button", { class: "plain", type: "button", id: "sign-out", hidden: true, onclick: signOut }, t("sign_out")),
  );
  onChange((changes) => { if (some(changes, "page", "health", "status", "system", "live")) draw(changes); });
  setInterval(() => draw(new Set()), 2000);
}

function signOut() {
  const form = h("form", { method: "post", action: "/sign-out", hidden: true }, h("input", { name: "token", value: view.me.token }));
  document.body.append(form);
  form.submit();
}

function draw(changes) {
  const page = rows.get("page"), health = rows.get("health"), status = rows.get("status");
  if (changes.has("health")) healthAt = performance.now();
  const silent = !health || performance.now() - healthAt > SILENT_MS;
  $("site").textContent = page ? page.site : "Andon";
  document.title = page ? `${page.site} · Andon` : "Andon";
  const broker = !view.live ? ["bad", t("unknown")] : page?.connected ? ["", t("connected")] : ["bad", t("away")];
  const gateway = !view.live || !page?.connected ? ["bad", t("unknown")]
    : status?.online ? (silent ? ["warn", t("silent")] : ["", t("running")]) : ["bad", t("stopped")];
  const known = page?.knowledge_ms;
  const blind = health?.blind_total || 0;
  const told = [
    ["broker", ...broker, page?.cause],
    ["gateway", ...gateway, status?.version],
    ["model", "", status?.bundle ? status.bundle.slice(0, 8) : "–", status?.bundle],
    ["knowledge", known ? "" : "warn", known ? t("old", { age: lasting(Math.max(0, now() - known)) }) : t("none_there"), page ? t("documents", { n: page.documents }) : ""],
    ["rate", "", health ? t("per_s", { n: number(health.messages_per_s, 3) }) : "–"],
    ["lag", health?.lag_ms > 5000 ? "warn" : "", health && health.lag_ms !== null ? `${number(health.lag_ms, 3)} ms` : "–"],
    ["blind", blind ? "warn" : "", String(blind), health?.blind?.join("\n")],
  ];
  if (health?.in_shadow) told.push(["in_shadow", "", String(health.in_shadow)]);
  if (health?.learning) told.push(["learning", "", String(health.learning)]);
  if (health?.drifting) told.push(["drifting", "", String(health.drifting)]);
  fill(figures, told.map(([name, tone, text, title]) => h("div", { title }, h("dt", {}, t(`strip_${name}`)), h("dd", { class: tone, "data-of": name }, text))));
  fill(clockPlace, page?.now_ms ? time(page.now_ms, page.now_ms, { seconds: true }) : "");
  $("who").textContent = view.me.user;
  if (view.me.user && !view.me.open) $("who").href = "/password";
  $("sign-out").hidden = !view.me.user || view.me.open;
  trouble(page, health, rows.get("system"));
}

function trouble(page, health, system) {
  const said = [];
  if (!view.live) said.push(t("no_server"));
  else if (page && !page.connected) said.push(t("no_broker", { cause: page.cause || "" }));
  if (health && !health.durable) said.push(t("not_durable", { why: health.not_durable }));
  if (system) said.push(system.message);
  if (page?.refused?.length) said.push(t("refused_topics", { topics: page.refused.join(", ") }));
  $("trouble").hidden = said.length === 0;
  if ($("trouble").textContent !== said.join(" · ")) $("trouble").textContent = said.join(" · ");
}
