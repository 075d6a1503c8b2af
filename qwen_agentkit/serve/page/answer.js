// One turn of a conversation: the question, the answer as it is written, and the checked answer.

import { request } from "./net.js";
import { make, markQuote, openPanel, word } from "./view.js";

const MARKER = /\[(\d{1,3})\]/g;

export function makeTurn(question) {
  return make("article", { class: "turn" }, make("div", { class: "asked", dir: "auto" }, question));
}

/** The part of a turn that is still written. */
export class Draft {
  constructor(turn) {
    this.thoughts = make("div", { dir: "auto" });
    this.folded = make("details", { hidden: true }, make("summary", {}, word("thoughts")), this.thoughts);
    this.text = make("div", { class: "answer draft", dir: "auto" });
    this.element = make("div", {}, this.folded, this.text);
    turn.append(this.element);
  }

  think(text) {
    this.folded.hidden = false;
    this.thoughts.append(text);
  }

  write(text) {
    this.text.append(text);
  }

  restart() {
    this.text.replaceChildren();
  }
}

/** Show a checked answer in a turn. */
export function showAnswer(turn, answer) {
  if (answer.reasoning) {
    const thoughts = make("div", { dir: "auto" }, answer.reasoning);
    turn.append(make("details", {}, make("summary", {}, word("thoughts")), thoughts));
  }
  const text = make("div", { class: "answer", dir: "auto", lang: answer.language || null });
  // The server counts characters, JavaScript counts halves of some.
  const characters = Array.from(answer.answer);
  let done = 0;
  for (const sentence of answer.sentences) {
    text.append(characters.slice(done, sentence.start).join(""), makeSentence(answer, sentence, characters));
    done = sentence.end;
  }
  text.append(characters.slice(done).join(""));
  turn.append(text);
  if (answer.nearest.length) turn.append(make("p", { class: "quiet" }, word("nearest")), listPassages(answer.nearest));
  const cited = citedNumbers(answer);
  if (cited.length) turn.append(listSources(answer, cited));
}

/** The button that opens how an answer was made. */
export function makeTraceButton(answer) {
  return make("button", { type: "button", class: "link", onclick: () => showTrace(answer) }, word("trace"));
}

function makeSentence(answer, sentence, characters) {
  const bad = sentence.verdict === "unsupported" || sentence.verdict === "uncited";
  const element = make("span", { class: bad ? "unsupported" : null });
  const text = characters.slice(sentence.start, sentence.end).join("");
  let done = 0;
  for (const match of text.matchAll(MARKER)) {
    const passage = answer.passages[Number(match[1]) - 1];
    if (!passage) continue;
    element.append(text.slice(done, match.index), makeCitation(passage, Number(match[1]), sentence));
    done = match.index + match[0].length;
  }
  element.append(text.slice(done));
  if (bad) {
    const why = sentence.missing.length ? word("unsupported.missing", { what: sentence.missing.join(", ") }) : word(sentence.verdict);
    element.append(make("span", { class: "warn", title: why, role: "img", "aria-label": why }, " ⚠"));
  }
  return element;
}

function makeCitation(passage, number, sentence) {
  const quote = sentence.sources.find((source) => source.marker === number)?.quote;
  const label = word("citation", { number, source: passage.source });
  return make("button", { type: "button", class: "cite", "aria-label": label, title: passage.source, onclick: () => showPassage(passage, quote) }, String(number));
}

function citedNumbers(answer) {
  return [...new Set(answer.sentences.flatMap((sentence) => sentence.sources.map((source) => source.marker)))].sort((one, other) => one - other);
}

function listSources(answer, numbers) {
  const items = numbers.map((number) => {
    const passage = answer.passages[number - 1];
    return make("li", {}, `[${number}] `, passageButton(passage), placeOf(passage));
  });
  return make("ul", { class: "sources", "aria-label": word("sources") }, ...items);
}

function listPassages(passages) {
  return make("ul", { class: "sources" }, ...passages.map((passage) => make("li", {}, passageButton(passage), placeOf(passage))));
}

function passageButton(passage) {
  return make("button", { type: "button", class: "link", dir: "auto", onclick: () => showPassage(passage) }, passage.title ?? passage.source);
}

function placeOf(passage) {
  return passage.page === null ? "" : ` · ${word("page", { number: passage.page })}`;
}

/** Open a passage in the panel, with a quote marked, and offer what stands around it. */
export function showPassage(passage, quote) {
  const body = make("div", {}, makePassage(passage, quote, true));
  const more = make("button", { type: "button", onclick: () => readAround(passage, quote, body, more) }, word("around"));
  const facts = [passage.source, passage.page === null ? null : word("page", { number: passage.page }), passage.section, passage.language, passage.group];
  const shown = facts.filter(Boolean).flatMap((fact, place) => [place ? " · " : "", make("bdi", {}, fact)]);
  openPanel(passage.title ?? passage.source, make("p", { class: "quiet" }, ...shown), body, more);
  body.querySelector("mark")?.scrollIntoView({ block: "nearest" });
}

async function readAround(passage, quote, body, button) {
  try {
    const { passages } = await request("GET", `/v1/passages/${encodeURIComponent(passage.id)}?around=2`);
    body.replaceChildren(...passages.map((one) => makePassage(one, one.id === passage.id ? quote : "", one.id === passage.id)));
    button.remove();
  } catch (error) {
    button.replaceWith(make("p", { class: "warn" }, error.message));
  }
}

function makePassage(passage, quote, center) {
  const element = make("div", { class: center ? "passage center" : "passage", dir: "auto", lang: passage.language });
  markQuote(element, passage.text, quote);
  return element;
}

/** Open a passage by its id, as links in other programs name it. */
export async function showPassageById(id) {
  const { passages } = await request("GET", `/v1/passages/${encodeURIComponent(id)}`);
  showPassage(passages[0]);
}

function showTrace(answer) {
  const stages = Object.entries(answer.timings).map(([name, seconds]) => row(name, seconds.toFixed(3)));
  const passages = answer.trace.map((one) => row(one.source, one.before ?? "–", one.after ?? "–", score(one.retrieval_score), score(one.score)));
  openPanel(
    word("trace"),
    table([word("stage"), word("seconds")], stages),
    make("p", {}, word("tokens", answer.tokens)),
    ...answer.fallbacks.map((text) => make("p", { class: "warn", dir: "auto" }, text)),
    table([word("document"), word("before"), word("after"), word("score.search"), word("score.reranker")], passages),
  );
}

function score(value) {
  return value === null ? "–" : value.toFixed(3);
}

function row(name, ...numbers) {
  return make("tr", {}, make("td", {}, make("bdi", {}, name)), ...numbers.map((number) => make("td", { class: "number" }, String(number))));
}

function table(heads, rows) {
  const head = make("thead", {}, make("tr", {}, ...heads.map((text) => make("th", { scope: "col" }, text))));
  return make("div", { class: "wide" }, make("table", {}, head, make("tbody", {}, ...rows)));
}
