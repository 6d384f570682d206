// Drives the page: asks while it is seen, follows the events, and shows what came.

import { by, set, write } from "./dashboard/dom.js";
import { Problem, get, of } from "./dashboard/api.js";
import { clean } from "./dashboard/words.js";
import { Heights, History, Rates } from "./dashboard/history.js";
import { Stream } from "./dashboard/stream.js";
import { families, showOverview } from "./dashboard/overview.js";
import { showState } from "./dashboard/state.js";
import { KNOWN_MAX, showTopology } from "./dashboard/topology.js";
import { showPeers } from "./dashboard/peers.js";
import { showHistogram, showWaterfall } from "./dashboard/propagation.js";
import { showRisk } from "./dashboard/risk.js";
import { showBook } from "./dashboard/book.js";
import { SHOWN_MAX as POOL_MAX, notePools, showPool } from "./dashboard/pool.js";
import { SHOWN_MAX as BANS_MAX, listenBans, showBans } from "./dashboard/bans.js";
import { listenOrders } from "./dashboard/orders.js";
import { showFeed } from "./dashboard/feed.js";

// Between two looks, in milliseconds; what changes slowly is looked at every few.
const LOOK_MS = 2_000;
const SLOW_EVERY = 5;
// The longest pause when the node does not answer.
const PAUSE_MAX = 30_000;
// The feed is drawn at most this often, however much happens.
const FEED_MS = 400;
// Nodes of one network whose peers are asked for.
const NODES_MAX = 16;

const history = new History();
const heights = new Heights();
let rates = new Rates();
let byFamily = new Map();
let chosen = "";
let slow = {};
let looks = 0;
let timer = 0;
let pause = LOOK_MS;
let isLooking = false;
let isWanted = false;
let isStreaming = false;
let feedTimer = 0;

const familyOf = (name) => [...byFamily].find(([, nodes]) => nodes.some((node) => node.name === name))?.[0] ?? name;

const stream = new Stream(
  (happened) => {
    history.add(happened, familyOf);
    feedTimer ||= setTimeout(drawFeed, FEED_MS);
  },
  (isOpen) => {
    isStreaming = isOpen;
    showLive(true);
  },
);

function drawFeed() {
  feedTimer = 0;
  showFeed(history, chosen);
}

function showLive(isAnswering) {
  const live = by("live");
  const [word, mood] = !isAnswering
    ? ["The node does not answer", "bad"]
    : isStreaming
      ? ["Live", "good"]
      : ["No events", "warn"];
  write(live, word);
  set(live, "class", `pill ${mood}`);
}

// The network that the address names, or the first.
function choose(networks) {
  let wanted = "";
  try {
    wanted = decodeURIComponent(location.hash.slice(1));
  } catch {
    // Not one of ours.
  }
  const found = networks.find((network) => network.name === wanted) ?? networks[0];
  if (found?.name !== chosen) {
    chosen = found?.name ?? "";
    slow = {};
    looks = 0;
    rates = new Rates();
  }
  return found;
}

async function lookSlowly(network, peers) {
  if (looks % SLOW_EVERY === 0) {
    const ask = (...path) => get(of(network.name, ...path));
    const list = (what, limit) => get(`${of(network.name, what)}?limit=${limit}`);
    const [risk, groups, known, bans, pool] = await Promise.all([
      ask("risk"),
      ask("addresses", "groups"),
      list("addresses", KNOWN_MAX),
      list("bans", BANS_MAX + 1),
      list("mempool", POOL_MAX),
    ]);
    slow = { risk, groups, known, bans, pool };
  }
  looks += 1;
  showRisk(slow.risk, peers);
  showBook(slow.groups);
  showBans(network.name, slow.bans);
  showPool(network, slow.pool);
}

// A node alone: its newest block's own time tells how long it was on its way.
async function lookAtBlock(family, network) {
  const [newest] = history.blocks(family, 1);
  if (newest && newest.made === null && newest.hash === network.tip) {
    const block = await get(of(network.name, "blocks", newest.hash)).catch(() => null);
    if (block) {
      history.made(family, newest.hash, block.time);
    }
  }
}

function trafficOf(peers) {
  return new Map(
    peers.flatMap((peer) => [
      [`${peer.id} in`, peer.bytesrecv],
      [`${peer.id} out`, peer.bytessent],
    ]),
  );
}

async function lookAt(network) {
  const family = familyOf(network.name);
  const nodes = (byFamily.get(family) ?? [network]).slice(0, NODES_MAX);
  const all = nodes.includes(network) ? nodes : [...nodes, network];
  const lists = await Promise.all(all.map((node) => get(of(node.name, "peers"))));
  if (network.name !== chosen) {
    return;
  }
  const withPeers = all.map((node, at) => ({ ...node, peers: lists[at] }));
  const peers = lists[all.indexOf(network)];
  const speeds = rates.look(trafficOf(peers));
  write(by("chosen"), clean(network.name, 80));
  write(by("place"), network.listen ? `listens at ${clean(network.listen, 80)}` : "does not listen");
  showState(network, peers, heights.rate(network.name), history.tips(network.name));
  showPeers(network.name, peers, speeds);
  await lookSlowly(network, peers);
  showTopology(withPeers, slow.known, network.name, speeds);
  const isAlone = all.length === 1;
  if (isAlone) {
    await lookAtBlock(family, network);
  }
  showHistogram(history.delays(family), isAlone);
  showWaterfall(history.blocks(family, 64), all.length);
  by("detail").hidden = false;
}

async function look() {
  const status = await get("status");
  byFamily = families(status.networks);
  notePools(status.networks);
  status.networks.forEach((network) => heights.add(network.name, network.height));
  const network = choose(status.networks);
  write(by("node"), `${clean(status.node, 60)}, version ${clean(status.version, 20)}`);
  showOverview(byFamily, chosen);
  stream.open(status.last_event);
  showLive(true);
  if (network) {
    await lookAt(network);
  }
  drawFeed();
}

async function tick() {
  clearTimeout(timer);
  if (isLooking || document.hidden) {
    isWanted = true;
    return;
  }
  isLooking = true;
  isWanted = false;
  try {
    await look();
    pause = LOOK_MS;
  } catch (problem) {
    if (!(problem instanceof Problem)) {
      console.error(problem);
    }
    showLive(problem.status !== 0);
    pause = Math.min(2 * pause, PAUSE_MAX);
  }
  isLooking = false;
  if (!document.hidden) {
    timer = setTimeout(tick, isWanted ? 0 : pause);
  }
}

function lookAgain() {
  looks = 0;
  pause = LOOK_MS;
  tick();
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    clearTimeout(timer);
    stream.close();
    isStreaming = false;
  } else {
    lookAgain();
  }
});
window.addEventListener("hashchange", lookAgain);
by("kinds").addEventListener("change", drawFeed);
listenOrders(() => chosen, lookAgain);
listenBans(() => chosen);
tick();
