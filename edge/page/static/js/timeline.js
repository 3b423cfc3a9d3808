// Work on an asset on a line of time: what is planned, how far it may reach, which events fell into it.

import { fill, h } from "./dom.js";
import { t, word } from "./strings.js";
import { all, now, onChange, rows, some, view } from "./store.js";
import { clock, time, utc } from "./times.js";

const HOUR_MS = 3600000;
const FAR_MS = 24 * HOUR_MS; // before and after now; the list below has all
const LANES_MAX = 8;
const whole = h("div", { class: "timeline" });
let asset = "", drawn = "";

export function makeTimeline(of) {
  if (of !== asset) { asset = of; drawn = ""; }
  draw();
  return whole;
}

onChange((changes) => { if (asset && whole.isConnected && some(changes, `job/${asset}`, "spike/", "page")) draw(); });

// From when to when it is, or may be at most where it was extended.
function reach(job) {
  const end = job.valid_to_ms ?? job.fuse_ms ?? job.valid_from_ms;
  return { begin: job.valid_from_ms, end, last: job.state === "open" ? Math.max(end, job.fuse_ms ?? end) : end };
}

function shownJobs(at) {
  const told = rows.get(`job/${asset}`);
  if (!told) return [];
  return [...told.jobs, ...told.proposals]
    .filter((job) => job.valid_from_ms !== null).map((job) => ({ job, ...reach(job) }))
    .filter((one) => one.last >= at - FAR_MS && one.begin <= at + FAR_MS)
    .sort((a, b) => a.begin - b.begin);
}

function draw() {
  const at = now();
  const jobs = shownJobs(at), events = all("spike/").filter((one) => one.asset === asset && (one.rang || one.quiet));
  const state = JSON.stringify([asset, Math.floor(at / 60000), jobs.map((one) => [one.job.job_id, one.job.state, one.begin, one.last]), events.map((one) => [one.id, one.count, one.rang, one.end_ms])]);
  if (state === drawn) return; // what has the focus keeps it
  drawn = state;
  whole.hidden = !jobs.length;
  if (!jobs.length) { fill(whole); return; }
  const low = Math.max(at - FAR_MS, Math.min(at - HOUR_MS, ...jobs.map((one) => one.begin)));
  const high = Math.min(at + FAR_MS, Math.max(at + HOUR_MS, ...jobs.map((one) => one.last)));
  const x = (ms) => `${(((Math.min(Math.max(ms, low), high) - low) / (high - low)) * 100).toFixed(2)}%`;
  const wide = (from, to) => ({ left: x(from), right: `calc(100% - ${x(to)})` });
  const left = jobs.length - LANES_MAX;
  fill(whole,
    h("div", { class: "lanes" },
      events.length ? h("div", { class: "lane events" }, events.map((one) => mark(one, x))) : "",
      jobs.slice(-LANES_MAX).map((one) => h("div", { class: "lane" }, bar(one, wide))),
      h("div", { class: "here", at: { left: x(at) }, title: `${t("now")}: ${utc(at)}` })),
    h("div", { class: "ends" }, time(low, at), time(high, at)),
    left > 0 ? h("p", { class: "none" }, t("and_more", { n: left })) : "");
}

function bar({ job, begin, end, last }, wide) {
  const name = `${word("work", job.kind)}${job.instrument ? ` · ${job.instrument}` : ""}`;
  const words = `${name}, ${word("job", job.state)}, ${clock(begin)} – ${clock(end)}${last > end ? `, ${t("at_most_until", { time: clock(last) })}` : ""}`;
  return [
    last > end ? h("div", { class: "reach", at: wide(end, last) }) : "",
    h("button", { type: "button", class: `job ${job.state}`, "data-job": job.job_id, "aria-label": words, title: `${words} (${utc(begin)} – ${utc(last)})`, at: wide(begin, end), onclick: () => point(job.job_id) }, h("span", {}, name))];
}

// Its row in the list below, with what was written of it.
function point(id) {
  const row = [...document.querySelectorAll("#alert .works li[data-work]")].find((one) => one.dataset.work === id);
  if (!row) return;
  row.scrollIntoView({ block: "nearest" });
  row.tabIndex = -1;
  row.focus();
}

function mark(one, x) {
  const quiet = one.quiet && !one.rang;
  const words = `${clock(one.begin_ms)} ${quiet ? t("quiet_by", { job: one.job_id }) : t("legend_rang")}: ${one.message}`;
  return h("button", { type: "button", class: `event${quiet ? " quiet" : ""}`, "aria-label": words, title: `${words} (${utc(one.begin_ms)})`, at: { left: x(one.begin_ms) }, onclick: () => view.select(one.asset, one.id) });
}
