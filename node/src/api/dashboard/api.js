// Asks the node, and acts with the token, which stays in this tab.

const TOKEN = "polypeer.token";
// An answer that has not come by then does not come.
const WAIT_MS = 10_000;

// What a problem document says; without a status there was no answer.
export class Problem extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

// The token, if there is one.
export function token() {
  return sessionStorage.getItem(TOKEN) ?? "";
}

// Keeps the token, or forgets it when it is empty.
export function keepToken(text) {
  if (text) {
    sessionStorage.setItem(TOKEN, text);
  } else {
    sessionStorage.removeItem(TOKEN);
  }
}

// The path of something of a network.
export function of(network, ...rest) {
  return ["networks", network, ...rest].map(encodeURIComponent).join("/");
}

async function ask(method, path, body) {
  const headers = { accept: "application/json" };
  if (method !== "GET") {
    headers.authorization = `Bearer ${token()}`;
  }
  const options = { method, headers, cache: "no-store", signal: AbortSignal.timeout(WAIT_MS) };
  if (body !== undefined) {
    headers["content-type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  const answer = await fetch(`api/v1/${path}`, options).catch(() => {
    throw new Problem(0, "The node does not answer.");
  });
  if (!answer.ok) {
    const problem = await answer.json().catch(() => ({}));
    throw new Problem(answer.status, problem.detail ?? `the node answered ${answer.status}`);
  }
  return answer.status === 204 || answer.status === 202 ? null : answer.json();
}

// What is at this path.
export function get(path) {
  return ask("GET", path);
}

// Changes something.
export function act(method, path, body) {
  return ask(method, path, body);
}
