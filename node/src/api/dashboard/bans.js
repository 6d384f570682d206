// Shows whom a network refuses, why, and for how long.

import { by, el, keyed, set, write } from "./dom.js";
import { clean, count, span } from "./words.js";
import { banOther, carryOut } from "./orders.js";
import { of } from "./api.js";

// Bans that are asked for and shown; the API has all of them.
export const SHOWN_MAX = 50;

// Lets the panel's button ban someone who is not here.
export function listenBans(network) {
  by("ban-other").addEventListener("click", () => banOther(network(), ""));
}

function create(ban) {
  const button = el("button", { type: "button", class: "small" }, "Unban");
  button.addEventListener("click", () => {
    const { network, address } = button.dataset;
    carryOut("DELETE", of(network, "bans", address), undefined, `${address} is let in again`);
  });
  return el(
    "li",
    { "data-address": ban.address },
    el("div", {}, el("span", { class: "mono" }), el("small", { class: "muted" })),
    button,
  );
}

// Shows the list.
export function showBans(network, bans) {
  const panel = by("bans");
  if (!panel.firstChild) {
    panel.append(el("ul", { class: "plain entries" }), el("p", { class: "muted empty" }));
  }
  const [list, note] = panel.children;
  const shown = bans.slice(0, SHOWN_MAX);
  keyed(
    list,
    shown,
    (ban) => ban.address,
    create,
    (row, ban) => {
      const [about, button] = row.children;
      write(about.firstChild, clean(ban.address, 60));
      const left = span((ban.until - Date.now()) / 1000);
      write(about.lastChild, `${ban.severity}: ${clean(ban.reason, 120)}, ${left} left`);
      set(button, "data-network", network);
      set(button, "data-address", ban.address);
      set(button, "aria-label", `Unban ${ban.address}`);
    },
  );
  const more = bans.length > SHOWN_MAX;
  write(by("bans-count"), more ? `${count(SHOWN_MAX)}+` : count(bans.length));
  write(note, bans.length === 0 ? "Nobody is refused." : more ? "and more; the API has all of them." : "");
}
