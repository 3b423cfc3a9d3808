// The headline of the shift, and the shift as spikes: amber rang, grey was kept quiet by recorded work.

import { $, fill, h } from "./dom.js";
import { many, t } from "./strings.js";
import { all, now, onChange, rows, some, touch, view } from "./store.js";
import { clock, time } from "./times.js";

const BASE = 18; // of the axis, px
const canvas = h("canvas", { role: "img", tabindex: "0" });
const tip = h("div", { class: "tip", role: "status", hidden: true });
const title = h("h1", { id: "headline" });
const under = h("div", { class: "under" });
let spikes = [];
let places = [];
let reached = ""; // by the keys: id and count of a spike

export function makeShift(select) {
  const flip = h("input", { type: "checkbox", role: "switch", id: "blindfold" });
  flip.addEventListener("change", () => {
    view.withoutKnowledge = flip.checked;
    document.body.classList.toggle("blindfold", flip.checked);
    touch("view", "alert/");
  });
  fill(
    $("shift"),
    h("div", {}, title, under),
    h("div", {},
      h("div", { class: "ribbon" }, canvas, tip),
      h("div", { class: "legend" },
        h("span", {}, h("i", { class: "rang" }), t("legend_rang")),
        h("span", {}, h("i"), t("legend_quiet")),
        h("span", { class: "room" }),
        h("label", { class: "switch" }, flip, t("without_knowledge")))),
  );
  canvas.addEventListener("mousemove", (event) => hover(nearest(event)));
  canvas.addEventListener("mouseleave", () => hover(null));
  canvas.addEventListener("click", (event) => { const hit = nearest(event); if (hit) select(hit.spike.asset, hit.spike.id); });
  canvas.addEventListener("keydown", (event) => keys(event, select));
  canvas.addEventListener("blur", () => hover(null));
  new ResizeObserver(draw).observe(canvas);
  window.addEventListener("theme", draw);
  onChange((changes) => {
    if (some(changes, "shift", "view")) headline();
    if (some(changes, "spike/", "shift", "view", "page")) { spikes = all("spike/"); draw(); }
  });
}

function headline() {
  const shift = rows.get("shift");
  if (!shift) { fill(title, t("shift_begins")); fill(under); return; }
  const without = h("b", { id: "n-without" }, many("alerts", shift.without));
  const withKnowledge = h("b", { id: "n-with" }, String(shift.with));
  if (view.withoutKnowledge) {
    fill(title, without, " ", t("headline_blind"));
    fill(under, t("blind_note"));
    return;
  }
  const quieted = shift.without - shift.with;
  fill(title, `${t("this_shift")} `, h("span", { class: "grey" }, without, " ", t("without_records")), ", ", withKnowledge, " ", t("with"), ".");
  fill(under, h("span", {}, quieted ? many("kept_quiet", quieted) : t("kept_quiet_none")), h("span", {}, t("since")," ", time(shift.begin_ms, now())));
}

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function draw() {
  const shift = rows.get("shift"), ratio = devicePixelRatio || 1;
  const width = canvas.clientWidth, height = canvas.clientHeight;
  if (!width) return;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  pen.clearRect(0, 0, width, height);
  if (!shift) return;
  const span = Math.max(1, shift.end_ms - shift.begin_ms);
  const x = (ms) => 4 + ((ms - shift.begin_ms) / span) * (width - 8);
  const foot = height - BASE;
  axis(pen, shift, x, foot, width);
  const line = colour("--line"), grey = colour("--calm"), amber = colour("--high-mark"), red = colour("--urgent");
  pen.fillStyle = line;
  pen.fillRect(0, foot, width, 1);
  const here = Math.min(Math.max(x(now()), 0), width);
  pen.fillStyle = colour("--accent");
  pen.fillRect(here - 0.5, 4, 1, foot - 4);
  places = [];
  for (const spike of spikes) {
    const quiet = spike.quiet && !spike.rang && !view.withoutKnowledge;
    if (!spike.rang && !spike.quiet) continue;
    const left = x(spike.begin_ms);
    const right = Math.max(left + 4, Math.min(x(spike.end_ms ?? now()), width - 2));
    const over = spike.threshold ? (spike.score ?? 0) / spike.threshold : 1;
    const tall = Math.max(14, Math.min(foot - 6, 12 + 22 * Math.log2(1 + Math.max(over, 0.4))));
    pen.fillStyle = quiet ? grey : spike.severity_num >= 800 ? red : amber;
    pen.globalAlpha = 0.28;
    pen.fillRect(left, foot - 7, right - left, 7);
    pen.globalAlpha = 1;
    pen.beginPath();
    pen.roundRect(left, foot - tall, 4, tall, [2, 2, 0, 0]);
    pen.fill();
    places.push({ spike, left, right, top: foot - tall, quiet });
  }
  const shift_words = t("ribbon_label", { quiet: places.filter((one) => one.quiet).length, rang: places.filter((one) => !one.quiet).length });
  if (canvas.getAttribute("aria-label") !== shift_words) canvas.setAttribute("aria-label", shift_words);
}

function axis(pen, shift, x, foot, width) {
  pen.fillStyle = colour("--ink-faint");
  pen.font = "11px system-ui, sans-serif";
  pen.textAlign = "center";
  const hours = Math.max(1, Math.round((shift.end_ms - shift.begin_ms) / 3600000));
  const step = Math.ceil(hours / Math.max(2, Math.floor(width / 80))) * 3600000;
  for (let ms = shift.begin_ms; ms <= shift.end_ms; ms += step) {
    const at = x(ms);
    pen.fillRect(at, foot, 1, 4);
    pen.fillText(clock(ms), Math.min(Math.max(at, 16), width - 16), foot + 15);
  }
}

function nearest(event) {
  const at = event.offsetX;
  let best = null;
  for (const place of places) {
    const far = at < place.left ? place.left - at : Math.max(0, at - place.left - 4);
    if (far < 14 && (!best || far < best.far)) best = { ...place, far };
  }
  return best;
}

// The arrow keys go from spike to spike in their order; Enter opens the one that is named.
function keys(event, select) {
  const line = [...places].sort((a, b) => a.spike.begin_ms - b.spike.begin_ms);
  const nameOf = (place) => `${place.spike.id}#${place.spike.count}`;
  const at = line.findIndex((place) => nameOf(place) === reached);
  if (event.key === "Enter" && at >= 0) { select(line[at].spike.asset, line[at].spike.id); return; }
  const to = { ArrowRight: at + 1, ArrowLeft: at < 0 ? line.length - 1 : at - 1, Home: 0, End: line.length - 1 }[event.key];
  if (to === undefined || !line.length) return;
  event.preventDefault();
  const hit = line[Math.min(Math.max(to, 0), line.length - 1)];
  reached = nameOf(hit);
  hover(hit);
}

function hover(hit) {
  tip.hidden = !hit;
  if (!hit) return;
  fill(tip, h("b", {}, hit.spike.asset), " · ", time(hit.spike.begin_ms, now()), hit.quiet ? ` · ${t("quiet_by", { job: hit.spike.job_id })}` : "", h("br"), hit.spike.message);
  const wide = canvas.clientWidth;
  if (hit.left > wide / 2) Object.assign(tip.style, { left: "auto", right: `${wide - hit.left + 8}px` });
  else Object.assign(tip.style, { right: "auto", left: `${hit.left + 12}px` });
}
