// Lets as much happen as in a tab that is open for days. How much of it the page's memory keeps.
(async () => {
  const { Heights, History, Rates } = await import("./dashboard/history.js");
  const [history, heights, rates] = [new History(), new Heights(), new Rates()];
  const kinds = [
    { event: "tip", hash: "h", height: 1 },
    { event: "note", text: "x" },
    { event: "peer_gone", address: "x", cause: "x" },
  ];
  for (let at = 0; at < 60_000; at += 1) {
    history.add({ sequence: at, time: at, network: `n${at % 1000}`, ...kinds[at % 3] }, (name) => name);
    const tip = { sequence: at, time: at, event: "tip", hash: `h${at}`, height: at };
    history.add({ ...tip, network: "one" }, () => "all");
    history.add({ ...tip, network: "two" }, () => "all");
    heights.add(`n${at % 1000}`, at, at);
    rates.look(new Map([[at, at]]), at);
  }
  return {
    events: history.events(["tip", "note", "peer", "reason"], null, 1e9).length,
    delays: history.delays("all").length,
    blocks: history.blocks("all", 1e9).length,
    tips: history.tips("one").length,
    forgotten: history.tips("n0").length,
  };
})();
