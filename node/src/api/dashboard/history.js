// Remembers what happened, as much as the page shows and no more, however long it is open.

// Events of a kind that are kept. The page shows fewer.
const EVENTS_MAX = 200;
// Blocks of a network that are followed from node to node.
const BLOCKS_MAX = 64;
// Delays of a network's blocks that the histogram is made of.
const DELAYS_MAX = 512;
// Times of a node's last blocks, for its rate.
const TIPS_MAX = 120;
// Networks that are remembered: more than any node runs.
const NETWORKS_MAX = 256;

// The kind of an event, as the page can leave it out.
export function kindOf(happened) {
  switch (happened.event) {
    case "peer_ready":
    case "peer_gone":
      return "peer";
    case "tip":
      return "tip";
    case "reason":
      return "reason";
    default:
      return "note";
  }
}

function push(list, item, max) {
  list.push(item);
  if (list.length > max) {
    list.splice(0, list.length - max);
  }
}

// What was asked for least lately leaves when there are too many.
function entry(map, key, make, max) {
  const value = map.get(key) ?? make();
  map.delete(key);
  map.set(key, value);
  if (map.size > max) {
    map.delete(map.keys().next().value);
  }
  return value;
}

// Everything that is remembered.
export class History {
  #events = new Map();
  #spread = new Map();
  #tips = new Map();

  // Takes an event in. `familyOf` says which network a node is of.
  add(happened, familyOf) {
    push(
      entry(this.#events, kindOf(happened), () => [], 8),
      happened,
      EVENTS_MAX,
    );
    if (happened.event === "tip") {
      push(
        entry(this.#tips, happened.network, () => [], NETWORKS_MAX),
        happened,
        TIPS_MAX,
      );
      this.#follow(
        happened,
        entry(this.#spread, familyOf(happened.network), () => ({ blocks: new Map(), delays: [] }), NETWORKS_MAX),
      );
    }
  }

  #follow({ network, hash, height, time }, spread) {
    const block = entry(
      spread.blocks,
      hash,
      () => ({ hash, height, first: time, seen: new Map(), made: null }),
      BLOCKS_MAX,
    );
    if (block.seen.has(network)) {
      return;
    }
    block.seen.set(network, time);
    if (block.seen.size > 1) {
      push(spread.delays, Math.max(0, time - block.first), DELAYS_MAX);
    }
  }

  // A node alone has nobody to compare with: how old its block was when it came, by the block's own clock.
  made(family, hash, time) {
    const spread = this.#spread.get(family);
    const block = spread?.blocks.get(hash);
    if (block && block.made === null) {
      block.made = time;
      push(spread.delays, Math.max(0, block.first - time), DELAYS_MAX);
    }
  }

  // The newest events of these kinds, newest first.
  events(kinds, network, max) {
    const all = kinds.flatMap((kind) => this.#events.get(kind) ?? []);
    const wanted = network === null ? all : all.filter((happened) => happened.network === network);
    return wanted.sort((a, b) => b.sequence - a.sequence).slice(0, max);
  }

  // Delays of a network's blocks, oldest first.
  delays(family) {
    return this.#spread.get(family)?.delays ?? [];
  }

  // A network's last blocks, newest first.
  blocks(family, max) {
    const blocks = [...(this.#spread.get(family)?.blocks.values() ?? [])];
    return blocks.sort((a, b) => b.first - a.first).slice(0, max);
  }

  // A node's last tips, oldest first.
  tips(network) {
    return this.#tips.get(network) ?? [];
  }
}

// Heights of nodes over time, from which a sync is estimated.
export class Heights {
  #samples = new Map();

  // Notes a height.
  add(network, height, now = Date.now()) {
    push(
      entry(this.#samples, network, () => [], NETWORKS_MAX),
      { height, now },
      60,
    );
  }

  // Blocks a second over the samples, or nothing when there are too few.
  rate(network) {
    const samples = this.#samples.get(network) ?? [];
    const [first, last] = [samples[0], samples.at(-1)];
    if (!first || last.now - first.now < 4_000) {
      return null;
    }
    return Math.max(0, (1000 * (last.height - first.height)) / (last.now - first.now));
  }
}

// Counters that only grow, and how fast.
export class Rates {
  #before = new Map();

  // The growth a second since the last look; nothing at the first.
  look(values, now = Date.now()) {
    const rates = new Map();
    for (const [key, value] of values) {
      const before = this.#before.get(key);
      const seconds = before ? (now - before.now) / 1000 : 0;
      rates.set(key, seconds > 0 && value >= before.value ? (value - before.value) / seconds : 0);
    }
    this.#before = new Map([...values].map(([key, value]) => [key, { value, now }]));
    return rates;
  }
}
