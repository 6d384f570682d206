//! Catches up: lists, the way back to where chains meet, blocks fetched from everyone at once (Hello spec, section 5).
//!
//! Each peer's list is a claim of its own ([`Listing`]). A window of every list is fetched in parallel: a block that
//! several lists name is asked of one of their peers, and each peer gets an equal share of the questions, so a list
//! that nobody can deliver holds up no other. Blocks go to the ledger in the order of a list, many at a time.

mod download;
mod listing;

pub(crate) use download::{Arrival, Sync};
pub(crate) use listing::Listing;

use crate::ledger::Asked;
use crate::wire::{self, GetList, List, Question};
use crate::{Alarm, Cx, Hello, Misbehavior, Ready};
use alloc::vec::Vec;
use core::time::Duration;
use polypeer_engine::kit::chain::{ChainFormat, Hash, Request};
use polypeer_engine::kit::cost::Class;
use polypeer_engine::{ConnectionId, Overflow};

/// How long a peer that could not deliver is not used.
const BENCH_TIME: Duration = Duration::from_secs(60);
/// A peer whose last list brought nothing new is not asked back within this.
const FRUITLESS_TIME: Duration = Duration::from_secs(5);
/// The next list is asked for when this many of the last one are left: half a list hides a round trip.
const LEFT_MIN: usize = 5_000;
/// How far above our newest block a list of nothing but known blocks may end: blocks that the ledger has taken and not
/// told of yet. Above that it is a lie that could go on for ever.
const UNTOLD_MAX: u64 = 4096;

/// Lists.
impl<F: ChainFormat> Hello<F> {
    /// LISTOFBLOCKS.
    pub(crate) fn on_list(
        &mut self,
        cx: &mut Cx<'_, F>,
        connection: ConnectionId,
        ready: &mut Ready,
        list: List,
    ) -> Result<(), Misbehavior> {
        let is_end = list.hashes.is_empty() && list.from == list.latest;
        if self.asking.answered_list(connection, list.from, is_end).is_none() {
            cx.slip(connection, Misbehavior::UnaskedList);
            return Ok(());
        }
        if list.from == 0 && list.parent != self.config.genesis {
            return Err(Misbehavior::OtherGenesisListed);
        }
        if ready.holds_blocks() {
            ready.block_count = list.latest + 1;
        }
        ready.known_blocks.insert(list.parent, ());
        ready.knows_end_of(&list.hashes);
        self.follow(cx, connection, list);
        if core::mem::take(&mut ready.is_untold) {
            self.reconcile(cx, connection, ready);
        }
        self.go_on(cx);
        Ok(())
    }

    fn follow(&mut self, cx: &mut Cx<'_, F>, connection: ConnectionId, list: List) {
        let now = cx.time();
        let Some(listing) = self.sync.listings.get_mut(&connection).filter(|listing| !listing.is_benched()) else {
            return;
        };
        if list.hashes.is_empty() && list.latest > list.from {
            return self.bench(cx, connection);
        }
        if listing.extend(&list) {
            return;
        }
        if list.hashes.is_empty() && self.relay.held.contains(&list.parent) {
            listing.fruitless = Some(now);
            return;
        }
        cx.owe(connection, Class::Announcement.price(0).times(1 + list.hashes.len()));
        let hashes = core::iter::once(list.parent).chain(list.hashes.iter().copied()).collect();
        self.ask_ledger(cx, Request::Missing(hashes), Asked::Listed(connection, list));
    }

