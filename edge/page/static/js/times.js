// Times are plant times: shown in local time, with UTC on hover.

import { h } from "./dom.js";
import { language, t } from "./strings.js";

const DAY_MS = 86400000;

const formats = new Map();
function format(options) {
  const key = JSON.stringify(options);
  if (!formats.has(key)) formats.set(key, new Intl.DateTimeFormat(language, options));
  return formats.get(key);
}

export function clock(ms, { seconds = false } = {}) {
  return format({ hour: "2-digit", minute: "2-digit", second: seconds ? "2-digit" : undefined, hourCycle: "h23" }).format(ms);
}

export function utc(ms) {
  return `${new Date(ms).toISOString().replace("T", " ").slice(0, 19)} UTC`;
}

// A time as an element; the day is named where it is not the day of `now`.
export function time(ms, now, options = {}) {
  if (ms === null || ms === undefined) return h("span", {}, "–");
  const far = now && Math.abs(now - ms) > DAY_MS / 2 && new Date(now).toDateString() !== new Date(ms).toDateString();
  const day = far ? `${format({ day: "2-digit", month: "short" }).format(ms)} ` : "";
  return h("time", { datetime: new Date(ms).toISOString(), title: utc(ms) }, day + clock(ms, options));
}

export function lasting(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 90) return t("for_s", { n: s });
  const min = Math.round(s / 60);
  if (min < 90) return t("for_min", { n: min });
  const hours = s / 3600;
  return hours < 36 ? t("for_h", { n: hours.toFixed(1) }) : t("for_d", { n: Math.round(hours / 24) });
}
