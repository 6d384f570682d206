//! Catches up: asks peers for their best tips, has the ledger say what of the best is missing, fetches it (Mina spec,
//! section 5.5).
//!
//! ```text
//!   a peer is ready, or it is time
//!     │  get_best_tip, to a few at a time
//!     ▼
//!   root, body hashes, tip ── folded: does the tip follow from the root? ── no ──► blame
//!     │  is it better than ours, and what of it is missing?
//!     ▼
//!   ledger ── nothing ──► done
//!     │  missing, oldest first
//!     ▼
//!   get_transition_chain, to any peer: a few blocks each, or one where a peer takes no more
//!     │  each hashed: is it the one that was asked for?  ── no ──► blame, and another peer is asked
//!     ▼
//!   ledger, in their order, a few at a time ──► done when the last is judged
//! ```
//!
//! What a peer could not bring is asked of another; a chain that nobody has any more is given up. A block that gossip
//! leads to and that is not here is fetched the same way.

mod hands;
mod proof;
mod run;

pub use proof::{Unproven, prove};

use crate::checks::Rules;
use crate::ledger::{Hash, Verdict};
use crate::rpc::{self, AskId, Method, NotAsked, Question, Rpc};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use bytes::Bytes;
use core::time::Duration;
use polypeer_engine::{ConnectionId, Now, Stock, Stocks, Time};
use run::Run;

/// Best tips that are asked for, or with the ledger, at a time. Each may have two blocks of 4 MiB.
pub const TIPS_MAX: usize = 3;
/// How often it is looked whether somebody could be asked.
const LOOK_TIME: Duration = Duration::from_secs(5);
/// How long a peer that brought something wrong, or nothing, is asked for nothing.
const SHUN_TIME: Duration = Duration::from_secs(60);
/// Blocks below one that gossip brought that are fetched one by one; what is farther behind is caught up with.
const BELOW_MAX: usize = 8;

/// What is to be done, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// A peer has this chain, and its path is proven: ask the ledger, and say what it says with [`Sync::on_candidate`].
    Candidate {
        /// Who.
        connection: ConnectionId,
        /// The block from which the path begins.
        root: Bytes,
        /// The best block.
        tip: Bytes,
        /// Blocks from genesis to it.
        length: u32,
        /// State hashes from the block behind the root to the tip.
        path: Vec<Hash>,
    },
    /// This block was fetched and keeps the cheap rules: ask the ledger, and say what it says with [`Sync::on_judged`].
    Block {
        /// Who brought it.
        connection: ConnectionId,
        /// Its state hash.
        hash: Hash,
        /// Its bytes.
        block: Bytes,
        /// Where in them the body begins.
        header_end: u32,
    },
    /// Catching up has begun, or is over.
    CatchingUp(bool),
    /// A peer did what it must not.
    Blame {
        /// Who.
        connection: ConnectionId,
        /// What.
        blame: Blame,
    },
}

/// What a peer can do wrong here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// A best tip that does not follow from its root, or breaks a rule that every node checks.
    UnprovenTip,
    /// Other blocks than were asked for, or none that decode.
    OtherBlocks,
    /// A chain in which the ledger refused a block.
    RefusedChain,
}

/// What it works with.
#[derive(Debug)]
pub struct Hands<'a> {
    /// Both clocks.
    pub now: Now,
    /// The cheap rules.
    pub rules: &'a Rules,
    /// Our own tip, if it is known.
    pub own: Option<Hash>,
    /// Whom questions are put through.
    pub rpc: &'a mut Rpc,
    /// What those want done.
    pub wire: &'a mut Vec<rpc::Output>,
    /// What is to be done.
    pub out: &'a mut Vec<Output>,
}

impl Hands<'_> {
    fn time(&self) -> Time {
        self.now.monotonic
    }

    fn ask(&mut self, connection: ConnectionId, question: Question) -> Result<AskId, NotAsked> {
        self.rpc.ask(self.now.monotonic, connection, question, self.wire)
    }
}

/// A peer that can be asked.
#[derive(Clone, Copy, Debug, Default)]
struct Source {
    /// When it was last asked for its best tip.
    asked: Option<Time>,
    /// Until when it is asked for nothing.
    shunned: Option<Time>,
}

/// A best tip that is with the ledger.
#[derive(Clone, Debug)]
struct Candidate {
    hash: Hash,
    tip: Bytes,
    length: u32,
}

