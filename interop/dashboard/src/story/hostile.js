// Shows what a hostile peer says of itself, by the page's own parts. Whether all of it stayed text.
(async () => {
  const { clean } = await import("./dashboard/words.js");
  const { showFeed } = await import("./dashboard/feed.js");
  const { showPeers } = await import("./dashboard/peers.js");
  const { showBans } = await import("./dashboard/bans.js");
  const { History } = await import("./dashboard/history.js");
  const evil = "<img src=x onerror='window.ran = 1'><script>window.ran = 1</script>\u202egnp.exe\u0000";
  const now = Date.now();
  const history = new History();
  history.add(
    { sequence: 9e9, time: now, network: evil, event: "peer_ready", address: evil, about: evil },
    (name) => name,
  );
  history.add({ sequence: 9e9 + 1, time: now, network: "x", event: "note", text: evil }, (name) => name);
  showFeed(history, "x");
  const peer = {
    id: 9e9,
    addr: evil,
    subver: evil,
    inbound: true,
    connection_type: "inbound",
    ready: true,
    conntime: now / 1000,
    pingtime: 0.001,
    minping: 0.001,
    bytesrecv: 1,
    bytessent: 1,
    synced_blocks: 1,
    last_block: 0,
    last_transaction: 0,
    slips: 0,
  };
  showPeers("x", [peer], new Map());
  showBans("x", [{ address: evil, until: now + 1000, reason: evil, severity: "banned" }]);
  const places = ["#feed", "#peers", "#bans"].map((place) => document.querySelector(place));
  const isThere = places.every((place) => place.textContent.includes("<img src=x"));
  const isText = places.every((place) => place.querySelector("img, script") === null);
  const isPrintable =
    places.every((place) => !/[\u202e\u0000]/.test(place.innerText)) && !/[\u202e\u0000]/.test(clean(evil));
  // A picture that does not load would run its handler by now.
  await new Promise((resolve) => setTimeout(resolve, 200));
  return { isThere, isText, isPrintable, isQuiet: window.ran === undefined };
})();
