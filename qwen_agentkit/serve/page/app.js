// The page: conversations, questions, and what the reader chose.

import { edit, makeActions, readable } from "./actions.js";
import { Draft, makeTraceButton, makeTurn, showAnswer, showPassageById } from "./answer.js";
import { startDocuments } from "./documents.js";
import { events, onMissingToken, request, setToken } from "./net.js";
import { closePanel, find, make, say, speak, word } from "./view.js";

const NAMES = { en: "English", ar: "العربية", zh: "中文" };
const KEPT = ["interface", "theme", "graph", "effort", "thinking", "answer-language"];
let session = null;
let current = null; // the open conversation
let running = null; // ends the running answer

function kept(name) {
  return localStorage.getItem(`qwen-agentkit-${name}`);
}

function keep(name, value) {
  localStorage.setItem(`qwen-agentkit-${name}`, value);
}

onMissingToken(() => {
  const login = find("login");
  if (login.open) find("login-error").textContent = word("token.wrong");
  else login.showModal();
  return new Promise((resolve) => {
    find("login-form").onsubmit = (event) => {
      event.preventDefault();
      setToken(find("token").value.trim());
      resolve();
    };
  });
});

async function start() {
  const languages = Object.keys(NAMES);
  const preferred = navigator.languages.map((code) => code.split("-")[0]).find((code) => languages.includes(code));
  await speak(kept("interface") ?? preferred ?? "en");
  applyTheme(kept("theme") ?? "");
  find("interface").replaceChildren(...languages.map((code) => make("option", { value: code, lang: code }, NAMES[code])));
  session = await request("GET", "/api/session");
  find("login").close();
  find("graph").replaceChildren(...session.graphs.map((name) => make("option", { value: name }, name)));
  find("graph").value = session.graph;
  fillAnswerLanguages();
  for (const name of KEPT) if (kept(name) !== null) find(name).value = kept(name);
  if (!find("graph").value) find("graph").value = session.graph;
  find("interface").value = document.documentElement.lang;
  showApproval();
  startDocuments(session);
  describe();
  await listConversations();
  await follow();
}

function describe() {
  find("who").replaceChildren(
    make("span", {}, session.secured ? `${session.user} · ` : "", word("preset", { name: session.preset })),
    ...(session.notice ? [make("br"), word("nano")] : []),
  );
}

function fillAnswerLanguages() {
  const chosen = find("answer-language").value;
  const known = session.languages.map((code) => make("option", { value: code, lang: code }, NAMES[code] ?? code));
  find("answer-language").replaceChildren(make("option", { value: "" }, word("answer.same")), ...known);
  find("answer-language").value = chosen;
}

function applyTheme(name) {
  document.documentElement.dataset.theme = name;
  find("theme").value = name;
}

function showApproval() {
  find("approve-label").hidden = find("graph").value !== "research";
}

/** Do what the address asks for: open a conversation or a passage. */
async function follow() {
  const [kind, id] = location.hash.slice(1).split("=");
  if (kind === "c" && id && id !== current) await guarded(() => open(id));
  if (kind === "passage" && id) await guarded(() => showPassageById(decodeURIComponent(id)));
}

async function guarded(work) {
  try {
    await work();
  } catch (error) {
    say(error instanceof TypeError ? word("offline") : error.message);
  }
}

async function listConversations() {
  const found = await request("GET", "/api/conversations");
  find("conversations").replaceChildren(...found.map(makeConversation));
}

function makeConversation(found) {
  const small = (sign, label, work) =>
    make("button", { type: "button", class: "icon", "aria-label": word(label, { title: found.title }), title: word(label, { title: found.title }), onclick: () => guarded(work) }, sign);
  return make(
    "li",
    { "aria-current": found.id === current ? "true" : null },
    make("button", { type: "button", dir: "auto", onclick: () => guarded(() => open(found.id)) }, found.title),
    small("✎", "rename", () => rename(found)),
    small("⤓", "export", () => save(found)),
    small("✕", "delete", () => remove(found)),
  );
}

