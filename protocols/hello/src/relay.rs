//! Relays: who announced what, who is asked for it, and who is told (Hello spec, section 4).

mod wants;

pub(crate) use wants::Wants;

use crate::ledger::Asked;
use crate::serve::ready_mut;
use crate::wire::{self, Question, WAITING_MAX};
use crate::{Alarm, Cx, Hello, Misbehavior, Ready};
use alloc::vec::Vec;
use bytes::Bytes;
use polypeer_engine::kit::chain::{ChainFormat, Hash, Origin, Request, Tip, TransactionOutcome};
use polypeer_engine::kit::cost::{Charged, Class};
use polypeer_engine::kit::seen::Seen;
use polypeer_engine::{ConnectionId, Overflow, Stock, Stocks, Useful};

/// What [`polypeer_engine::P2pAction::BroadcastMessage`] may carry: a transaction, pushed to every peer.
pub const PUSH: u16 = 0;

/// Blocks that are remembered as held, so that their announcements need no look into the ledger.
const HELD_MAX: usize = 1024;
/// Blocks that are remembered as invalid, so that they are not fetched again.
const INVALID_MAX: usize = 1024;
/// Waiting transactions that are looked through for those that a peer may not know.
const LOOKED_THROUGH_MAX: u32 = 5 * WAITING_MAX as u32;
/// Bytes of one peer's transactions that the ledger has not judged yet; what comes above is dropped. The largest pack,
/// which always fits when there is none, has as many.
const IN_JUDGEMENT_BYTES_MAX: usize = 4 << 20;
/// Announcements that are checked in one question to the ledger.
const CHECKED_MAX: usize = 10_000;

/// What is wanted of announcements.
#[derive(Debug)]
pub(crate) struct Relay {
    pub(crate) wants: Wants,
    /// Blocks that the ledger is known to hold.
    pub(crate) held: Seen<Hash>,
    /// Blocks that no peer can mend.
    pub(crate) invalid: Seen<Hash>,
    unchecked_blocks: Unchecked,
    unchecked_transactions: Unchecked,
}

// Announcements that the ledger may know; those that come while it is asked are asked about together.
#[derive(Debug, Default)]
struct Unchecked {
    waiting: Vec<Question>,
    is_asked: bool,
}

impl Relay {
    pub(crate) fn new(secret: u64) -> Self {
        Self {
            wants: Wants::default(),
            held: Seen::new(HELD_MAX, secret),
            invalid: Seen::new(INVALID_MAX, secret),
            unchecked_blocks: Unchecked::default(),
            unchecked_transactions: Unchecked::default(),
        }
    }
}

impl Relay {
    pub(crate) fn stock(&self, peers: usize, stocks: &mut Stocks) {
        self.wants.stock(peers, stocks);
        stocks.push(Stock::kept("blocks known to be held", self.held.len(), HELD_MAX));
        stocks.push(Stock::kept("invalid blocks", self.invalid.len(), INVALID_MAX));
    }
}

/// Announcements that come in.
impl<F: ChainFormat> Hello<F> {
    /// BROADCASTBLOCK. The number is a hint.
    pub(crate) fn on_broadcast_block(
        &mut self,
        cx: &mut Cx<'_, F>,
        connection: ConnectionId,
        ready: &mut Ready,
        number: u64,
        hash: Option<Hash>,
    ) {
        if ready.holds_blocks() {
            ready.block_count = ready.block_count.max(number + 1);
        }
        let height = self.tip.map_or(0, |tip| tip.height);
        let Some(hash) = hash else {
            // Without a hash all that can be told is that it is above what we have.
            if number > height
                && pays(cx, connection, Class::Announcement, 1)
                && self.relay.wants.announce(connection, Question::Number(number))
            {
                self.want(cx, Question::Number(number));
            }
            return;
        };
        ready.known_blocks.insert(hash, ());
        let question = Question::Hash(hash);
        let is_settled = self.relay.held.contains(&hash) || self.relay.invalid.contains(&hash);
        if is_settled || self.sync.is_on_its_way(&hash) {
            return;
        }
        if !pays(cx, connection, Class::Announcement, 1) || !self.relay.wants.announce(connection, question) {
            return;
        }
        if number > height {
            self.want(cx, question);
        } else {
            self.relay.unchecked_blocks.waiting.push(question);
            self.check(cx);
        }
    }

