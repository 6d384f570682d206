// Shows what happens, newest first, never more than a screenful or two.

import { by, el, keyed, set, write } from "./dom.js";
import { clean, clock, count, short } from "./words.js";
import { kindOf } from "./history.js";

// Events shown.
const SHOWN_MAX = 80;
const MOODS = {
  slip: "warn",
  convicted: "bad",
  discouraged: "warn",
  banned: "bad",
  evicted: "warn",
  dropped: "warn",
  refused: "warn",
  unbanned: "good",
};

// What an event is, in a word, how good that is, and the rest of it.
function told(happened) {
  switch (happened.event) {
    case "peer_ready":
      return [
        "peer",
        "good",
        `${clean(happened.address, 60)} is ready${happened.about ? `: ${clean(happened.about, 120)}` : ""}`,
      ];
    case "peer_gone":
      return ["gone", "", `${clean(happened.address, 60)}: ${clean(happened.cause, 120)}`];
    case "reason": {
      const { what, peer, text, times } = happened.why;
      return [
        clean(what, 20),
        MOODS[what] ?? "",
        `${clean(peer, 60)}: ${clean(text, 240)}${times > 1 ? `, ${count(times)} times` : ""}`,
      ];
    }
    case "tip":
      return ["block", "", `${count(happened.height)} ${short(happened.hash, 24)}`];
    case "gap":
      return ["gap", "warn", `${count(happened.lost)} events were lost`];
    default:
      return ["note", "", clean(happened.text, 300)];
  }
}

function create(happened) {
  const [word, mood, text] = told(happened);
  return el(
    "li",
    { "data-kind": kindOf(happened) },
    el("time", { class: "muted", datetime: new Date(happened.time).toISOString() }, clock(happened.time)),
    el("span", { class: "from muted" }, clean(happened.network, 40)),
    el("span", { class: `pill ${mood}` }, word),
    el("span", { class: "text" }, text),
  );
}

// Shows the list, as its boxes want it.
export function showFeed(history, chosen) {
  const kinds = [...by("kinds").querySelectorAll("input[value]:checked")].map((box) => box.value);
  const only = by("only").checked ? chosen : null;
  const events = history.events(
    kinds.filter((kind) => kind !== "on"),
    only,
    SHOWN_MAX,
  );
  const list = by("feed");
  keyed(
    list,
    events,
    (happened) => `${happened.sequence} ${happened.time}`,
    create,
    () => {},
  );
  if (events.length === 0) {
    list.append(list.querySelector(".none") ?? el("li", { class: "none muted" }, "Nothing happened yet."));
  } else {
    list.querySelector(".none")?.remove();
  }
  set(list, "aria-busy", null);
  write(by("feed-title"), "Events");
}
