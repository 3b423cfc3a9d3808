// Score and threshold of an asset over time, with events as bands: amber rang, grey was kept quiet.

import { fill, h } from "./dom.js";
import { ask } from "./ask.js";
import { t } from "./strings.js";
import { all, view } from "./store.js";
import { clock } from "./times.js";

const POLL_MS = 1000;
const KEEP = 1500;
const SPAN_S = 3600; // shown at first: the newest hour of plant time
const place = h("div", { class: "trend" });
const note = h("div", { class: "trend-note" });
const since = h("span", { class: "since" }); // scores before the page began to listen are nobody's
const whole = h("div", {}, place, note);
let asset = "", plot = null, points = [[], [], []], timer = 0, asking = 0;

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export function makeTrend(of, fresh) {
  if (fresh || of !== asset) {
    asset = of;
    points = [[], [], []];
    clearTimeout(timer);
    poll(of, (asking += 1)); // an answer to an older one is nobody's
  }
  requestAnimationFrame(draw);
  return whole;
}

export function moveTrend(of) {
  if (of === asset) draw();
}

async function poll(of, mine) {
  const last = points[0].at(-1) ?? 0;
  try {
    const got = await ask(`/api/trend/${encodeURIComponent(of)}`, { since: Math.round(last * 1000) });
    if (mine !== asking) return;
    if (got.t_ms.length) {
      points[0].push(...got.t_ms.map((ms) => ms / 1000));
      points[1].push(...got.score);
      points[2].push(...got.threshold);
      for (const line of points) line.splice(0, line.length - KEEP);
      draw();
    }
  } catch { /* the strip says that the server is away; the next look finds what was missed */ }
  if (mine === asking) timer = setTimeout(() => poll(of, mine), POLL_MS);
}

function bands(u) {
  const pen = u.ctx;
  const [low, high] = [u.scales.x.min, u.scales.x.max];
  const grey = colour("--calm"), amber = colour("--high-mark");
  pen.save();
  pen.beginPath();
  pen.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height);
  pen.clip();
  for (const spike of all("spike/")) {
    if (spike.asset !== asset || !(spike.rang || spike.quiet)) continue;
    const begin = spike.begin_ms / 1000, end = (spike.end_ms ?? high * 1000) / 1000;
    if (end < low || begin > high) continue;
    const quiet = spike.quiet && !spike.rang && !view.withoutKnowledge;
    const x0 = u.valToPos(begin, "x", true), x1 = Math.max(x0 + 3, u.valToPos(end, "x", true));
    pen.fillStyle = quiet ? grey : amber;
    pen.globalAlpha = 0.22;
    pen.fillRect(x0, u.bbox.top, x1 - x0, u.bbox.height);
    pen.globalAlpha = 1;
    pen.fillRect(x0, u.bbox.top, 2 * devicePixelRatio, u.bbox.height);
  }
  pen.restore();
}

function make(width) {
  const ink = colour("--ink-faint"), line = colour("--line-soft");
  const axis = { stroke: ink, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 }, font: "11px system-ui, sans-serif" };
  return new window.uPlot({
    width, height: 186, padding: [8, 8, 0, 0], cursor: { y: false }, legend: { show: false },
    scales: { x: { time: true, range: (u, min, max) => [Math.max(min, max - SPAN_S), Math.max(max, min + 60)] }, y: { range: (u, min, max) => [0, Math.max(max * 1.12, 4)] } },
    axes: [{ ...axis, values: (u, ticks) => ticks.map((s) => clock(s * 1000)) }, { ...axis, size: 38 }],
    series: [{}, { label: t("score"), stroke: colour("--ink"), width: 1.5, points: { show: false } }, { label: t("threshold"), stroke: colour("--urgent"), width: 1, dash: [6, 4], points: { show: false } }],
    hooks: { drawClear: [bands] },
  }, points, place);
}

function draw() {
  if (!place.isConnected) return;
  const width = place.clientWidth;
  if (points[0].length < 2) {
    plot?.destroy();
    plot = null;
    fill(note, t("trend_waits"));
    return;
  }
  if (!plot || plot.width !== width || plot.made !== document.documentElement.dataset.theme) {
    plot?.destroy();
    plot = make(width);
    plot.made = document.documentElement.dataset.theme;
    fill(note, h("span", {}, `— ${t("score")}`), h("span", {}, `- - ${t("threshold")}`), h("span", {}, `▌ ${t("trend_bands")}`), since);
  } else plot.setData(points);
  const [first, last] = [points[0][0], points[0].at(-1)];
  since.textContent = last - first < SPAN_S ? t("trend_since", { time: clock(first * 1000) }) : "";
}

window.addEventListener("theme", () => { plot?.destroy(); plot = null; draw(); });
window.addEventListener("resize", () => draw());
