// Puts numbers, times and foreign texts into words that fit.

// Control characters, and those that turn the direction of what follows: a peer's text must not rearrange the page.
const UNPRINTABLE =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;

// A foreign text, cut and without what does not print.
export function clean(text, max = 200) {
  const kept = String(text ?? "")
    .slice(0, max + 1)
    .replace(UNPRINTABLE, "\ufffd");
  return kept.length > max ? `${kept.slice(0, max)}…` : kept;
}

// A whole number.
export function count(number) {
  return Number(number ?? 0).toLocaleString("en");
}

// `1 peer`, `2 peers`.
export function many(number, one, more = `${one}s`) {
  return `${count(number)} ${number === 1 ? one : more}`;
}

// Bytes.
export function bytes(number) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = Number(number ?? 0);
  let unit = 0;
  while (value >= 999.5 && unit + 1 < units.length) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 || value >= 99.5 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

// A wait in milliseconds.
export function millis(value) {
  if (value >= 59_950) {
    return span(value / 1000);
  }
  if (value >= 999.5) {
    return `${(value / 1000).toFixed(1)} s`;
  }
  return value >= 9.95 || value === 0
    ? `${Math.round(value)} ms`
    : value >= 0.1
      ? `${value.toFixed(1)} ms`
      : "< 0.1 ms";
}

// A span in seconds, in its largest units.
export function span(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const units = [
    ["d", 86_400],
    ["h", 3_600],
    ["min", 60],
    ["s", 1],
  ];
  const first = units.findIndex(([, length]) => whole >= length);
  if (first < 0) {
    return "0 s";
  }
  const [name, length] = units[first];
  const value = Math.floor(whole / length);
  const [nextName, nextLength] = units[first + 1] ?? [];
  const rest = nextLength && value < 10 ? Math.floor((whole % length) / nextLength) : 0;
  return rest > 0 ? `${value} ${name} ${rest} ${nextName}` : `${value} ${name}`;
}

// Since a time in milliseconds since 1970.
export function ago(time, now = Date.now()) {
  return `${span((now - time) / 1000)} ago`;
}

// The time of day.
export function clock(time) {
  return new Date(time).toLocaleTimeString("en-GB");
}

// The beginning of a hash or key.
export function short(hash, digits = 12) {
  return clean(hash, 128).slice(0, digits);
}

// An address's network: an IPv4 /16, an IPv6 /32. For colours and places only; the node's own groups may be others.
export function netOf(address) {
  const host = String(address).replace(/:\d+$/, "");
  if (host.startsWith("[")) {
    return host.slice(1, -1).split(":").slice(0, 2).join(":");
  }
  return host.split(".").slice(0, 2).join(".");
}
