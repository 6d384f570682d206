//! Keeps the blocks that are on their way: asked for, here, or with the ledger. Bounded in number and bytes.

use super::Listing;
use crate::blocks::{JUDGED_BYTES_MAX, Judged, Orphans};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use polypeer_engine::kit::chain::Hash;
use polypeer_engine::kit::seen::Seen;
use polypeer_engine::{ConnectionId, Stock, Stocks, Time};

/// How far ahead of what the ledger holds a list is fetched. Hides a durable commit at 100,000 blocks a second.
const WINDOW: usize = 4096;
/// Bytes of blocks that are here and wait for those before them, above which nothing but the next one is asked for.
const HERE_BYTES_ASKED: usize = 32 << 20;
/// Above this what comes is dropped and asked for again, unless it is next.
const HERE_BYTES_MAX: usize = 96 << 20;

/// What is done to catch up.
#[derive(Debug, Default)]
pub(crate) struct Sync {
    /// What each ready peer claims.
    pub(crate) listings: BTreeMap<ConnectionId, Listing>,
    /// Blocks whose parent is not here.
    pub(crate) orphans: Orphans,
    /// Whether the ledger was told that we catch up.
    pub(crate) is_catching_up: bool,
    /// When the ledger last took a block of a list, or the first list came.
    pub(crate) progress: Option<Time>,
    /// Whether an alarm watches for a halt.
    pub(crate) is_watched: bool,
    /// Whether peers are to be told of our newest block.
    pub(crate) is_tip_untold: bool,
    /// Whether the ledger is asked before they are.
    pub(crate) is_tip_asked: bool,
    blocks: BTreeMap<Hash, Fetch>,
    in_flight: usize,
    here_bytes: usize,
    judged_bytes: usize,
    // Bytes of a block of late: follows a larger one at once, a smaller one slowly.
    typical_bytes: usize,
}

impl Sync {
    pub(crate) fn stock(&self, peers: usize, stocks: &mut Stocks) {
        stocks.push(Stock::of_peers("peers with a list", self.listings.len(), peers));
        stocks.push(Stock::of_peers("blocks on their way, asked for", self.in_flight, WINDOW));
        self.orphans.stock(stocks);
    }
}

/// How far a block has come.
#[derive(Debug)]
enum Fetch {
    /// This peer is asked. May become here, or be lost.
    Asked(ConnectionId),
    /// It waits for those before it. May become judged.
    Here(Judged),
    /// The ledger judges it.
    Judged,
}

/// What becomes of a block that just came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// No list waits for it: it goes to the ledger at once.
    Judge(Judged),
    /// It waits for those before it, or is not needed.
    Kept,
}

/// A list that is no chain: a block's parent or height is not what its place says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoChain;

impl Sync {
    pub(crate) fn opened(&mut self, connection: ConnectionId) {
        self.listings.insert(connection, Listing::default());
    }

    pub(crate) fn gone(&mut self, connection: ConnectionId) {
        if self.listings.remove(&connection).is_some_and(|listing| !listing.is_empty()) {
            self.prune();
        }
    }

    pub(crate) fn has_listings(&self) -> bool {
        self.listings.values().any(|listing| !listing.is_empty())
    }

