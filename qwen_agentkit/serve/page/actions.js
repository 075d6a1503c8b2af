// What a reader does with a turn: copy its answer, change its question, or ask it again.

import { find, make, say, word } from "./view.js";

/** The buttons of a turn. `answer` is null where there is none; `again` asks a question. */
export function makeActions(question, answer, again, ...more) {
  const button = (label, work) => make("button", { type: "button", class: "link", onclick: work }, word(label));
  const copying = answer && button("copy", () => copy(readable(answer)));
  return make("div", { class: "row actions" }, copying, button("edit", () => edit(question)), button("again", () => again(question)), ...more);
}

/** Put a question into the field, to be changed. */
export function edit(question) {
  const field = find("question");
  field.value = question;
  field.focus();
  field.setSelectionRange(question.length, question.length);
}

/** An answer with the list of its sources, as text; `bullet` begins each of its lines. */
export function readable(answer, bullet = "") {
  const cited = new Set(answer.sentences.flatMap((sentence) => sentence.sources.map((source) => source.marker)));
  const sources = [...cited].sort((one, other) => one - other).map((number) => {
    const { source, page } = answer.passages[number - 1];
    return `${bullet}[${number}] ${source}${page === null ? "" : `, ${word("page", { number: page })}`}`;
  });
  return [answer.answer, sources.join("\n")].filter(Boolean).join("\n\n");
}

async function copy(text) {
  // Browsers have a clipboard only for this machine and for HTTPS.
  if (navigator.clipboard) await navigator.clipboard.writeText(text);
  else copyBySelection(text);
  say(word("copied"));
}

function copyBySelection(text) {
  const opener = document.activeElement;
  const field = make("textarea", { class: "hidden", "aria-hidden": "true" });
  field.value = text;
  document.body.append(field);
  field.select();
  document.execCommand("copy");
  field.remove();
  opener?.focus();
}
