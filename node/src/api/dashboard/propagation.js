// Shows how long blocks take: a histogram of delays, and which node saw each of the last blocks when.

import { by, el, keyed, set, svg, write } from "./dom.js";
import { ago, clean, count, many, millis, short } from "./words.js";

// Upper ends of the histogram's bars in milliseconds; the last bar has no end.
const ENDS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000];
const LABELS = ["1", "2", "5", "10", "20", "50", "100", "200", "500", "1 s", "2 s", "5 s", "10 s", "more"];
// Blocks of the waterfall.
const BLOCKS_SHOWN = 10;
const TRACK = { left: 4, width: 292 };

function quantile(sorted, share) {
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)];
}

// How many delays fall into each bar.
export function bars(delays) {
  const found = new Array(ENDS.length + 1).fill(0);
  for (const delay of delays) {
    const at = ENDS.findIndex((end) => delay < end);
    found[at < 0 ? ENDS.length : at] += 1;
  }
  return found;
}

// Shows the histogram. `isAlone` is whether there is no other node to compare with.
export function showHistogram(delays, isAlone) {
  const panel = by("propagation");
  if (!panel.firstChild) {
    const columns = LABELS.map((label, at) =>
      svg(
        "g",
        { transform: `translate(${at * 32 + 4} 0)` },
        svg("title"),
        svg("rect", { x: 0, width: 26, rx: 2 }),
        svg("text", { x: 13, y: 136, "text-anchor": "middle" }, label),
      ),
    );
    panel.append(
      el("p", { class: "muted" }),
      svg(
        "svg",
        { viewBox: "0 0 456 142", class: "histogram", role: "img", "aria-labelledby": "propagation-title" },
        ...columns,
      ),
      el(
        "dl",
        { class: "trio" },
        ...["half within", "90 % within", "99 % within"].map((name) => el("div", {}, el("dt", {}, name), el("dd"))),
      ),
    );
  }
  const [text, picture, quantiles] = panel.children;
  const what = isAlone
    ? "How old blocks were, by their own clock, when they came to stand here"
    : "From the first node of this process that had a block to each other one";
  write(
    text,
    delays.length === 0 ? `${what}: none seen yet.` : `${what}: ${many(delays.length, "time")}, in milliseconds.`,
  );
  const counts = bars(delays);
  const most = Math.max(1, ...counts);
  [...picture.children].forEach((column, at) => {
    const height = (112 * counts[at]) / most;
    const [title, bar] = column.children;
    write(title, `${at === 0 ? "under" : "up to"} ${LABELS[at]}: ${count(counts[at])}`);
    set(bar, "y", (120 - Math.max(height, 1)).toFixed(1));
    set(bar, "height", Math.max(height, 1).toFixed(1));
    set(bar, "class", counts[at] > 0 ? "full" : "none");
  });
  const sorted = [...delays].sort((a, b) => a - b);
  [0.5, 0.9, 0.99].forEach((share, at) => {
    write(quantiles.children[at].lastChild, sorted.length > 0 ? millis(quantile(sorted, share)) : "–");
  });
}

function createRow() {
  return el(
    "li",
    {},
    el("span", { class: "mono" }),
    svg(
      "svg",
      { viewBox: "0 0 300 16", preserveAspectRatio: "none", "aria-hidden": true },
      svg("line", { x1: TRACK.left, x2: TRACK.left + TRACK.width, y1: 8, y2: 8 }),
      svg("g"),
    ),
    el("span", { class: "number" }),
    el("small", { class: "muted" }),
  );
}

function points(block, isAlone) {
  if (isAlone) {
    return block.made === null
      ? []
      : [
          { name: "made", delay: 0 },
          { name: "here", delay: Math.max(0, block.first - block.made) },
        ];
  }
  return [...block.seen].map(([name, time]) => ({ name, delay: Math.max(0, time - block.first) }));
}

// Shows the last blocks, newest first. `nodes` is how many could have seen them.
export function showWaterfall(blocks, nodes) {
  const panel = by("waterfall");
  if (!panel.firstChild) {
    panel.append(el("p", { class: "muted" }), el("ol", { class: "plain waterfall" }));
  }
  const isAlone = nodes === 1;
  // Of a node alone those whose own time was asked for come first: the others have nothing to show.
  const told =
    isAlone && blocks.some((block) => block.made !== null) ? blocks.filter((block) => block.made !== null) : blocks;
  const rows = told.slice(0, BLOCKS_SHOWN).map((block) => ({ block, points: points(block, isAlone) }));
  const most = Math.max(1, ...rows.flatMap((row) => row.points.map((point) => point.delay)));
  const what = isAlone
    ? "From when a block was made to when it stood here"
    : "A mark for each node, from the first that had the block";
  write(panel.firstChild, rows.length === 0 ? "No block was seen yet." : `${what}; the whole line is ${millis(most)}.`);
  keyed(
    panel.lastChild,
    rows,
    (row) => row.block.hash,
    createRow,
    (line, row) => {
      const [label, track, last, note] = line.children;
      write(label, `${count(row.block.height)} ${short(row.block.hash, 8)}`);
      keyed(
        track.lastChild,
        row.points,
        (point) => point.name,
        () => svg("rect", { width: 3, y: 2, height: 12, rx: 1 }, svg("title")),
        (mark, point) => {
          set(mark, "x", (TRACK.left + (TRACK.width * point.delay) / most - 1.5).toFixed(1));
          set(mark, "class", point.delay === 0 ? "first" : "later");
          write(mark.firstChild, `${clean(point.name, 60)} ${millis(point.delay)}`);
        },
      );
      const end = Math.max(0, ...row.points.map((point) => point.delay));
      write(last, row.points.length === 0 ? "–" : millis(end));
      write(note, isAlone ? ago(row.block.first) : `${row.block.seen.size} of ${nodes}`);
    },
  );
}
