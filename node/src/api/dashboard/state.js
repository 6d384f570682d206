// Shows one network's status, and how far a sync has come.

import { by, el, keyed, set, write } from "./dom.js";
import { ago, clean, count, many, short, span } from "./words.js";
import { stateOf } from "./overview.js";

// The height that peers have, as far as they say: the median of the upper half, since one alone may boast.
export function heightOfPeers(peers) {
  const heights = peers.filter((peer) => peer.ready && peer.synced_blocks !== null).map((peer) => peer.synced_blocks);
  heights.sort((a, b) => b - a);
  return heights.length === 0 ? null : heights[Math.floor((heights.length - 1) / 4)];
}

// How far a sync is, between 0 and 1, and what there is to say about it.
export function progress(network, peers, rate) {
  const goal = heightOfPeers(peers);
  if (!network.syncing) {
    return { share: 1, text: "It has what its peers have." };
  }
  if (goal === null || goal <= network.height) {
    return { share: null, text: "It is catching up; peers do not say how far there is to go." };
  }
  const left = goal - network.height;
  const when = rate > 0 ? `about ${span(left / rate)} left` : "no estimate yet";
  const share = network.height / goal;
  return { share, text: `${count(network.height)} of ${count(goal)}, ${Math.floor(100 * share)} %, ${when}.` };
}

function rows(network, tips) {
  const [word] = stateOf(network);
  const found = [
    ["State", word],
    ["Height", count(network.height)],
    ["Tip", network.tip ? short(network.tip, 16) : "none"],
  ];
  const last = tips.at(-1);
  if (last) {
    const since = tips.filter((tip) => tip.time > Date.now() - 60_000).length;
    found.push(["Newest block", ago(last.time)], ["In the last minute", many(since, "new tip")]);
  }
  if (network.blocks !== undefined) {
    found.push(["Blocks held", count(network.blocks)]);
  }
  if (network.follow_only !== undefined) {
    found.push(["Follows only from", count(network.follow_only)]);
  }
  if (network.members !== undefined) {
    found.push(["Members", count(network.members)]);
  }
  found.push(["Protocol", clean(network.protocol, 40)], ["Listens at", clean(network.listen ?? "nowhere", 80)]);
  return found;
}

// Shows the panel.
export function showState(network, peers, rate, tips) {
  const panel = by("state");
  if (!panel.firstChild) {
    panel.append(
      el("progress", { max: 1, "aria-label": "Sync" }),
      el("p", { class: "muted" }),
      el("dl", { class: "facts" }),
    );
  }
  const [bar, text, facts] = panel.children;
  const { share, text: said } = progress(network, peers, rate);
  set(bar, "value", share);
  write(text, said);
  keyed(
    facts,
    rows(network, tips),
    ([name]) => name,
    ([name]) => el("div", {}, el("dt", {}, name), el("dd")),
    (row, [, value]) => {
      write(row.lastChild, value);
    },
  );
}