    /// The ledger says which blocks of a list are new, in its order, the parent first.
    pub(crate) fn on_list_checked(
        &mut self,
        cx: &mut Cx<'_, F>,
        connection: ConnectionId,
        list: List,
        missing: &[Hash],
    ) {
        let now = cx.time();
        let height = self.tip.map_or(0, |tip| tip.height);
        let Some(listing) = self.sync.listings.get_mut(&connection).filter(|listing| !listing.is_benched()) else {
            return;
        };
        if missing.first() == Some(&list.parent) {
            let from = listing.step_back(list.from);
            self.ask_for_list(cx, connection, from, Vec::new(), true);
            return self.go_on(cx);
        }
        listing.step = 0;
        let last = list.from + list.hashes.len() as u64;
        if let Some(at) = missing.first().and_then(|first| list.hashes.iter().position(|hash| hash == first)) {
            listing.set(&list, at);
            self.sync.prune();
        } else if last > height + UNTOLD_MAX {
            self.bench(cx, connection);
        } else if list.latest > last {
            self.ask_for_list(cx, connection, last, Vec::new(), true);
        } else {
            listing.fruitless = Some(now);
        }
        self.go_on(cx);
    }

    /// Sends GETLISTOFBLOCKS, unless one is open.
    pub(crate) fn ask_for_list(
        &mut self,
        cx: &mut Cx<'_, F>,
        connection: ConnectionId,
        from: u64,
        transactions: Vec<Hash>,
        is_follow_up: bool,
    ) {
        let Some(tip) = self.tip.filter(|_| !self.asking.is_list_open(connection)) else { return };
        let deadline = cx.time() + self.config.request_timeout;
        self.asking.ask_list(connection, from, is_follow_up, deadline);
        if !cx.has_peer_alarm(connection, Alarm::Questions) {
            cx.peer_alarm(connection, Alarm::Questions, deadline);
        }
        let frame = wire::getlist(&GetList { from, latest: tip.height, transactions });
        cx.send(connection, frame, Overflow::Close);
    }

    /// The peer has asked from above our newest block: "a GETLISTOFBLOCKS is relayed back".
    pub(crate) fn ask_back(&mut self, cx: &mut Cx<'_, F>, connection: ConnectionId) {
        let now = cx.time();
        let Some(listing) = self.sync.listings.get(&connection) else { return };
        let is_fruitless = listing.fruitless.is_some_and(|at| now.since(at) < FRUITLESS_TIME);
        if !is_fruitless && !listing.is_benched() {
            self.ask_ahead(cx, connection, Vec::new());
        }
    }

    /// Asks a peer what it has above our newest block, or above what it has listed already, and tells it what waits.
    pub(crate) fn ask_ahead(&mut self, cx: &mut Cx<'_, F>, connection: ConnectionId, transactions: Vec<Hash>) {
        let Some(listing) = self.sync.listings.get(&connection) else { return };
        let Some(tip) = self.tip else { return };
        let from = if listing.is_empty() { tip.height } else { listing.end() };
        self.ask_for_list(cx, connection, from, transactions, !listing.is_empty());
    }

    /// The peer listed nothing though it claims more, or could not deliver: it is not used for a while.
    pub(crate) fn bench(&mut self, cx: &mut Cx<'_, F>, connection: ConnectionId) {
        let until = cx.time() + BENCH_TIME;
        if let Some(listing) = self.sync.listings.get_mut(&connection) {
            *listing = Listing::benched(until);
            self.sync.prune();
            cx.peer_alarm(connection, Alarm::Bench, until);
        }
    }

    /// The peer may be used again.
    pub(crate) fn unbench(&mut self, cx: &mut Cx<'_, F>, connection: ConnectionId) {
        if let Some(listing) = self.sync.listings.get_mut(&connection) {
            *listing = Listing::default();
            self.ask_ahead(cx, connection, Vec::new());
        }
    }

    /// A block that cannot be had or is no good: nobody who lists it is followed.
    pub(crate) fn give_up(&mut self, cx: &mut Cx<'_, F>, hash: &Hash) {
        for lister in self.sync.listers_of(hash) {
            self.bench(cx, lister);
        }
    }
}

/// Blocks.
impl<F: ChainFormat> Hello<F> {
    /// Whether blocks are being fetched to catch up; false when that has come to a halt.
    pub fn is_catching_up(&self) -> bool {
        self.sync.is_catching_up
    }

