// Draws who is connected to whom: this process's nodes inside, their peers around them, known addresses outside.

import { by, keyed, set, svg, write } from "./dom.js";
import { clean, many, netOf } from "./words.js";

// Peers and addresses that are drawn. More would be a blot.
const PEERS_MAX = 120;
// Addresses that are asked for and drawn.
export const KNOWN_MAX = 150;
// Up to so many peers have their address beside them.
const NAMED_MAX = 12;
const MIDDLE = { x: 320, y: 150 };

function around(index, of, rx, ry) {
  const angle = (2 * Math.PI * index) / of - Math.PI / 2;
  return { x: MIDDLE.x + rx * Math.cos(angle), y: MIDDLE.y + ry * Math.sin(angle) };
}

const byNet = (a, b) =>
  netOf(a.address) < netOf(b.address) ? -1 : netOf(a.address) > netOf(b.address) ? 1 : a.address < b.address ? -1 : 1;

// Nodes of this process, where they listen, and from where they dialled: connections among them are drawn once.
function inside(nodes) {
  const listens = new Map(nodes.filter((node) => node.listen).map((node) => [node.listen, node.name]));
  const dialled = new Map();
  for (const node of nodes) {
    for (const peer of node.peers.filter((peer) => !peer.inbound && listens.has(peer.addr))) {
      dialled.set(peer.addrbind, node.name);
    }
  }
  return { listens, dialled };
}

// What is to be drawn: circles with places, and lines between them.
export function layOut(nodes, known, chosen, rates) {
  const { listens, dialled } = inside(nodes);
  const outside = new Map();
  const lines = new Map();
  // Nodes of this process show each connection from both ends, and two nodes can have two: one line, dashed when the
  // chosen node dialled none of them.
  const draw = (key, line) => {
    const before = lines.get(key);
    lines.set(
      key,
      before
        ? { ...before, busy: Math.max(before.busy, line.busy), inbound: before.inbound && line.inbound }
        : { key, ...line },
    );
  };
  for (const node of nodes) {
    for (const peer of node.peers) {
      const rate = (rates.get(`${peer.id} in`) ?? 0) + (rates.get(`${peer.id} out`) ?? 0);
      const busy = node.name === chosen ? rate : 0;
      const other = peer.inbound ? dialled.get(peer.addr) : listens.get(peer.addr);
      if (other !== undefined) {
        const isChosen = node.name === chosen || other === chosen;
        const inbound = node.name === chosen ? peer.inbound : other !== chosen || !peer.inbound;
        draw([node.name, other].sort().join(" "), {
          from: node.name,
          to: other,
          inbound: isChosen && inbound,
          busy,
          chosen: isChosen,
        });
      } else if (outside.size < PEERS_MAX) {
        outside.set(peer.addr, { address: peer.addr, about: peer.subver, ready: peer.ready });
        draw(`${node.name} ${peer.addr}`, {
          from: node.name,
          to: peer.addr,
          inbound: peer.inbound,
          busy,
          chosen: node.name === chosen,
        });
      }
    }
  }
  const peers = [...outside.values()].sort(byNet);
  const others = known
    .filter((one) => !outside.has(one.address) && !listens.has(one.address))
    .slice(0, KNOWN_MAX)
    .sort(byNet);
  return {
    places: place(nodes, peers, others, chosen),
    lines: [...lines.values()],
    peers: peers.length,
    others: others.length,
  };
}

function place(nodes, peers, others, chosen) {
  const places = new Map();
  const alone = nodes.length === 1;
  const crowded = peers.length + others.length > 0;
  nodes.forEach((node, index) => {
    const at = alone ? MIDDLE : around(index, nodes.length, crowded ? 90 : 190, crowded ? 48 : 118);
    places.set(node.name, {
      ...at,
      kind: node.name === chosen ? "own chosen" : "own",
      r: 15,
      text: alone ? "" : String(index + 1),
      title: node.name,
      link: node.name,
    });
  });
  peers.forEach((peer, index) => {
    const at = around(index + 0.5, peers.length, 190, 92);
    const text = peers.length <= NAMED_MAX ? clean(peer.address, 24) : "";
    places.set(peer.address, {
      ...at,
      kind: peer.ready ? "peer" : "peer faint",
      r: peers.length > 40 ? 4 : 6,
      text,
      title: `${peer.address} ${clean(peer.about, 80)}`,
    });
  });
  others.forEach((other, index) => {
    const at = around(index, others.length, 285, 132);
    places.set(other.address, {
      ...at,
      kind: other.proven ? "known proven" : "known",
      r: 2.5,
      text: "",
      title: `${other.address}, ${other.proven ? "reached before" : "never reached"}`,
    });
  });
  return places;
}

function circle([, place]) {
  const group = svg(place.link ? "a" : "g", {}, svg("title"), svg("circle", { r: place.r }), svg("text", {}));
  return group;
}

function move(group, [, place]) {
  const [title, dot, text] = group.children;
  write(title, place.title);
  set(group, "class", place.kind);
  set(group, "href", place.link ? `#${encodeURIComponent(place.link)}` : null);
  set(dot, "cx", place.x.toFixed(1));
  set(dot, "cy", place.y.toFixed(1));
  set(dot, "r", place.r);
  write(text, place.text);
  const left = place.x < MIDDLE.x;
  const shift = place.link ? 0 : left ? -place.r - 5 : place.r + 5;
  set(text, "x", (place.x + shift).toFixed(1));
  set(text, "y", (place.link ? place.y : place.y + 4).toFixed(1));
  set(text, "text-anchor", place.link ? "middle" : left ? "end" : "start");
}

function stretch(places) {
  return (line, { from, to, busy, chosen, inbound }) => {
    const [a, b] = [places.get(from), places.get(to)];
    set(line, "x1", a.x.toFixed(1));
    set(line, "y1", a.y.toFixed(1));
    set(line, "x2", b.x.toFixed(1));
    set(line, "y2", b.y.toFixed(1));
    // From 100 bytes a second on, every tenfold is a step.
    set(line, "stroke-width", (1 + Math.min(3, Math.max(0, Math.log10(busy + 1) - 2))).toFixed(1));
    set(line, "class", `${chosen ? "line chosen" : "line"}${inbound ? " in" : ""}`);
  };
}

// Draws the picture.
export function showTopology(nodes, known, chosen, rates) {
  const picture = by("topology");
  if (!picture.firstChild) {
    picture.append(svg("g"), svg("g"));
  }
  const { places, lines, peers, others } = layOut(nodes, known, chosen, rates);
  const [behind, before] = picture.children;
  keyed(
    behind,
    lines.filter((line) => places.has(line.to)),
    (line) => line.key,
    () => svg("line", {}),
    stretch(places),
  );
  keyed(before, [...places], ([key, place]) => `${key} ${place.link ? "own" : "other"}`, circle, move);
  const own = nodes.length > 1 ? `${many(nodes.length, "node")} of this process` : "This node";
  const parts = [
    own,
    peers > 0 || nodes.length === 1 ? many(peers, "peer elsewhere", "peers elsewhere") : "",
    others > 0 ? `${many(others, "more known address", "more known addresses")}` : "",
  ];
  write(
    by("topology-note"),
    `${parts.filter(Boolean).join(", ")}. Thick lines are busy, dashed ones were dialled by the other end.`,
  );
}
