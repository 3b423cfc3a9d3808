// The page: what rings, what is kept quiet and why. Everything comes from one stream of changes.

import { ask } from "./ask.js";
import { makeAlert } from "./alert.js";
import { listed, makeAlerts } from "./alerts.js";
import { makeQuiet, keepAssets } from "./work.js";
import { makeSearch } from "./search.js";
import { makeShift } from "./shift.js";
import { makeStrip } from "./strip.js";
import { loadStrings, t } from "./strings.js";
import { all, keyOf, listen, onChange, some, touch, view } from "./store.js";

function select(asset, id) {
  view.selected = `${asset}/${id}`;
  view.chosen = true;
  history.replaceState(null, "", `#${encodeURIComponent(view.selected)}`);
  touch("view");
}

// Until somebody chooses, the page shows the first alert, else the newest that is kept quiet.
function follow() {
  if (view.chosen) return;
  const first = listed()[0] || all("alert/").filter((row) => row.suppressed).sort((a, b) => b.begin_ms - a.begin_ms)[0];
  const key = first ? keyOf(first) : "";
  if (key === view.selected) return;
  view.selected = key;
  touch("view");
}

// The alert that the address names; none where somebody has cut the address short.
function linked() {
  try { return decodeURIComponent(location.hash.slice(1)); } catch { return ""; }
}

async function begin() {
  await loadStrings();
  view.select = select;
  view.selected = linked();
  view.chosen = view.selected !== "";
  for (const node of document.querySelectorAll("[data-t]")) node.textContent = t(node.dataset.t);
  makeStrip();
  makeShift(select);
  makeAlerts(select);
  makeQuiet();
  makeAlert();
  makeSearch();
  view.me = await ask("/api/me").catch(() => view.me);
  onChange((changes) => {
    if (some(changes, "alert/")) follow();
    if (changes.has("page")) keepAssets();
    document.documentElement.dataset.ready = "1";
  });
  listen();
}

begin();
