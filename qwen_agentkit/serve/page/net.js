// Requests to the server that this page came from, with the reader's token.

const KEPT = "qwen-agentkit-token";
let askForToken = async () => {};

/** What to do when the server wants a token: a function that resolves when there is one. */
export function onMissingToken(handler) {
  askForToken = handler;
}

export function setToken(token) {
  sessionStorage.setItem(KEPT, token);
}

export function headers() {
  const token = sessionStorage.getItem(KEPT);
  return token ? { authorization: `Bearer ${token}` } : {};
}

export class Refused extends Error {}

async function send(method, path, body, signal) {
  for (;;) {
    const answer = await fetch(path, {
      method,
      signal,
      headers: { ...headers(), ...(body === undefined ? {} : { "content-type": "application/json" }) },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    if (answer.status === 401) {
      await askForToken();
      continue;
    }
    if (!answer.ok) throw new Refused(await reason(answer));
    return answer;
  }
}

async function reason(answer) {
  try {
    return (await answer.json()).error.message;
  } catch {
    return `${answer.status} ${answer.statusText}`;
  }
}

/** Send a request and return the JSON of its answer. */
export async function request(method, path, body) {
  const answer = await send(method, path, body);
  return answer.status === 204 ? null : answer.json();
}

/** Send a request and yield the events of its answer. */
export async function* events(path, body, signal) {
  const answer = await send("POST", path, body, signal);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) yield JSON.parse(part.slice("data: ".length));
  }
}

/** Upload a file. fetch tells nothing about progress. */
export function upload(file, group, onProgress) {
  return new Promise((resolve, reject) => {
    const sending = new XMLHttpRequest();
    const query = group ? `?group=${encodeURIComponent(group)}` : "";
    sending.open("PUT", `/v1/documents/${encodeURIComponent(file.name)}${query}`);
    for (const [name, value] of Object.entries(headers())) sending.setRequestHeader(name, value);
    sending.upload.onprogress = (event) => onProgress(event.loaded / Math.max(1, event.total));
    sending.responseType = "json";
    sending.onload = () => {
      if (sending.status === 200) resolve(sending.response);
      else reject(new Refused(sending.response?.error?.message ?? String(sending.status)));
    };
    sending.onerror = () => reject(new TypeError("network"));
    sending.send(file);
  });
}