/// Catching up, with whomever.
#[derive(Debug)]
pub struct Sync {
    // How often a peer is asked for its best tip.
    interval: Duration,
    sources: BTreeMap<ConnectionId, Source>,
    // Best tips that are asked for.
    tips: BTreeMap<AskId, ConnectionId>,
    // Best tips that are with the ledger.
    candidates: BTreeMap<ConnectionId, Candidate>,
    run: Option<Run>,
    next_look: Time,
}

impl Sync {
    /// One that asks each peer so often for its best tip.
    pub fn new(interval: Duration) -> Self {
        let (sources, tips, candidates) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { interval, sources, tips, candidates, run: None, next_look: Time::ZERO }
    }

    /// Whether blocks are being fetched to follow a better chain.
    pub fn is_catching_up(&self) -> bool {
        self.run.as_ref().is_some_and(|run| run.from.is_some())
    }

    /// How long a peer's chain is that the ledger is asked about, in blocks.
    pub fn length(&self, connection: ConnectionId) -> Option<u32> {
        self.candidates.get(&connection).map(|candidate| candidate.length)
    }

    /// What it holds, for people.
    pub fn stock(&self, peers: usize, stocks: &mut Stocks) {
        let (wanted, held) = self.run.as_ref().map_or((0, 0), |run| (run.wanted(), run.held()));
        stocks.push(Stock::of_peers("peers to catch up with", self.sources.len(), peers));
        stocks.push(Stock::of_peers("best tips under way", self.tips.len() + self.candidates.len(), 2 * TIPS_MAX));
        stocks.push(Stock::of_peers("blocks wanted", wanted, rpc::PATH_MAX));
        stocks.push(Stock::of_peers("blocks fetched", held, run::WINDOW_BLOCKS));
    }
}

/// What happens.
impl Sync {
    /// A peer that answers questions is ready.
    pub fn meet(&mut self, connection: ConnectionId, hands: &mut Hands<'_>) {
        self.sources.insert(connection, Source::default());
        self.look(hands);
        self.go_on(hands);
    }

    /// A peer is gone. Its questions have failed by then, or will not be heard of.
    pub fn forget(&mut self, connection: ConnectionId, hands: &mut Hands<'_>) {
        self.sources.remove(&connection);
        self.candidates.remove(&connection);
        self.tips.retain(|_, asked| *asked != connection);
        if let Some(run) = &mut self.run {
            run.lost(connection);
        }
        self.go_on(hands);
    }

    /// The time that [`Sync::next_wake`] named has come.
    pub fn wake(&mut self, hands: &mut Hands<'_>) {
        if self.run.as_ref().is_some_and(|run| run.is_stalled(hands.time())) {
            self.end(hands);
        }
        self.look(hands);
        self.go_on(hands);
    }

    /// When it wants to be woken.
    pub fn next_wake(&self) -> Time {
        self.next_look
    }

    /// What came of a question; nothing when it failed, or the peer has none.
    pub fn on_answered(&mut self, connection: ConnectionId, ask: AskId, answer: Option<&Bytes>, hands: &mut Hands<'_>) {
        if self.tips.remove(&ask).is_some() {
            self.on_tip(connection, answer, hands);
        } else if let Some(batch) = self.run.as_mut().and_then(|run| run.answered(&ask)) {
            self.on_blocks(connection, batch, answer, hands);
        }
        self.look(hands);
        self.go_on(hands);
    }

    /// What the ledger says of a peer's chain: the hashes that are missing, oldest first.
    pub fn on_candidate(&mut self, connection: ConnectionId, wants: Vec<Hash>, hands: &mut Hands<'_>) {
        let Some(Candidate { hash, tip, .. }) = self.candidates.remove(&connection) else { return };
        if !wants.is_empty() && !self.is_catching_up() {
            let mut run = Run::new(hands.time(), Some(connection), wants);
            run.bring(&hash, &tip, connection);
            self.run = Some(run);
            hands.out.push(Output::CatchingUp(true));
        }
        self.look(hands);
        self.go_on(hands);
    }

    /// What the ledger says of a fetched block, and which one it misses below it.
    pub fn on_judged(&mut self, hash: &Hash, verdict: Verdict, wants: Option<Hash>, hands: &mut Hands<'_>) {
        let Some(run) = &mut self.run else { return };
        if !run.judged(hands.time(), hash) {
            return;
        }
        match (verdict, wants) {
            (Verdict::Reject, _) => {
                if let Some(connection) = run.from {
                    hands.out.push(Output::Blame { connection, blame: Blame::RefusedChain });
                    self.shun(connection, hands.time());
                }
                self.end(hands);
            }
            (_, Some(below)) if run.from.is_none() => {
                let depth = run.depth + 1;
                self.run = (depth < BELOW_MAX).then(|| Run::below(hands.time(), below, depth));
                if self.run.is_none() {
                    self.look_at_once(hands);
                }
            }
            _ => {}
        }
        self.go_on(hands);
    }

