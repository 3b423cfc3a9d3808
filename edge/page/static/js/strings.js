// Words in the reader's language: one file of strings a language, English where one is missing.

const KEY = "andon.language";
export const LANGUAGES = { en: "English", de: "Deutsch" };
let strings = {};
let english = {};
export let language = "en";

async function read(name) {
  const answer = await fetch(`/static/strings/${name}.json`);
  return answer.ok ? answer.json() : {};
}

export async function loadStrings() {
  const wished = localStorage.getItem(KEY) || navigator.language.slice(0, 2);
  language = wished in LANGUAGES ? wished : "en";
  english = await read("en");
  strings = language === "en" ? english : await read(language);
  document.documentElement.lang = language;
}

export function setLanguage(name) {
  localStorage.setItem(KEY, name);
  location.reload();
}

export function t(key, values = {}) {
  const text = strings[key] ?? english[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (all, name) => (name in values ? String(values[name]) : all));
}

// One form where the number is one, and another for all else: "alerts_one", "alerts_many".
export const many = (key, n, values = {}) => t(`${key}_${n === 1 ? "one" : "many"}`, { n, ...values });

// Words of the wire, as states and classes, that have a translation; else the word itself.
export function word(kind, name) {
  const key = `${kind}.${name}`;
  return strings[key] ?? english[key] ?? String(name).replaceAll("_", " ");
}

export function number(value, digits = 4) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  return new Intl.NumberFormat(language, { maximumSignificantDigits: digits, useGrouping: Math.abs(value) >= 10000 }).format(value);
}
