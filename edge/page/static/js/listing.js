// A list of which only the rows in view are in the page: a thousand cost what twenty do.

import { h } from "./dom.js";

const SPARE = 6; // rows beyond the edges

export class Listing {
  constructor({ height, make, label, empty }) {
    this.height = height;
    this.make = make;
    this.items = [];
    this.shown = new Map();
    this.space = h("div", { class: "space" });
    this.none = h("div", { class: "empty" }, empty);
    this.node = h("div", { class: "rows", role: "listbox", tabindex: "0", "aria-label": label }, this.space, this.none);
    this.node.addEventListener("scroll", () => this.draw(), { passive: true });
    new ResizeObserver(() => this.draw()).observe(this.node);
  }

  // items: [{key, version, ...}]; a row is made anew only where its version changed.
  show(items) {
    this.items = items;
    this.space.style.height = `${items.length * this.height}px`;
    this.none.hidden = items.length > 0;
    this.draw();
  }

  visible() {
    const first = Math.max(0, Math.floor(this.node.scrollTop / this.height) - SPARE);
    const last = Math.min(this.items.length, Math.ceil((this.node.scrollTop + this.node.clientHeight) / this.height) + SPARE);
    return [first, last];
  }

  draw() {
    const [first, last] = this.visible();
    const kept = new Set();
    for (let i = first; i < last; i += 1) {
      const item = this.items[i];
      kept.add(item.key);
      let row = this.shown.get(item.key);
      if (!row || row.version !== item.version) {
        const node = this.make(item);
        node.classList.add("row");
        node.setAttribute("role", "option");
        if (row) row.node.replaceWith(node);
        else this.space.append(node);
        row = { node, version: item.version };
        this.shown.set(item.key, row);
      }
      row.node.style.top = `${i * this.height}px`;
      row.node.setAttribute("aria-posinset", i + 1);
      row.node.setAttribute("aria-setsize", this.items.length);
    }
    for (const [key, row] of this.shown) {
      if (!kept.has(key)) { row.node.remove(); this.shown.delete(key); }
    }
  }

  reveal(key) {
    const place = this.items.findIndex((item) => item.key === key);
    if (place < 0) return;
    const top = place * this.height;
    if (top < this.node.scrollTop) this.node.scrollTop = top;
    else if (top + this.height > this.node.scrollTop + this.node.clientHeight) this.node.scrollTop = top + this.height - this.node.clientHeight;
  }
}
