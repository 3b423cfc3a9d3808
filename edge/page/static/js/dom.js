// Elements from data. Text becomes text nodes, never markup: nothing on this page is parsed as HTML.

export function h(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "class") made.className = value;
    else if (name === "value") made.value = value;
    else if (name === "at") Object.assign(made.style, value); // through CSSOM: the policy bars markup
    else made.setAttribute(name, value === true ? "" : value);
  }
  add(made, children);
  return made;
}

export function add(to, children) {
  for (const child of children.flat(4)) {
    if (child === undefined || child === null || child === false || child === "") continue;
    to.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return to;
}

export function fill(to, ...children) {
  to.replaceChildren();
  return add(to, children);
}

export const $ = (id) => document.getElementById(id);
