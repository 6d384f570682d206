// Shows all networks at a glance. Nodes of one network in this process share a card.

import { by, el, keyed, set, write } from "./dom.js";
import { clean, count, many, short } from "./words.js";

// Nodes of a network that a card names; more are counted.
const NODES_SHOWN = 12;

// Networks by family: `NAME-2` belongs to `NAME` when both are here and alike, as a devnet names them.
export function families(networks) {
  const byName = new Map(networks.map((network) => [network.name, network]));
  const found = new Map();
  for (const network of networks) {
    const base = /^(.+)-\d+$/.exec(network.name)?.[1];
    const first = byName.get(base);
    const family =
      first && first.protocol === network.protocol && first.network_id === network.network_id ? base : network.name;
    found.set(family, [...(found.get(family) ?? []), network]);
  }
  return found;
}

// What state a network is in: a word, and how good that is.
export function stateOf(network) {
  if (network.syncing) {
    return ["catching up", "warn"];
  }
  if (network.peers.inbound + network.peers.outbound === 0) {
    return ["no peers", "warn"];
  }
  return network.follow_only ? ["follows only", "warn"] : ["up to date", "good"];
}

// How bad a score of the eclipse gauge is. The bounds are the API's own.
export function levelOf(score) {
  return score >= 50 ? ["high", "bad"] : score >= 25 ? ["notable", "warn"] : ["low", "good"];
}

function fact(name) {
  return el("div", {}, el("dt", {}, name), el("dd"));
}

function create() {
  return el(
    "article",
    { class: "card" },
    el("h3", {}, el("a")),
    el("span", { class: "pill" }),
    el("p", { class: "figure" }, el("span", { class: "muted" }, "height "), el("strong")),
    el("p", { class: "mono muted hash" }),
    el("dl", {}, fact("peers"), fact("mempool"), fact("eclipse risk")),
    el("p", { class: "nodes" }),
  );
}

function update(card, { family, nodes, chosen }) {
  const network = nodes.find((node) => node.name === chosen) ?? nodes[0];
  const [title, pill, figure, hash, facts, chips] = card.children;
  const link = title.firstChild;
  set(card, "class", nodes.some((node) => node.name === chosen) ? "card chosen" : "card");
  write(link, clean(family, 60));
  set(link, "href", `#${encodeURIComponent(network.name)}`);
  const [word, mood] = stateOf(network);
  write(pill, word);
  set(pill, "class", `pill ${mood}`);
  write(figure.lastChild, count(network.height));
  write(
    hash,
    network.tip
      ? short(network.tip, 20)
      : network.members === undefined
        ? "no blocks yet"
        : many(network.members, "member"),
  );
  const [peers, pool, risk] = [...facts.children].map((row) => row.lastChild);
  write(peers, `${count(network.peers.inbound)} in · ${count(network.peers.outbound)} out`);
  write(pool, count(network.mempool));
  const [level, how] = levelOf(network.eclipse_risk);
  write(risk, `${network.eclipse_risk} ${level}`);
  set(risk, "class", how);
  chips.hidden = nodes.length < 2;
  const tips = new Set(nodes.map((node) => node.tip)).size;
  const shown = nodes.slice(0, NODES_SHOWN);
  const items = [...shown.map((node, at) => ({ node, at })), { node: null, at: shown.length }];
  keyed(
    chips,
    items,
    ({ node }) => node?.name ?? "",
    () => el("a"),
    (chip, { node, at }) => {
      if (node === null) {
        const more = nodes.length - shown.length;
        write(chip, `${more > 0 ? `+${more}, ` : ""}${tips === 1 ? "one tip" : many(tips, "tip")}`);
        set(chip, "class", "muted");
        return;
      }
      write(chip, at + 1);
      set(chip, "href", `#${encodeURIComponent(node.name)}`);
      set(chip, "class", `chip ${stateOf(node)[1]}${node.name === chosen ? " chosen" : ""}`);
      set(chip, "title", `${clean(node.name, 60)}: ${stateOf(node)[0]}, height ${count(node.height)}`);
    },
  );
}

// Shows the cards.
export function showOverview(byFamily, chosen) {
  const cards = [...byFamily].map(([family, nodes]) => ({ family, nodes, chosen }));
  keyed(by("networks"), cards, (card) => card.family, create, update);
}
