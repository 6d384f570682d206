// Shows the address book by network group.

import { by, el, keyed, set, write } from "./dom.js";
import { clean, count, many } from "./words.js";

// Groups shown; the rest is one bar.
const GROUPS_SHOWN = 8;

// Shows the panel.
export function showBook(groups) {
  const panel = by("book");
  if (!panel.firstChild) {
    panel.append(el("p", { class: "muted" }), el("ul", { class: "plain bars" }), el("p", { class: "muted empty" }));
  }
  const [about, list, note] = panel.children;
  write(by("book-count"), count(groups.entries));
  const share = (part, of) => `${Math.round((100 * part) / Math.max(1, of))} %`;
  write(
    about,
    `${count(groups.proven)} reached before, ${count(groups.tried)} in the tried table; ${many(groups.distinct, "network group")}.`,
  );
  const some = groups.groups.slice(0, GROUPS_SHOWN);
  const named = some.reduce((sum, one) => sum + one.entries, 0);
  const rest = groups.entries - groups.ungrouped - named;
  const rows = some.map((one) => [one.group, one.entries]);
  if (rest > 0) {
    rows.push([`${count(groups.distinct - some.length)} other groups`, rest]);
  }
  if (groups.ungrouped > 0) {
    rows.push(["without a group", groups.ungrouped]);
  }
  const most = Math.max(1, ...rows.map(([, entries]) => entries));
  keyed(
    list,
    rows,
    ([name]) => name,
    () => el("li", {}, el("span", { class: "mono" }), el("meter", { min: 0, max: 1 }), el("span", { class: "number" })),
    (row, [name, entries]) => {
      const [label, bar, value] = row.children;
      write(label, clean(name, 40));
      set(bar, "value", (entries / most).toFixed(3));
      set(bar, "aria-label", clean(name, 40));
      write(value, share(entries, groups.entries));
    },
  );
  const sampled = groups.counted < groups.entries ? `By a sample of ${count(groups.counted)}. ` : "";
  const local = groups.ungrouped > 0 ? "Groups mean nothing on this machine and in private networks." : "";
  write(note, groups.entries === 0 ? "It is empty." : `${sampled}${local}`);
}