    /// A block that gossip leads to is not here.
    pub fn want(&mut self, hash: &Hash, hands: &mut Hands<'_>) {
        if self.run.is_some() {
            return;
        }
        self.run = Some(Run::below(hands.time(), *hash, 0));
        self.go_on(hands);
    }
}

/// How it goes on.
impl Sync {
    // Asks for best tips, those first who were asked longest ago.
    fn look(&mut self, hands: &mut Hands<'_>) {
        let now = hands.time();
        self.next_look = now + LOOK_TIME;
        if self.is_catching_up() {
            return;
        }
        let is_due = |source: &Source| {
            let is_rested = source.asked.is_none_or(|asked| asked + self.interval <= now);
            is_rested && source.shunned.is_none_or(|until| until <= now)
        };
        let due = self.sources.iter().filter(|(_, source)| is_due(source));
        let mut due: Vec<(Option<Time>, ConnectionId)> = due.map(|(connection, it)| (it.asked, *connection)).collect();
        due.sort_unstable();
        for (_, connection) in due {
            if self.tips.len() + self.candidates.len() >= TIPS_MAX {
                break;
            }
            if let Some(source) = self.sources.get_mut(&connection) {
                source.asked = Some(now);
            }
            if let Ok(ask) = hands.ask(connection, Question::plain(Method::BestTip)) {
                self.tips.insert(ask, connection);
            }
        }
    }

    // Gossip is far ahead of what is here: whoever may be asked is.
    fn look_at_once(&mut self, hands: &mut Hands<'_>) {
        self.sources.values_mut().for_each(|source| source.asked = None);
        self.look(hands);
    }

    fn on_tip(&mut self, connection: ConnectionId, answer: Option<&Bytes>, hands: &mut Hands<'_>) {
        let Some(answer) = answer else { return };
        match prove(answer, hands.rules, hands.now.unix_ms) {
            Ok(proven) if Some(proven.hash) == hands.own => {}
            Ok(proven) => {
                let proof::Proven { hash, root, tip, length, path } = proven;
                self.candidates.insert(connection, Candidate { hash, tip: tip.clone(), length });
                hands.out.push(Output::Candidate { connection, root, tip, length, path });
            }
            Err(Unproven::NotYet) => {}
            Err(Unproven::Malformed(_) | Unproven::Broken | Unproven::Rule(_)) => {
                self.shun(connection, hands.time());
                hands.out.push(Output::Blame { connection, blame: Blame::UnprovenTip });
            }
        }
    }

    fn on_blocks(
        &mut self,
        connection: ConnectionId,
        batch: run::Batch,
        answer: Option<&Bytes>,
        hands: &mut Hands<'_>,
    ) {
        let Some(run) = &mut self.run else { return };
        let Some(answer) = answer else {
            // It does not have them, or does not say: others may.
            run.missed(connection, &batch);
            self.shun(connection, hands.time());
            return;
        };
        if run.takes(connection, &batch, answer, hands.rules, hands.now).is_err() {
            run.missed(connection, &batch);
            self.shun(connection, hands.time());
            hands.out.push(Output::Blame { connection, blame: Blame::OtherBlocks });
        }
    }

    // Hands over what is there in order, and asks for what is not.
    fn go_on(&mut self, hands: &mut Hands<'_>) {
        let Some(run) = &mut self.run else { return };
        run.hand_over(hands.out);
        if run.is_done() {
            return self.end(hands);
        }
        let now = hands.time();
        let may_ask = |source: &Source| source.shunned.is_none_or(|until| until <= now);
        let sources = self.sources.iter().filter(|(_, source)| may_ask(source)).map(|(connection, _)| *connection);
        let sources: Vec<ConnectionId> = sources.collect();
        run.fetch(&sources, hands);
        // A block of gossip that nobody has is not waited for.
        if run.from.is_none() && run.is_hopeless() {
            self.end(hands);
        }
    }

    fn end(&mut self, hands: &mut Hands<'_>) {
        if let Some(run) = self.run.take()
            && run.from.is_some()
        {
            hands.out.push(Output::CatchingUp(false));
        }
    }

    fn shun(&mut self, connection: ConnectionId, now: Time) {
        if let Some(source) = self.sources.get_mut(&connection) {
            source.shunned = Some(now + SHUN_TIME);
        }
    }
}
