// Keeps every element with data-live="address" as the server would show it now.
// data-every is the pause in milliseconds; a hidden page asks for nothing.
"use strict";

for (const element of document.querySelectorAll("[data-live]")) follow(element);

async function follow(element) {
  for (;;) {
    await pause(Number(element.dataset.every));
    if (document.hidden) await shown();
    const fresh = await load(element.dataset.live);
    if (fresh) merge(element, fresh);
  }
}

function pause(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

function shown() {
  return new Promise((resolve) =>
    document.addEventListener("visibilitychange", resolve, { once: true }),
  );
}

async function load(address) {
  try {
    const response = await fetch(address, { cache: "no-store" });
    if (!response.ok) return null;
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    return page.body.firstElementChild;
  } catch {
    return null; // the server restarts: the next round finds it again
  }
}

// Touches only what has changed, so that pictures do not flicker and focus stays:
// children are told apart by their ids, and those without one are replaced.
function merge(current, fresh) {
  if (current.isEqualNode(fresh)) return;
  copyAttributes(current, fresh);
  const kept = new Map();
  for (const child of [...current.childNodes]) {
    if (child.id && fresh.querySelector(`:scope > #${child.id}`)) kept.set(child.id, child);
    else child.remove();
  }
  let next = current.firstChild;
  for (const child of [...fresh.childNodes]) {
    const old = kept.get(child.id);
    if (!old) {
      current.insertBefore(child, next);
      continue;
    }
    if (old === next) next = old.nextSibling;
    else current.insertBefore(old, next);
    merge(old, child);
  }
}

function copyAttributes(current, fresh) {
  for (const { name } of [...current.attributes]) {
    if (!fresh.hasAttribute(name)) current.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) current.setAttribute(name, value);
}
