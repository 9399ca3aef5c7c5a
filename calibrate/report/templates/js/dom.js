// Elements from words. Text is only ever set as text: nothing that others wrote becomes markup.
const SVG = "http://www.w3.org/2000/svg";

function element(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

function drawn(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

// Text that others wrote: set apart from the direction of its surroundings.
function foreign(text, attributes = {}) {
  return element("bdi", attributes, text);
}

// Sets text where it differs, so that nothing is laid out again for nothing.
function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function badge(kind, text) {
  return element("span", { class: `badge ${kind}` }, text);
}