    /// Something came or went: hands blocks to the ledger, asks for more, and says whether we catch up.
    pub(crate) fn go_on(&mut self, cx: &mut Cx<'_, F>) {
        if self.sync.has_listings() {
            while self.submit(cx) || self.fetch(cx) {}
            self.ask_for_more_lists(cx);
        }
        self.look_at_progress(cx);
    }

    // Hands to the ledger what is next in any list. Whether a list turned out to be wrong, which changes the others'
    // shares.
    fn submit(&mut self, cx: &mut Cx<'_, F>) -> bool {
        let mut liars = Vec::new();
        for connection in self.sync.followed() {
            loop {
                match self.sync.next_in_order(connection) {
                    Ok(Some(judged)) => self.judge(cx, judged),
                    Ok(None) => break,
                    Err(download::NoChain) => {
                        liars.push(connection);
                        break;
                    }
                }
            }
        }
        for liar in &liars {
            self.bench(cx, *liar);
        }
        !liars.is_empty()
    }

    // Asks for what is next in each list, the highest first, each within its share. Whether a block was here already
    // and can be handed on.
    fn fetch(&mut self, cx: &mut Cx<'_, F>) -> bool {
        let followed = self.sync.followed();
        let max = self.config.blocks_in_flight.max(1);
        let share = (max / followed.len().max(1)).max(1);
        let mut was_here = false;
        for connection in followed {
            while self.sync.in_flight() < max
                && self.asking.can_ask(connection)
                && self.asking.open_count(connection) < share
                && let Some(hash) = self.sync.next_to_ask(connection)
            {
                if self.sync.take_orphan(&hash) {
                    was_here = true;
                    continue;
                }
                let question = Question::Hash(hash);
                if let Some(other) = self.relay.wants.asked_of(&question) {
                    self.sync.asked(hash, other);
                } else if !self.asking.has_asked(connection, &question) {
                    // Otherwise it is late here, and only another peer can be asked.
                    self.sync.asked(hash, connection);
                    self.ask_peer(cx, connection, question);
                }
            }
        }
        was_here
    }

    fn ask_for_more_lists(&mut self, cx: &mut Cx<'_, F>) {
        let wants_more = |(connection, listing): (&ConnectionId, &Listing)| {
            (listing.has_more() && listing.len() < LEFT_MIN).then_some((*connection, listing.end()))
        };
        let wanting: Vec<_> = self.sync.listings.iter().filter_map(wants_more).collect();
        for (connection, end) in wanting {
            self.ask_for_list(cx, connection, end, Vec::new(), true);
        }
    }

    /// Says whether we catch up, and tells our newest block once we do not. A list that brings nothing for as long as
    /// a question may take does not count: else a lie could silence us and our producer.
    pub(crate) fn look_at_progress(&mut self, cx: &mut Cx<'_, F>) {
        let now = cx.time();
        let is_behind = self.sync.has_listings() || self.asking.follows_up();
        if !is_behind {
            self.sync.progress = None;
        }
        let is_catching_up = is_behind && {
            let halt = *self.sync.progress.get_or_insert(now) + self.config.request_timeout;
            if now < halt && !core::mem::replace(&mut self.sync.is_watched, true) {
                cx.alarm(Alarm::CatchUp, halt);
            }
            now < halt
        };
        if self.sync.is_catching_up != is_catching_up {
            self.sync.is_catching_up = is_catching_up;
            cx.ask(Request::CatchingUp(is_catching_up));
        }
        if !is_catching_up && self.sync.is_tip_untold && !core::mem::replace(&mut self.sync.is_tip_asked, true) {
            // The ledger may be about to tell of a newer one: its answer to this comes after that.
            self.ask_ledger(cx, Request::Tip, Asked::Tip);
        }
    }
}