    /// BROADCASTTRANSACTION, and the identifiers in GETLISTOFBLOCKS.
    pub(crate) fn on_announced_transactions(
        &mut self,
        cx: &mut Cx<'_, F>,
        connection: ConnectionId,
        ready: &mut Ready,
        ids: &[Hash],
    ) {
        if ids.is_empty() || !pays(cx, connection, Class::Announcement, ids.len()) {
            return;
        }
        for id in ids {
            ready.known_transactions.insert(*id, ());
            let question = Question::Transaction(*id);
            if self.relay.wants.announce(connection, question) {
                self.relay.unchecked_transactions.waiting.push(question);
            }
        }
        self.check(cx);
    }

    // Asks the ledger which announcements are new.
    fn check(&mut self, cx: &mut Cx<'_, F>) {
        for is_block in [true, false] {
            let unchecked =
                if is_block { &mut self.relay.unchecked_blocks } else { &mut self.relay.unchecked_transactions };
            if unchecked.is_asked || unchecked.waiting.is_empty() {
                continue;
            }
            unchecked.is_asked = true;
            let rest = unchecked.waiting.split_off(unchecked.waiting.len().min(CHECKED_MAX));
            let asked = core::mem::replace(&mut unchecked.waiting, rest);
            let hashes = asked.iter().filter_map(named).collect();
            let request = if is_block { Request::Missing(hashes) } else { Request::MissingTransactions(hashes) };
            self.ask_ledger(cx, request, Asked::Announced(asked));
        }
    }

    /// The ledger says which announcements are new, in the order asked.
    pub(crate) fn on_checked(&mut self, cx: &mut Cx<'_, F>, asked: &[Question], missing: &[Hash]) {
        if let Some(Question::Transaction(_)) = asked.first() {
            self.relay.unchecked_transactions.is_asked = false;
        } else {
            self.relay.unchecked_blocks.is_asked = false;
        }
        let mut missing = missing.iter().peekable();
        for question in asked {
            if missing.next_if(|hash| named(question) == Some(**hash)).is_some() {
                self.want(cx, *question);
            } else {
                self.relay.wants.remove(question);
            }
        }
        self.check(cx);
    }

    // What is announced is asked of one peer at a time.
    pub(crate) fn want(&mut self, cx: &mut Cx<'_, F>, question: Question) {
        let asking = &self.asking;
        let can_ask = |connection| asking.can_ask(connection) && !asking.has_asked(connection, &question);
        if let Some(connection) = self.relay.wants.choose(&question, can_ask) {
            self.ask_peer(cx, connection, question);
        }
    }

    /// A peer has room for questions again: it is asked what waits for it.
    pub(crate) fn ask_waiting(&mut self, cx: &mut Cx<'_, F>, connection: ConnectionId) {
        while self.asking.can_ask(connection) {
            // What is late here can only be asked of another.
            let may_ask = |question: &Question| !self.asking.has_asked(connection, question);
            let Some(question) = self.relay.wants.next_of(connection, may_ask) else { break };
            self.ask_peer(cx, connection, question);
        }
    }

    /// Sends GETBLOCK.
    pub(crate) fn ask_peer(&mut self, cx: &mut Cx<'_, F>, connection: ConnectionId, question: Question) {
        let deadline = cx.time() + self.config.request_timeout;
        self.asking.ask(connection, question, deadline);
        if !cx.has_peer_alarm(connection, Alarm::Questions) {
            cx.peer_alarm(connection, Alarm::Questions, deadline);
        }
        cx.send(connection, wire::getblock(&question), Overflow::Close);
    }

    /// NOTFOUND: another peer is asked.
    pub(crate) fn on_notfound(&mut self, cx: &mut Cx<'_, F>, connection: ConnectionId, question: Question) {
        if !self.asking.answered(connection, &question) {
            return;
        }
        if let Question::Hash(hash) = question
            && self.sync.is_asked_of(&hash, connection)
        {
            self.bench(cx, connection);
        }
        self.on_lost(cx, connection, &question);
        self.ask_waiting(cx, connection);
        self.go_on(cx);
    }

