//! Lists the methods, what each may cost and how long it may take: one row each (Mina spec, sections 5.2 and 5.3).

use super::cut;
use core::time::Duration;
use polypeer_engine::Phase;
use polypeer_engine::kit::bucket::Bucket;

/// A method with its version: what a question's tag and version name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    /// Which methods are there?
    Menu,
    /// Whom do you know?
    InitialPeers,
    /// What is your best block, and how does it follow from the last that is final?
    BestTip,
    /// From which final block does this one follow?
    Ancestry,
    /// These blocks, please.
    TransitionChain,
    /// How does this block follow from one of its ancestors?
    TransitionChainProof,
    /// Which blocks do you have?
    TransitionKnowledge,
    /// The pending work and coinbases of this block.
    StagedLedger,
    /// A piece of a ledger.
    SyncLedger,
    /// The same with more of it in one answer.
    WideSyncLedger,
    /// You are banned.
    BanNotify,
    /// Which SNARK work do you have?
    CompletedSnarks,
    /// An epoch's ledger; no longer on any menu.
    EpochLedger,
    /// How are you? No longer on any menu: it has a stream of its own.
    NodeStatus,
    /// The same, newer.
    NodeStatusTwo,
}

/// What an answer has in front of the value when there is one, and instead of it when there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// The value alone: there always is one.
    Value,
    /// `01` and the value, or `00`.
    Option,
    /// `00` and the value, or `01` and a text.
    Result,
    /// A list, which can be empty.
    List,
}

/// One row.
#[derive(Clone, Copy, Debug)]
struct Row {
    method: Method,
    tag: &'static str,
    version: i64,
    shape: Shape,
    // How the answer is cut.
    phase: Phase,
    // How long an answer is waited for (section 5.2).
    seconds: u64,
    // What a peer may ask: so many at once, and one more after so many milliseconds.
    burst: u32,
    refill_ms: u64,
}

const fn row(method: Method, name: (&'static str, i64), shape: Shape, phase: Phase, limits: (u64, u32, u64)) -> Row {
    let (seconds, burst, refill_ms) = limits;
    Row { method, tag: name.0, version: name.1, shape, phase, seconds, burst, refill_ms }
}

/// How many methods there are.
pub(super) const COUNT: usize = 15;

#[rustfmt::skip]
static ROWS: [Row; COUNT] = {
    use Method::*;
    use Shape::{List, Option, Result, Value};
    [
        row(Menu, ("__Versioned_rpc.Menu", 1), List, cut::LISTS, (5, 64, 250)),
        row(InitialPeers, ("get_some_initial_peers", 1), List, cut::LISTS, (5, 1, 60_000)),
        row(BestTip, ("get_best_tip", 2), Option, cut::BLOCKS, (15, 3, 20_000)),
        row(Ancestry, ("get_ancestry", 2), Option, cut::BLOCKS, (15, 5, 12_000)),
        row(TransitionChain, ("get_transition_chain", 2), Option, cut::BLOCKS, (8, 20, 1_000)),
        row(TransitionChainProof, ("get_transition_chain_proof", 1), Option, cut::LISTS, (8, 3, 20_000)),
        row(TransitionKnowledge, ("Get_transition_knowledge", 1), List, cut::LISTS, (8, 1, 60_000)),
        row(StagedLedger, ("get_staged_ledger_aux_and_pending_coinbases_at_hash", 2), Option, cut::STAGED, (180, 4, 15_000)),
        row(SyncLedger, ("answer_sync_ledger_query", 3), Result, cut::LEDGERS, (4, 4_096, 1)),
        row(WideSyncLedger, ("answer_sync_ledger_query", 4), Result, cut::LEDGERS, (4, 4_096, 1)),
        row(BanNotify, ("ban_notify", 1), Value, cut::QUESTIONS, (5, 1, 60_000)),
        row(CompletedSnarks, ("get_completed_snarks", 1), Option, cut::BLOCKS, (15, 1, 60_000)),
        row(EpochLedger, ("get_epoch_ledger", 2), Result, cut::STAGED, (180, 1, 60_000)),
        row(NodeStatus, ("get_node_status", 1), Result, cut::LEDGERS, (5, 1, 60_000)),
        row(NodeStatusTwo, ("get_node_status", 2), Result, cut::LEDGERS, (5, 1, 60_000)),
    ]
};

impl Method {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        ROWS.iter().map(|row| row.method)
    }

    /// The one with this tag and version.
    pub fn of(tag: &[u8], version: i64) -> Option<Self> {
        let is_it = |row: &&Row| row.tag.as_bytes() == tag && row.version == version;
        ROWS.iter().find(is_it).map(|row| row.method)
    }

    /// Its name on the wire.
    pub fn tag(self) -> &'static str {
        self.row().tag
    }

    /// Its version.
    pub fn version(self) -> i64 {
        self.row().version
    }

    /// What its answers look like.
    pub fn shape(self) -> Shape {
        self.row().shape
    }

    /// How long its answer is waited for.
    pub fn timeout(self) -> Duration {
        Duration::from_secs(self.row().seconds)
    }

    /// How its answer is cut.
    pub(super) fn phase(self) -> Phase {
        self.row().phase
    }

    /// Its number.
    pub(super) fn index(self) -> usize {
        self as usize
    }

    /// What one peer may ask of us (section 5.3). A transition chain costs as much as it names blocks.
    pub(super) fn served_meter(self) -> Bucket {
        let Row { burst, refill_ms, .. } = *self.row();
        Bucket::new(burst, Duration::from_millis(refill_ms))
    }

    /// What we ask of one peer.
    pub(super) fn asked_meter(self) -> Bucket {
        let Row { burst, refill_ms, .. } = *self.row();
        // One at once and the rest in time, a little slower: then no minute has more than a peer allows.
        let burst = match self {
            Self::TransitionChain => burst,
            Self::Menu | Self::SyncLedger | Self::WideSyncLedger => burst / 2,
            _ => 1,
        };
        Bucket::new(burst, Duration::from_millis(refill_ms + refill_ms / 16))
    }

    fn row(self) -> &'static Row {
        &ROWS[self.index()]
    }
}

/// The methods that the Rust node serves, which has no menu (section 5.4).
pub(super) const OF_RUST_NODE: [Method; 5] =
    [Method::BestTip, Method::SyncLedger, Method::StagedLedger, Method::TransitionChain, Method::InitialPeers];
