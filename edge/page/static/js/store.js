// What the server says, by key; and where the page looks: the selection and its switches.

export const rows = new Map();
export const view = { selected: "", withoutKnowledge: false, audience: "", live: false, me: { user: "", role: "", may: [], token: "" } };
const listeners = new Set();
let changed = new Set();
let due = false;

// Listeners get the set of keys that changed; at most once a frame.
export function onChange(listener) {
  listeners.add(listener);
}

export function touch(...keys) {
  for (const key of keys) changed.add(key);
  if (due) return;
  due = true;
  const run = () => {
    if (!due) return;
    due = false;
    const told = changed;
    changed = new Set();
    for (const listener of listeners) listener(told);
  };
  requestAnimationFrame(run);
  setTimeout(run, 120); // in a tab that is not seen there are no frames
}

function take(body, whole) {
  if (whole) {
    for (const key of rows.keys()) if (!(key in body.rows)) { rows.delete(key); touch(key); }
  }
  for (const [key, row] of Object.entries(body.rows)) { rows.set(key, row); touch(key); }
  for (const key of body.gone) { rows.delete(key); touch(key); }
}

// Refused: by a server that is going, or as the session is over.
async function refused() {
  const answer = await fetch("/api/me").catch(() => null);
  if (answer?.status === 401) location.assign("/sign-in");
}

export function listen() {
  let source = null;
  const open = () => {
    source = new EventSource("/stream");
    source.addEventListener("all", (event) => take(JSON.parse(event.data), true));
    source.addEventListener("some", (event) => take(JSON.parse(event.data), false));
    source.onopen = () => { view.live = true; touch("live"); };
    source.onerror = () => {
      view.live = false;
      touch("live");
      if (source.readyState === EventSource.CLOSED) { source.close(); setTimeout(open, 2000); refused(); } // ask again
    };
  };
  open();
}

export const all = (prefix) => [...rows].filter(([key]) => key.startsWith(prefix)).map(([, row]) => row);
export const some = (changes, ...prefixes) => [...changes].some((key) => prefixes.some((prefix) => key.startsWith(prefix)));
export const now = () => rows.get("page")?.now_ms || Date.now();
export const keyOf = (alert) => `${alert.asset}/${alert.id}`;