    /// Questions that the peer has not answered in time are put to others.
    pub(crate) fn on_late(&mut self, cx: &mut Cx<'_, F>, connection: ConnectionId) {
        let now = cx.time();
        let (late, is_list_late, next) = self.asking.expire(connection, now);
        if let Some(next) = next {
            cx.peer_alarm(connection, Alarm::Questions, next);
        }
        let is_stalled = self.asking.is_stalled(connection, now - self.config.request_timeout);
        let is_used = late.iter().any(|question| match question {
            Question::Hash(hash) => self.sync.is_asked_of(hash, connection),
            _ => false,
        });
        if is_list_late || is_used && is_stalled {
            self.bench(cx, connection);
        }
        for question in &late {
            self.on_lost(cx, connection, question);
        }
        self.go_on(cx);
    }

    /// A peer did not deliver: the next one that announced it is asked.
    pub(crate) fn on_lost(&mut self, cx: &mut Cx<'_, F>, connection: ConnectionId, question: &Question) {
        if let Question::Hash(hash) = question {
            self.sync.lost(hash, connection);
        }
        if self.relay.wants.lost(connection, question) {
            self.want(cx, *question);
        }
    }

    /// A peer is gone, and with it what it announced.
    pub(crate) fn forget_announcer(&mut self, cx: &mut Cx<'_, F>, connection: ConnectionId) {
        for question in self.relay.wants.gone(connection) {
            self.want(cx, question);
        }
    }
}

/// Transactions.
impl<F: ChainFormat> Hello<F> {
    /// PUSHTRANSACTION, asked for or not.
    pub(crate) fn on_pack(
        &mut self,
        cx: &mut Cx<'_, F>,
        connection: ConnectionId,
        ready: &mut Ready,
        mut transactions: Vec<Bytes>,
    ) {
        self.asking.delivered(connection, cx.time());
        for transaction in &transactions {
            let id = F::transaction_id(transaction);
            let question = Question::Transaction(id);
            self.asking.answered(connection, &question);
            self.relay.wants.remove(&question);
            ready.known_transactions.insert(id, ());
        }
        let before = ready.in_judgement_bytes;
        transactions.retain(|transaction| {
            let fits = ready.in_judgement_bytes + transaction.len() <= IN_JUDGEMENT_BYTES_MAX
                && pays(cx, connection, Class::TransactionCheck, 1);
            ready.in_judgement_bytes += if fits { transaction.len() } else { 0 };
            fits
        });
        if !transactions.is_empty() {
            let bytes = ready.in_judgement_bytes - before;
            let request = Request::TakeTransactions { transactions, origin: Origin::Peer };
            self.ask_ledger(cx, request, Asked::Transactions { connection, bytes });
        }
        self.ask_waiting(cx, connection);
    }

    /// The ledger has judged a peer's transactions.
    pub(crate) fn on_transactions_judged(
        &mut self,
        cx: &mut Cx<'_, F>,
        connection: ConnectionId,
        bytes: usize,
        outcomes: &[(Hash, TransactionOutcome)],
    ) {
        if let Some(ready) = ready_mut(cx, connection) {
            ready.in_judgement_bytes = ready.in_judgement_bytes.saturating_sub(bytes);
        }
        let price = Class::TransactionCheck.price(0);
        for (id, outcome) in outcomes {
            // What was useful is paid back, and what the ledger knew cost no more than a look.
            match outcome {
                TransactionOutcome::Accepted => cx.refund(connection, price),
                TransactionOutcome::Known => cx.refund(connection, price.less(Class::Announcement.price(0))),
                TransactionOutcome::NeverValid(_) | TransactionOutcome::NotNow(_) => {}
            }
            match outcome {
                TransactionOutcome::Accepted => {
                    cx.useful(connection, Useful::Transaction);
                    self.announce_transaction(cx, id);
                }
                TransactionOutcome::NeverValid(fault) => {
                    cx.slip(connection, Misbehavior::NeverValid(*fault));
                }
                TransactionOutcome::Known | TransactionOutcome::NotNow(_) => {}
            }
        }
    }

