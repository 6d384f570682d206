// Carries out what the operator wants, and asks for the token first where there is none.

import { by, el, keyed, write } from "./dom.js";
import { act, get, keepToken, of, token } from "./api.js";
import { bytes, clean, clock, count, span } from "./words.js";

// How long an answer is shown, in milliseconds.
const SAID_MS = 6_000;
// Reasons shown of a peer.
const REASONS_MAX = 30;

let saidTimer = 0;
let afterwards = () => {};

function say(text, mood) {
  const toast = by("said");
  write(toast, clean(text, 300));
  toast.className = `toast ${mood}`;
  toast.hidden = false;
  clearTimeout(saidTimer);
  saidTimer = setTimeout(() => {
    toast.hidden = true;
  }, SAID_MS);
}

function showLock() {
  write(by("unlock"), token() ? "Actions unlocked" : "Actions locked");
  by("unlock").className = token() ? "good" : "";
}

// Shows a dialog; the value of the button that closed it. Enter is the one that submits, all others close here.
function asked(dialog) {
  return new Promise((resolve) => {
    for (const button of dialog.querySelectorAll("button[type=button]")) {
      button.onclick = () => dialog.close(button.value);
    }
    dialog.returnValue = "cancel";
    dialog.addEventListener("close", () => resolve(dialog.returnValue), { once: true });
    dialog.showModal();
  });
}

async function unlock() {
  const field = by("token");
  field.value = "";
  const answer = await asked(by("token-dialog"));
  const text = field.value.trim();
  field.value = "";
  if (answer === "forget") {
    keepToken("");
  } else if (answer === "keep" && text) {
    keepToken(text);
  }
  showLock();
  return answer === "keep" && token() !== "";
}

// Carries out an order. Whether it was.
export async function carryOut(method, path, body, done) {
  if (!token() && !(await unlock())) {
    return false;
  }
  try {
    await act(method, path, body);
    say(done, "good");
    afterwards();
    return true;
  } catch (problem) {
    if (problem.status === 401) {
      keepToken("");
      showLock();
    }
    say(problem.message, "bad");
    return false;
  }
}

// Closes a connection.
export function drop(network, peer) {
  return carryOut("DELETE", of(network, "peers", peer.id), undefined, `${peer.addr} is dropped`);
}

// Asks for how long, and bans.
export async function banOther(network, address) {
  const field = by("ban-address");
  field.value = address;
  const answer = await asked(by("ban-dialog"));
  const wanted = field.value.trim();
  if (answer === "ban" && wanted) {
    const duration = Number(by("ban-time").value);
    await carryOut("PUT", of(network, "bans", wanted), { duration }, `${wanted} is banned for ${span(duration)}`);
  }
}

// Traffic by message type, where the node counts it; the names are `getpeerinfo`'s.
function perMessage(peer) {
  const kinds = [
    ["received", peer.bytesrecv_per_msg],
    ["sent", peer.bytessent_per_msg],
  ];
  return kinds.flatMap(([direction, of]) => {
    const rows = Object.entries(of ?? {})
      .filter(([, value]) => value > 0)
      .sort((a, b) => b[1] - a[1]);
    return rows.slice(0, 20).map(([name, value]) => [`${clean(name, 40)} ${direction}`, bytes(value)]);
  });
}

function facts(peer) {
  const when = (seconds) => (seconds > 0 ? clock(1000 * seconds) : "not yet");
  const found = [
    ["Connection", `${peer.id}, ${peer.connection_type}`],
    ["Our end", peer.addrbind],
    ["Says it is", clean(peer.subver, 300) || "nothing"],
    ["Connected since", new Date(1000 * peer.conntime).toLocaleString("en-GB")],
    ["Last received, sent", `${when(peer.lastrecv)}, ${when(peer.lastsend)}`],
    ["Frames received, sent", `${count(peer.framesrecv)}, ${count(peer.framessent)}`],
    ["Last block, transaction", `${when(peer.last_block)}, ${when(peer.last_transaction)}`],
  ];
  if (peer.timeoffset !== null) {
    found.push(["Its clock less ours", `${peer.timeoffset} s`]);
  }
  if (peer.group) {
    found.push(["Network group", peer.group]);
  }
  if (peer.node_address) {
    found.push(["Node key's address", clean(peer.node_address, 120)]);
  }
  return [...found, ...perMessage(peer)];
}

// Shows everything about a peer, and why things were done about it.
export async function explain(network, peer) {
  write(by("peer-title"), peer.addr);
  const list = el("dl", { class: "facts" });
  const reasons = el("ol", { class: "plain reasons" }, el("li", { class: "muted" }, "Asking why…"));
  by("peer-facts").replaceChildren(list, el("h3", {}, "Why"), reasons);
  keyed(
    list,
    facts(peer),
    ([name]) => name,
    ([name]) => el("div", {}, el("dt", {}, name), el("dd")),
    (row, [, value]) => {
      write(row.lastChild, value);
    },
  );
  const closed = asked(by("peer-dialog"));
  try {
    const why = await get(of(network, "why", peer.id));
    const rows = why.slice(0, REASONS_MAX).map((one) => {
      const often = one.times > 1 ? `, ${count(one.times)} times` : "";
      return el(
        "li",
        {},
        el("time", { class: "muted" }, clock(one.time)),
        el("b", {}, clean(one.what, 40)),
        el("span", {}, `${clean(one.text, 300)}${often}`),
      );
    });
    reasons.replaceChildren(
      ...(rows.length > 0 ? rows : [el("li", { class: "muted" }, "Nothing is remembered about it.")]),
    );
  } catch {
    reasons.replaceChildren(el("li", { class: "muted" }, "The node does not answer."));
  }
  await closed;
}

// Makes buttons and forms act; `done` is called after each order.
export function listenOrders(network, done) {
  afterwards = done;
  by("unlock").addEventListener("click", unlock);
  by("add").addEventListener("submit", async (event) => {
    event.preventDefault();
    const field = by("add-address");
    const address = field.value.trim();
    if (await carryOut("POST", of(network(), "peers"), { address }, `${address} will be dialled`)) {
      field.value = "";
    }
  });
  showLock();
}