    /// Peers whose lists are followed, the highest claim first.
    pub(crate) fn followed(&self) -> Vec<ConnectionId> {
        let followed = self.listings.iter().filter(|(_, listing)| !listing.is_empty());
        let mut order: Vec<_> = followed.map(|(connection, listing)| (listing.latest, *connection)).collect();
        order.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        order.into_iter().map(|(_, connection)| connection).collect()
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Whether a block is asked for to catch up, here, or with the ledger.
    pub(crate) fn is_on_its_way(&self, hash: &Hash) -> bool {
        self.blocks.contains_key(hash) || self.orphans.contains(hash)
    }

    pub(crate) fn is_asked_of(&self, hash: &Hash, connection: ConnectionId) -> bool {
        matches!(self.blocks.get(hash), Some(Fetch::Asked(asked)) if *asked == connection)
    }

    /// The next block of a peer's list that nobody is asked for, within the window and the bytes there is room for.
    pub(crate) fn next_to_ask(&mut self, connection: ConnectionId) -> Option<Hash> {
        let expected = self.here_bytes + self.in_flight * self.typical_bytes;
        let listing = self.listings.get_mut(&connection)?;
        let (at, hash) = listing.next_to_ask(WINDOW, |hash| self.blocks.contains_key(hash))?;
        if at > 0 && expected > HERE_BYTES_ASKED {
            listing.step_cursor_back();
            return None;
        }
        Some(hash)
    }

    /// A block is asked of this peer.
    pub(crate) fn asked(&mut self, hash: Hash, connection: ConnectionId) {
        self.in_flight += 1;
        self.blocks.insert(hash, Fetch::Asked(connection));
    }

    /// A block that is held as an orphan is one of a list. Whether it is.
    pub(crate) fn take_orphan(&mut self, hash: &Hash) -> bool {
        let Some(judged) = self.orphans.take(hash) else { return false };
        self.here_bytes += judged.block.len();
        self.blocks.insert(*hash, Fetch::Here(judged));
        true
    }

    /// A block came.
    pub(crate) fn arrived(&mut self, judged: Judged, held: &Seen<Hash>) -> Arrival {
        let hash = judged.head.hash;
        let bytes = judged.block.len();
        match self.blocks.get(&hash) {
            Some(Fetch::Asked(_)) => {
                self.in_flight -= 1;
                self.typical_bytes = bytes.max(self.typical_bytes - self.typical_bytes / 16);
                let is_next = |listing: &Listing| listing.next_to_submit().is_some_and(|(next, ..)| next == hash);
                if self.here_bytes + bytes > HERE_BYTES_MAX && !self.listings.values().any(is_next) {
                    self.blocks.remove(&hash);
                    self.ask_again();
                } else {
                    self.here_bytes += bytes;
                    self.blocks.insert(hash, Fetch::Here(judged));
                }
                Arrival::Kept
            }
            Some(Fetch::Here(_) | Fetch::Judged) => Arrival::Kept,
            None if held.contains(&hash) || self.orphans.contains(&hash) => Arrival::Kept,
            None => Arrival::Judge(judged),
        }
    }

    /// A peer did not deliver a block that it was asked for to catch up.
    pub(crate) fn lost(&mut self, hash: &Hash, connection: ConnectionId) {
        if self.is_asked_of(hash, connection) {
            self.blocks.remove(hash);
            self.in_flight -= 1;
            self.ask_again();
        }
    }

    /// Something is not on its way any more: every list is looked at again.
    pub(crate) fn ask_again(&mut self) {
        self.listings.values_mut().for_each(Listing::rewind);
    }

    /// The next block of a peer's list, when it is here and the ledger has room.
    pub(crate) fn next_in_order(&mut self, connection: ConnectionId) -> Result<Option<Judged>, NoChain> {
        loop {
            let Some(listing) = self.listings.get_mut(&connection) else { return Ok(None) };
            let Some((hash, number, parent)) = listing.next_to_submit() else { return Ok(None) };
            match self.blocks.get(&hash) {
                Some(Fetch::Judged) => listing.submitted(),
                Some(Fetch::Here(judged)) => {
                    if judged.head.parent != parent || judged.head.height != number {
                        return Err(NoChain);
                    }
                    let bytes = judged.block.len();
                    if self.judged_bytes + bytes > JUDGED_BYTES_MAX {
                        return Ok(None);
                    }
                    listing.submitted();
                    return Ok(self.take_here(&hash));
                }
                Some(Fetch::Asked(_)) => return Ok(None),
                None => {
                    listing.rewind_to_submitted();
                    return Ok(None);
                }
            }
        }
    }

    fn take_here(&mut self, hash: &Hash) -> Option<Judged> {
        match self.blocks.remove(hash)? {
            Fetch::Here(judged) => {
                self.here_bytes -= judged.block.len();
                Some(judged)
            }
            other => {
                self.blocks.insert(*hash, other);
                None
            }
        }
    }

    pub(crate) fn can_judge(&self, bytes: usize) -> bool {
        self.judged_bytes + bytes <= JUDGED_BYTES_MAX
    }

    /// A block is with the ledger.
    pub(crate) fn judging(&mut self, judged: &Judged) {
        self.judged_bytes += judged.block.len();
        if let Some(Fetch::Asked(_)) = self.blocks.insert(judged.head.hash, Fetch::Judged) {
            self.in_flight -= 1;
        }
    }

    /// The ledger has judged a block.
    pub(crate) fn judged(&mut self, judged: &Judged) {
        self.judged_bytes -= judged.block.len();
        if let Some(Fetch::Judged) = self.blocks.get(&judged.head.hash) {
            self.blocks.remove(&judged.head.hash);
        }
    }

    /// A block is held: lists that begin with it go on.
    pub(crate) fn taken(&mut self, hash: &Hash, now: Time) {
        for listing in self.listings.values_mut() {
            let before = listing.len();
            listing.taken(hash);
            if listing.len() < before {
                self.progress = Some(now);
            }
        }
    }

    /// The ledger lacks the parent of a block that a list has: it waits here again. Whether a list has it.
    pub(crate) fn return_listed(&mut self, judged: Judged) -> bool {
        let hash = judged.head.hash;
        if !self.listings.values().any(|listing| listing.window(WINDOW).any(|listed| *listed == hash)) {
            return false;
        }
        self.here_bytes += judged.block.len();
        self.blocks.insert(hash, Fetch::Here(judged));
        self.ask_again();
        true
    }

    /// Peers whose list has this block first: its parent was said to be held, and is not.
    pub(crate) fn listers_of_front(&self, hash: &Hash) -> Vec<ConnectionId> {
        let begins = |(connection, listing): (&ConnectionId, &Listing)| {
            (listing.window(1).next() == Some(hash)).then_some(*connection)
        };
        self.listings.iter().filter_map(begins).collect()
    }

    /// Peers whose list has this block.
    pub(crate) fn listers_of(&self, hash: &Hash) -> Vec<ConnectionId> {
        let lists = |(connection, listing): (&ConnectionId, &Listing)| {
            listing.window(WINDOW).any(|listed| listed == hash).then_some(*connection)
        };
        self.listings.iter().filter_map(lists).collect()
    }

    /// A list was dropped: so is what no other list waits for.
    pub(crate) fn prune(&mut self) {
        let listed: BTreeSet<Hash> =
            self.listings.values().flat_map(|listing| listing.window(WINDOW)).copied().collect();
        let (mut in_flight, mut here_bytes) = (0, 0);
        self.blocks.retain(|hash, fetch| {
            let stays = matches!(fetch, Fetch::Judged) || listed.contains(hash);
            match fetch {
                Fetch::Asked(_) if stays => in_flight += 1,
                Fetch::Here(judged) if stays => here_bytes += judged.block.len(),
                _ => {}
            }
            stays
        });
        (self.in_flight, self.here_bytes) = (in_flight, here_bytes);
    }
}