async function open(id) {
  stop();
  const found = await request("GET", `/api/conversations/${encodeURIComponent(id)}`);
  current = id;
  history.replaceState(null, "", `#c=${id}`);
  find("turns").replaceChildren(...found.turns.map(makeOldTurn), ...found.plans.map(makeWaitingTurn));
  closePanel();
  find("side").classList.remove("open");
  scrollDown();
  await listConversations();
}

function makeOldTurn(turn) {
  const element = makeTurn(turn.question);
  if (turn.withheld) element.append(make("p", { class: "quiet" }, word("withheld")));
  else if (turn.answer) showAnswer(element, turn.answer);
  else {
    if (turn.draft) element.append(make("div", { class: "answer draft", dir: "auto" }, turn.draft));
    element.append(make("p", { class: "warn", dir: "auto" }, turn.error ?? word("stopped")));
  }
  element.append(actionsOf(turn.question, turn.answer ?? null));
  return element;
}

function actionsOf(question, answer) {
  return makeActions(question, answer, (asked) => guarded(() => ask(asked)), answer && makeTraceButton(answer));
}

/** A question whose plan still waits. */
function makeWaitingTurn(waiting) {
  const element = makeTurn(waiting.question);
  element.append(makePlan(waiting, element));
  return element;
}

function begin() {
  stop();
  current = null;
  history.replaceState(null, "", location.pathname);
  find("turns").replaceChildren();
  closePanel();
  find("side").classList.remove("open");
  for (const item of find("conversations").children) item.removeAttribute("aria-current");
  find("question").focus();
}

async function rename(found) {
  const title = prompt(word("rename.ask"), found.title);
  if (!title?.trim()) return;
  await request("PATCH", `/api/conversations/${found.id}`, { title });
  await listConversations();
}

async function remove(found) {
  if (!confirm(word("delete.sure", { title: found.title }))) return;
  await request("DELETE", `/api/conversations/${found.id}`);
  if (found.id === current) begin();
  await listConversations();
}

/** Save a conversation as Markdown. */
async function save(found) {
  const { title, turns } = await request("GET", `/api/conversations/${found.id}`);
  const lines = [`# ${title}`];
  for (const { question, answer, draft } of turns) lines.push(`## ${question}`, answer ? readable(answer, "- ") : (draft ?? ""));
  const address = URL.createObjectURL(new Blob([`${lines.join("\n\n")}\n`], { type: "text/markdown" }));
  make("a", { href: address, download: `${title.replace(/[/\\:*?"<>|]/g, "_")}.md` }).click();
  URL.revokeObjectURL(address);
}

async function ask(question) {
  if (!question || running) return;
  if (!current) {
    current = (await request("POST", "/api/conversations", { title: question })).id;
    history.replaceState(null, "", `#c=${current}`);
    await listConversations();
  }
  if (find("question").value.trim() === question) find("question").value = "";
  const graph = find("graph").value;
  const settings = { effort: find("effort").value };
  if (find("thinking").value !== "auto") settings.thinking = find("thinking").value;
  if (find("answer-language").value) settings.answer_language = find("answer-language").value;
  if (graph === "research" && find("approve").checked) settings.approve_plan = true;
  const turn = makeTurn(question);
  find("turns").append(turn);
  await run(turn, question, `/api/conversations/${current}/ask`, { question, graph, settings });
}

async function run(turn, question, path, body) {
  const draft = new Draft(turn);
  const stopping = new AbortController();
  running = stopping;
  find("send").hidden = true;
  find("stop").hidden = false;
  say(word("working"));
  scrollDown();
  let last = null;
  try {
    for await (const event of events(path, body, stopping.signal)) if (handle(event, turn, draft)) last = event;
    if (!last) throw new TypeError("cut");
  } catch (error) {
    const reason = stopping.signal.aborted ? word("stopped") : error instanceof TypeError ? word("offline") : error.message;
    turn.append(make("p", { class: "warn", dir: "auto" }, reason));
    say(reason);
  } finally {
    if (running === stopping) running = null;
    find("send").hidden = running !== null;
    find("stop").hidden = running === null;
  }
  if (last?.type !== "plan") turn.append(actionsOf(question, last?.type === "answer" ? last : null));
  scrollDown();
  await guarded(listConversations);
}

