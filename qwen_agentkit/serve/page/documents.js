// The documents of the store: listed, uploaded with progress, removed.

import { request, upload } from "./net.js";
import { find, make, word } from "./view.js";

let session = null;

export function startDocuments(found) {
  session = found;
  find("upload").hidden = !session.writes;
  find("group-label").hidden = !session.needs_group;
  find("group").replaceChildren(...(session.groups ?? []).map((name) => make("option", { value: name }, name)));
}

find("open-documents").addEventListener("click", async () => {
  find("documents").showModal();
  await list();
});
find("documents-close").addEventListener("click", () => find("documents").close());
find("files").addEventListener("change", async (event) => {
  const files = [...event.target.files];
  event.target.value = "";
  for (const file of files) await send(file);
  await list();
});

async function send(file) {
  const bar = make("progress", { max: 1, value: 0, "aria-label": file.name });
  const state = make("span", { dir: "auto" });
  find("uploads").append(make("li", {}, make("bdi", {}, file.name), " ", bar, " ", state));
  if (file.size > session.most_upload) {
    bar.remove();
    state.className = "warn";
    state.textContent = word("upload.large", { megabytes: Math.floor(session.most_upload / 1048576) });
    return;
  }
  try {
    const group = session.needs_group ? find("group").value : null;
    const report = await upload(file, group, (part) => {
      bar.value = part;
      if (part >= 1) state.textContent = word("upload.reading");
    });
    state.textContent = word(report.changed ? "upload.done" : "upload.same");
    for (const warning of report.warnings) state.append(make("span", { class: "warn" }, ` ${warning}`));
  } catch (error) {
    state.className = "warn";
    state.textContent = error instanceof TypeError ? word("offline") : error.message;
  }
  bar.remove();
}

async function list() {
  const { documents, watched } = await request("GET", "/v1/documents");
  showWatched(watched);
  find("no-documents").hidden = documents.length > 0;
  find("document-table").hidden = documents.length === 0;
  find("document-table").tBodies[0].replaceChildren(...documents.map(makeRow));
}

/** Folders that the server watches, and their files that it could not read. */
function showWatched(watched) {
  find("watched").hidden = !watched;
  find("failing").replaceChildren();
  if (!watched) return;
  const states = { reading: word("watched.reading"), waiting: watched.error || word("watched.waiting"), failed: word("watched.failed", { error: watched.error }) };
  find("watched").textContent = `${word("watched", { folders: watched.folders.join(", ") })} ${states[watched.state]}`;
  const failing = watched.failing.map((file) => make("li", { class: "warn", dir: "auto" }, make("bdi", {}, file.source), ` ${file.reason}`));
  find("failing").replaceChildren(...failing);
  if (watched.state === "reading" && find("documents").open) setTimeout(() => find("documents").open && list().catch(() => {}), 1000);
}

function makeRow(found) {
  const source = make("bdi", { class: found.title ? "quiet" : null }, found.source);
  const name = make("td", {}, ...(found.title ? [make("bdi", {}, found.title), make("br")] : []), source);
  const remove = make("button", { type: "button", "aria-label": word("remove.named", { name: found.source }), onclick: () => drop(found) }, word("remove"));
  return make("tr", {}, name, make("td", {}, found.languages.join(", ")), make("td", { class: "number" }, String(found.chunks)), make("td", {}, session.writes ? remove : ""));
}

async function drop(found) {
  const question = found.uploaded ? "remove.sure" : "remove.returns";
  if (!confirm(word(question, { name: found.source }))) return;
  await request("DELETE", `/v1/documents/${found.id}`);
  await list();
}
