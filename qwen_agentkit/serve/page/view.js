// Elements and words. Every text becomes a text node, so that markup in a document is shown and never run.

export const find = (id) => document.getElementById(id);

/** Make an element. Properties that begin with "on" are listeners; null and false are left out. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

let words = {};

/** A word of the interface, with its {gaps} filled. */
export function word(key, gaps = {}) {
  const text = words[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (_, name) => String(gaps[name] ?? ""));
}

/** Speak a language: read its words and mirror the page. */
export async function speak(language) {
  const answer = await fetch(`/page/words/${language}.json`);
  words = await answer.json();
  document.documentElement.lang = language;
  document.documentElement.dir = words["direction"];
  for (const element of document.querySelectorAll("[data-word]")) element.textContent = word(element.dataset.word);
  for (const element of document.querySelectorAll("[data-label]")) element.setAttribute("aria-label", word(element.dataset.label));
  for (const element of document.querySelectorAll("[data-placeholder]")) element.placeholder = word(element.dataset.placeholder);
}

export function say(text) {
  find("status").textContent = text;
}

/** Put a text into an element, with the first place of a quote marked. White space may differ. */
export function markQuote(element, text, quote) {
  const wanted = (quote ?? "").trim().split(/\s+/).filter(Boolean);
  const pattern = wanted.map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("\\s+");
  const found = pattern ? new RegExp(pattern, "u").exec(text) : null;
  if (!found) {
    element.append(text);
    return;
  }
  const mark = make("mark", {}, found[0]);
  element.append(text.slice(0, found.index), mark, text.slice(found.index + found[0].length));
}

/** Show something in the panel beside the answer. */
export function openPanel(title, ...children) {
  const panel = find("panel");
  if (panel.hidden) panel.opener = document.activeElement;
  find("panel-title").textContent = title;
  find("panel-body").replaceChildren(...children);
  panel.hidden = false;
  panel.scrollTop = 0;
  panel.focus();
}

export function closePanel() {
  const panel = find("panel");
  if (panel.hidden) return;
  panel.hidden = true;
  panel.opener?.focus();
}