    /// Tells of a transaction that waits now.
    pub(crate) fn announce_transaction(&mut self, cx: &mut Cx<'_, F>, id: &Hash) {
        let frame = wire::broadcast_transaction(id);
        for connection in cx.connections() {
            let Some(ready) = ready_mut(cx, connection) else { continue };
            if ready.holds_blocks() && ready.known_transactions.insert(*id, ()) {
                cx.send(connection, frame.clone(), Overflow::Drop);
            }
        }
    }

    /// Pushes a transaction of the host's to every peer, unasked, as a wallet does.
    pub(crate) fn push_to_all(&mut self, cx: &mut Cx<'_, F>, transaction: &Bytes) {
        let id = F::transaction_id(transaction);
        let frame = wire::push_transaction(&[transaction]);
        for connection in cx.connections() {
            let Some(ready) = ready_mut(cx, connection) else { continue };
            if ready.holds_blocks() {
                ready.known_transactions.insert(id, ());
                cx.send(connection, frame.clone(), Overflow::Drop);
            }
        }
    }

    /// Time to compare with a peer what waits and what is newest.
    pub(crate) fn reconcile(&mut self, cx: &mut Cx<'_, F>, connection: ConnectionId, ready: &mut Ready) {
        cx.peer_alarm(connection, Alarm::Reconcile, cx.time() + self.config.reconcile_interval);
        if ready.holds_blocks() && self.tip.is_some() {
            self.ask_ledger(cx, Request::WaitingIds(LOOKED_THROUGH_MAX), Asked::Waiting(connection));
        }
    }

    /// The ledger says what waits: the peer is told what it may not know, and asked what it has above our newest block.
    pub(crate) fn tell_waiting(&mut self, cx: &mut Cx<'_, F>, connection: ConnectionId, ids: &[Hash]) {
        let is_open = self.asking.is_list_open(connection);
        let Some(ready) = ready_mut(cx, connection) else { return };
        if is_open {
            // Told when the list that was asked for is here.
            ready.is_untold = true;
            return;
        }
        // Pulled one by one, so that only those that fit are marked as told.
        let untold = ids.iter().filter(|id| ready.known_transactions.insert(**id, ()));
        let transactions = untold.take(WAITING_MAX).copied().collect();
        self.ask_ahead(cx, connection, transactions);
    }
}

/// Blocks.
impl<F: ChainFormat> Hello<F> {
    /// The main chain has a new end, durably.
    pub(crate) fn on_new_tip(&mut self, cx: &mut Cx<'_, F>, tip: Tip, block: &Bytes) {
        let is_first = self.tip.replace(tip).is_none();
        self.relay.held.insert(tip.hash, ());
        self.relay.wants.remove(&Question::Hash(tip.hash));
        self.frames.keep(tip.hash, wire::block(tip.height, block));
        if is_first {
            self.on_first_tip(cx);
        }
        self.taken(&tip.hash, cx.time());
        self.go_on(cx);
        self.sync.is_tip_untold = true;
        self.announce_tip(cx);
    }

    /// Tells of our newest block, unless more are on their way: of blocks fetched to catch up only the last is told.
    pub(crate) fn announce_tip(&mut self, cx: &mut Cx<'_, F>) {
        if self.sync.is_catching_up || !core::mem::take(&mut self.sync.is_tip_untold) {
            return;
        }
        let Some(tip) = self.tip else { return };
        let frame = wire::broadcast_block(tip.height, &tip.hash);
        for connection in cx.connections() {
            let Some(ready) = ready_mut(cx, connection) else { continue };
            if ready.holds_blocks() && ready.known_blocks.insert(tip.hash, ()) {
                cx.send(connection, frame.clone(), Overflow::Drop);
            }
        }
    }
}

// Whether a peer can pay for so much work that it wants done. Gross excess is a slip.
fn pays<F: ChainFormat>(cx: &mut Cx<'_, F>, connection: ConnectionId, class: Class, count: usize) -> bool {
    let charged = cx.charge(connection, class, class.price(0).times(count));
    if charged == Charged::Excess {
        cx.slip(connection, Misbehavior::TooMuchWork);
    }
    charged == Charged::Paid
}

fn named(question: &Question) -> Option<Hash> {
    match question {
        Question::Hash(hash) | Question::Transaction(hash) => Some(*hash),
        Question::Number(_) => None,
    }
}
