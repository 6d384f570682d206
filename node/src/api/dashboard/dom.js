// Builds and updates elements. What peers and the node say only ever goes in as text.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    set(element, name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

// An HTML element. An attribute that begins with `on` is a listener.
export function el(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

// An element of a picture.
export function svg(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

// Sets an attribute, if it is not so already; one without a value goes.
export function set(element, name, value) {
  if (name.startsWith("on")) {
    element.addEventListener(name.slice(2), value);
  } else if (value === null || value === undefined || value === false) {
    element.removeAttribute(name);
  } else if (element.getAttribute(name) !== String(value)) {
    element.setAttribute(name, value);
  }
}

// Sets the text, if it is not so already: what a reader has marked stays marked.
export function write(element, text) {
  const wanted = String(text);
  if (element.textContent !== wanted) {
    element.textContent = wanted;
  }
}

const rows = new WeakMap();

// Makes the children of `parent` those of `items`, in order. An element stays as long as its key is there.
export function keyed(parent, items, keyOf, create, update) {
  const before = rows.get(parent) ?? new Map();
  const after = new Map();
  let at = parent.firstChild;
  for (const item of items) {
    const key = keyOf(item);
    if (after.has(key)) {
      continue;
    }
    const element = before.get(key) ?? create(item);
    update(element, item);
    after.set(key, element);
    if (element === at) {
      at = at.nextSibling;
    } else {
      parent.insertBefore(element, at);
    }
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
  rows.set(parent, after);
}

// The element with this id.
export function by(id) {
  return document.getElementById(id);
}
