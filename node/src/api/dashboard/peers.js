// Shows who is connected, and lets the operator part from them.

import { by, el, keyed, set, write } from "./dom.js";
import { ago, bytes, clean, count, many, millis, span } from "./words.js";
import { banOther, drop, explain } from "./orders.js";

// Peers that the table shows; the API has all of them.
const SHOWN_MAX = 100;
// What the list shows of a text that a peer chose.
const VERSION_MAX = 60;

// What is worth saying beside the direction.
const KINDS = { manual: "named", feeler: "feeler" };

const LABELS = ["Peer", "Version", "Latency", "Received", "Sent", "Age", "Height", "Last news", "Faults", ""];

// The row's buttons act on the peer that the row shows now.
const shown = new WeakMap();

function create() {
  const cells = LABELS.map((label, at) => el("td", { "data-label": label, class: at > 1 && at < 9 ? "number" : "" }));
  const row = el("tr", {}, ...cells);
  const who = el("div", { class: "who" });
  cells[0].append(who);
  const about = () => shown.get(row);
  const open = el("button", {
    type: "button",
    class: "link mono",
    onclick: () => explain(about().network, about().peer),
  });
  who.append(el("span", { class: "way", "aria-hidden": true }), el("div", {}, open, el("small", { class: "muted" })));
  for (const cell of cells.slice(2, 5)) {
    cell.append(el("span"), el("small", { class: "muted" }));
  }
  cells[9].append(
    el("button", { type: "button", class: "small", onclick: () => drop(about().network, about().peer) }, "Drop"),
    el(
      "button",
      { type: "button", class: "small bad", onclick: () => banOther(about().network, hostOf(about().peer.addr)) },
      "Ban",
    ),
  );
  cells[9].className = "actions";
  return row;
}

function hostOf(address) {
  return address.replace(/:\d+$/, "").replace(/^\[|\]$/g, "");
}

function news(peer) {
  const last = Math.max(peer.last_block, peer.last_transaction);
  return last === 0 ? "–" : ago(1000 * last);
}

function update(row, about) {
  shown.set(row, about);
  const { peer, rates } = about;
  const [first, version, latency, received, sent, age, height, last, faults, actions] = row.children;
  const who = first.firstChild;
  write(who.firstChild, peer.inbound ? "↙" : "↗");
  set(who.firstChild, "class", peer.inbound ? "way in" : "way out");
  const [open, kind] = who.lastChild.children;
  write(open, clean(peer.addr, 80));
  set(open, "title", "Details, and why");
  write(
    kind,
    [peer.inbound ? "inbound" : "outbound", KINDS[peer.connection_type], peer.ready ? "" : "shaking hands"]
      .filter(Boolean)
      .join(", "),
  );
  write(version, clean(peer.subver, VERSION_MAX) || "–");
  set(version, "title", clean(peer.subver, 300));
  const ping = peer.pingtime ?? peer.minping;
  write(latency.firstChild, ping === null ? "–" : millis(1000 * ping));
  write(
    latency.lastChild,
    ping === null
      ? ""
      : peer.pingtime === null
        ? "least"
        : peer.minping === null
          ? ""
          : `least ${millis(1000 * peer.minping)}`,
  );
  write(received.firstChild, bytes(peer.bytesrecv));
  write(received.lastChild, `${bytes(rates.get(`${peer.id} in`) ?? 0)}/s`);
  write(sent.firstChild, bytes(peer.bytessent));
  write(sent.lastChild, `${bytes(rates.get(`${peer.id} out`) ?? 0)}/s`);
  write(age, span(Date.now() / 1000 - peer.conntime));
  write(height, peer.synced_blocks === null ? "–" : count(peer.synced_blocks));
  write(last, news(peer));
  write(faults, count(peer.slips));
  set(faults, "class", peer.slips > 0 ? "number warn" : "number");
  for (const button of actions.children) {
    set(button, "aria-label", `${button.textContent} ${peer.addr}`);
  }
}

// Shows the table. `rates` has bytes a second by connection and way.
export function showPeers(network, peers, rates) {
  const outboundFirst = [...peers].sort((a, b) => a.inbound - b.inbound || a.id - b.id);
  const some = outboundFirst.slice(0, SHOWN_MAX).map((peer) => ({ network, peer, rates }));
  keyed(by("peers").tBodies[0], some, (row) => row.peer.id, create, update);
  const ready = peers.filter((peer) => peer.ready).length;
  write(
    by("peers-count"),
    ready === peers.length ? count(ready) : `${count(ready)} and ${count(peers.length - ready)} on their way`,
  );
  const more = peers.length - some.length;
  write(
    by("peers-more"),
    peers.length === 0
      ? "Nobody is connected."
      : more > 0
        ? `and ${many(more, "more", "more")}; the API has all of them.`
        : "",
  );
  by("peers").hidden = peers.length === 0;
}
