// Shows how near a network is to an eclipse: a gauge of the API's score, and what it is made of.

import { by, el, keyed, set, svg, write } from "./dom.js";
import { clean, count, many } from "./words.js";
import { levelOf } from "./overview.js";

// Findings shown: the API has ten kinds.
const FINDINGS_MAX = 10;
const ARC = "M 20 100 A 80 80 0 0 1 180 100";

function build(panel) {
  const gauge = svg(
    "svg",
    { viewBox: "0 0 200 112", class: "gauge", role: "img", "aria-labelledby": "risk-title" },
    svg("path", { d: ARC, class: "track" }),
    svg("path", { d: ARC, class: "value", pathLength: 100 }),
    svg("text", { x: 100, y: 88, "text-anchor": "middle", class: "score" }),
    svg("text", { x: 100, y: 108, "text-anchor": "middle", class: "level" }),
  );
  panel.append(gauge, el("p", { class: "muted" }), el("ul", { class: "findings" }));
}

// What stands against the findings, in numbers.
function ties(peers, reserved) {
  const ready = peers.filter((peer) => peer.ready);
  const outbound = ready.filter((peer) => !peer.inbound);
  const groups = new Set(outbound.map((peer) => peer.group).filter(Boolean)).size;
  const named = reserved > 0 ? `, ${count(reserved)} named by the operator` : "";
  // On this machine and in private networks groups mean nothing, and the API names none.
  const into = groups > 0 ? ` into ${many(groups, "network group")}` : "";
  return `${count(outbound.length)} outbound${into}, ${count(ready.length - outbound.length)} inbound${named}.`;
}

// Shows the gauge.
export function showRisk(risk, peers) {
  const panel = by("risk");
  if (!panel.firstChild) {
    build(panel);
  }
  const [gauge, text, list] = panel.children;
  const [, value, score, level] = gauge.children;
  const [word, mood] = levelOf(risk.score);
  set(gauge, "class", `gauge ${mood}`);
  set(value, "stroke-dasharray", `${risk.score} 200`);
  write(score, risk.score);
  write(level, word);
  write(text, ties(peers, risk.reserved));
  const findings = risk.findings.slice(0, FINDINGS_MAX);
  keyed(
    list,
    findings,
    (one) => one.name,
    () => el("li", {}, el("span"), el("b")),
    (row, one) => {
      write(row.firstChild, clean(one.text, 200));
      write(row.lastChild, `+${one.points}`);
    },
  );
}
