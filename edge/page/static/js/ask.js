// Questions and commands to the server. A command says what became of it, in words.

import { $, h } from "./dom.js";
import { t } from "./strings.js";
import { view } from "./store.js";

export async function ask(path, parameters = {}) {
  const query = new URLSearchParams(parameters).toString();
  const answer = await fetch(query ? `${path}?${query}` : path, { headers: { accept: "application/json" } });
  if (answer.status === 401) location.assign("/sign-in"); // the session is over
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.error || answer.statusText);
  return body;
}

export async function say(command, body) {
  let answer;
  try {
    answer = await fetch(`/api/say/${command}`, {
      method: "POST",
      headers: { "content-type": "application/json", "x-andon-token": view.me.token || "" },
      body: JSON.stringify(body),
    });
    if (answer.status === 401) location.assign("/sign-in");
    const said = await answer.json();
    const done = answer.ok && said.done;
    tell(answer.ok ? said.detail || t(done ? "done" : "not_done") : said.error, !done);
    return { done, detail: said.detail || said.error };
  } catch {
    tell(t("server_away"), true);
    return { done: false, detail: t("server_away") };
  }
}

export function tell(text, bad = false) {
  const line = h("p", { class: bad ? "not" : "" }, text);
  const place = $("said");
  place.append(line);
  while (place.children.length > 3) place.firstChild.remove();
  setTimeout(() => line.remove(), bad ? 9000 : 5000);
}

export const may = (command) => view.me.may.includes(command);
