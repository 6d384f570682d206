// Shows the transactions that wait.

import { by, el, keyed, set, svg, write } from "./dom.js";
import { count, many, short } from "./words.js";

// Transactions that are asked for and shown.
export const SHOWN_MAX = 8;
// Looks of the little chart.
const LOOKS = 60;

const counts = new Map();

// Notes how many wait in each network.
export function notePools(networks) {
  for (const name of [...counts.keys()]) {
    if (!networks.some((network) => network.name === name)) {
      counts.delete(name);
    }
  }
  for (const network of networks) {
    counts.set(network.name, [...(counts.get(network.name) ?? []), network.mempool].slice(-LOOKS));
  }
}

function line(values) {
  const most = Math.max(1, ...values);
  const at = (value, index) => `${(200 * index) / (LOOKS - 1)},${(38 - (34 * value) / most).toFixed(1)}`;
  return values.map((value, index) => at(value, index + LOOKS - values.length)).join(" ");
}

// Shows the panel.
export function showPool(network, pool) {
  const panel = by("pool");
  if (!panel.firstChild) {
    const chart = svg(
      "svg",
      { viewBox: "0 0 200 40", class: "spark", preserveAspectRatio: "none", "aria-hidden": true },
      svg("polyline", {}),
    );
    panel.append(
      chart,
      el("p", { class: "muted" }),
      el("ul", { class: "plain mono" }),
      el("p", { class: "muted empty" }),
    );
  }
  const [chart, scale, list, more] = panel.children;
  const values = counts.get(network.name) ?? [];
  set(chart.firstChild, "points", line(values));
  write(by("pool-count"), count(network.mempool));
  write(scale, values.length > 1 ? `Up to ${count(Math.max(...values))} while this page was open.` : "");
  const ids = pool?.transactions.slice(0, SHOWN_MAX) ?? [];
  keyed(
    list,
    ids,
    (id) => id,
    () => el("li"),
    (row, id) => write(row, short(id, 24)),
  );
  const rest = network.mempool - ids.length;
  write(
    more,
    network.mempool === 0 ? "Nothing waits." : rest > 0 && ids.length > 0 ? `and ${many(rest, "more", "more")}` : "",
  );
}