/** Show one event; returns whether it is the last. */
function handle(event, turn, draft) {
  switch (event.type) {
    case "waiting":
      say(word("waiting", { before: event.before }));
      return false;
    case "loading":
      say(word("loading", { model: event.model }));
      return false;
    case "stage":
      say(event.fallback ? word("fallback", { stage: event.stage, error: event.error }) : word("stage.done", { stage: event.stage }));
      return false;
    case "thought":
      draft.think(event.text);
      return false;
    case "text":
      draft.write(event.text);
      scrollDown();
      return false;
    case "restart":
      draft.restart();
      return false;
    case "plan":
      draft.element.remove();
      turn.append(makePlan(event, turn));
      say(word("plan.waits"));
      return true;
    case "error":
      turn.append(make("p", { class: "warn", dir: "auto" }, event.message));
      say(event.message);
      return true;
    default:
      draft.element.remove();
      showAnswer(turn, event);
      // Once, when it is whole: a screen reader would stumble over every piece.
      say(event.abstained ? event.answer : word("answered", { sources: new Set(event.sentences.flatMap((one) => one.sources.map((source) => source.marker))).size }));
      scrollDown();
      return true;
  }
}

/** A plan that waits for the reader. */
function makePlan(event, turn) {
  const lines = make("textarea", { rows: Math.max(2, event.plan.length + 1), dir: "auto", "aria-label": word("plan.title") });
  lines.value = event.plan.join("\n");
  const decide = (type) => {
    form.remove();
    const plan = lines.value.split("\n").map((line) => line.trim()).filter(Boolean);
    const changed = plan.join("\n") !== event.plan.join("\n");
    const decision = type === "approve" && changed && plan.length ? { type: "edit", plan } : { type };
    run(turn, event.question, `/api/conversations/${current}/plan`, { id: event.id, decision });
  };
  const form = make(
    "div",
    { class: "plan" },
    make("p", {}, word("plan.title")),
    lines,
    make("div", { class: "row" }, make("button", { type: "button", class: "main", onclick: () => decide("approve") }, word("plan.approve")), make("button", { type: "button", onclick: () => decide("reject") }, word("plan.reject"))),
  );
  return form;
}

function send() {
  guarded(() => ask(find("question").value.trim()));
}

function stop() {
  running?.abort();
  running = null;
}

function scrollDown() {
  const turns = find("turns");
  turns.scrollTop = turns.scrollHeight;
}

find("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  send();
});
find("question").addEventListener("keydown", (event) => {
  // The key that ends the composition of a Chinese word is no order to send.
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    send();
  }
  if (event.key === "ArrowUp" && !event.target.value) {
    const asked = [...document.querySelectorAll(".asked")].at(-1)?.textContent;
    if (asked) edit(asked);
    event.preventDefault();
  }
});
find("stop").addEventListener("click", stop);
find("new").addEventListener("click", begin);
find("panel-close").addEventListener("click", closePanel);
find("menu").addEventListener("click", () => {
  const isOpen = find("side").classList.toggle("open");
  find("menu").setAttribute("aria-expanded", String(isOpen));
});
find("theme").addEventListener("change", (event) => applyTheme(event.target.value));
find("graph").addEventListener("change", showApproval);
find("interface").addEventListener("change", async (event) => {
  await speak(event.target.value);
  fillAnswerLanguages();
  describe();
  await guarded(listConversations);
  if (current && !running) await guarded(() => open(current));
});
for (const name of KEPT) find(name).addEventListener("change", (event) => keep(name, event.target.value));
document.addEventListener("keydown", (event) => {
  if (document.querySelector("dialog[open]")) return;
  if (event.key === "Escape") find("panel").hidden ? stop() : closePanel();
  if (event.key === "/" && !event.target.closest("input, select, textarea")) {
    event.preventDefault();
    find("question").focus();
  }
});
window.addEventListener("hashchange", () => guarded(follow));
window.addEventListener("focus", () => session && guarded(listConversations)); // another tab may have changed them
find("login").addEventListener("cancel", (event) => event.preventDefault());

guarded(start);
