//! Relays transactions: the flow Transaction Inv Receive (Kaspa spec, section 4.5).

use crate::handshake::ready_mut;
use crate::ledger::{Hash, Origin, Request, TransactionOutcome};
use crate::misbehavior::Banned;
use crate::questions::Asked;
use crate::wire::{self, Hashes, Kind, OneHash, TRANSACTION_IDS_MAX, TransactionView, WireError};
use crate::{Alarm, Cx, Kaspa, Misbehavior, Ready};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use bytes::Bytes;
use core::time::Duration;
use polypeer_engine::kit::cost::Class;
use polypeer_engine::kit::seen::Seen;
use polypeer_engine::{ConnectionId, Overflow, Stock, Stocks, Time, Useful};

/// Identifiers about which the ledger is asked at once.
const CHECKED_MAX: usize = 8_192;
/// Transactions asked of one peer that have not come; what it announces above is dropped. Thirty seconds of today's
/// 3,000 a second would be more than can wait here anyway.
const OPEN_OF_PEER_MAX: usize = 16_384;
/// Transactions asked of all peers; about 100 bytes each with who else has it.
const OPEN_MAX: usize = 65_536;
/// Transactions that are handed to the ledger together, if they come that fast, and bytes of them.
const JUDGED_MAX: usize = 128;
const JUDGED_BYTES_MAX: usize = 256 << 10;
/// Bytes of one peer's transactions that the ledger has not judged; what comes above is dropped.
const IN_JUDGEMENT_BYTES_MAX: usize = 4 << 20;
/// Identifiers that are remembered: some minutes of today's busiest hours.
const KNOWN_MAX: usize = 131_072;
/// Announcements are gathered for so long after the last (Kaspa spec, section 4.5).
const GATHER: Duration = Duration::from_millis(500);
/// Other peers remembered to have a transaction that one was asked for.
const OTHERS_MAX: usize = 2;
/// After so long without the transaction whoever announces it next is asked too, and it no longer keeps others from
/// being asked for.
const PATIENCE: Duration = Duration::from_secs(2);

/// Transactions on their way.
#[derive(Debug)]
pub(crate) struct Transactions {
    open: BTreeMap<Hash, Open>,
    known: Seen<Hash>,
    outbox: Vec<Hash>,
    told: Option<Time>,
    // When what is late was given up last, for want of room.
    swept: Option<Time>,
}

#[derive(Debug)]
struct Open {
    asked: ConnectionId,
    since: Time,
    others: Vec<ConnectionId>,
}

/// What one peer owes of transactions.
#[derive(Debug, Default)]
pub(crate) struct Fetching {
    // In the order of our requests, which is that of its answers.
    expected: VecDeque<Hash>,
    since: Option<Time>,
    timeout: Duration,
    arrived: Vec<Bytes>,
    arrived_bytes: usize,
    in_judgement_bytes: usize,
}

impl Fetching {
    /// Until when the next answer is due.
    pub(crate) fn due(&self) -> Option<Time> {
        self.since.map(|since| since + self.timeout)
    }
}

impl Fetching {
    // Takes the next answer off what is owed.
    fn answered(&mut self, got: Hash, now: Time) -> Result<(), Misbehavior> {
        let Some(wanted) = self.expected.front().copied() else { return Ok(()) };
        if got != wanted {
            return Err(Misbehavior::OtherTransaction { wanted, got });
        }
        self.expected.pop_front();
        self.since = if self.expected.is_empty() { None } else { Some(now) };
        Ok(())
    }
}

// Whether the peer owes an answer at all; one that nobody asked for is not even read.
fn is_owed(cx: &mut Cx<'_>, connection: ConnectionId, ready: &Ready, kind: Kind) -> bool {
    let is_owed = !ready.fetching.expected.is_empty();
    if !is_owed {
        cx.slip(connection, Misbehavior::Unasked(kind));
    }
    is_owed
}

impl Transactions {
    pub(crate) fn new(secret: u64) -> Self {
        Self { open: BTreeMap::new(), known: Seen::new(KNOWN_MAX, secret), outbox: Vec::new(), told: None, swept: None }
    }

    // Whether there is room for more to be asked for. When there is none what is late makes room, looked for once a
    // while: whoever announces and never brings cannot keep the others out.
    fn room(&mut self, now: Time) -> usize {
        let may_sweep = self.swept.is_none_or(|swept| now >= swept + PATIENCE);
        if self.open.len() >= OPEN_MAX && may_sweep {
            self.swept = Some(now);
            self.open.retain(|_, open| now < open.since + PATIENCE);
        }
        OPEN_MAX.saturating_sub(self.open.len())
    }

    pub(crate) fn stock(&self, stocks: &mut Stocks) {
        stocks.push(Stock::of_peers("transactions asked for", self.open.len(), OPEN_MAX));
        stocks.push(Stock::kept("known transactions", self.known.len(), KNOWN_MAX));
        stocks.push(Stock::kept("transactions to announce", self.outbox.len(), TRANSACTION_IDS_MAX));
    }
}

impl Kaspa {
    /// InvTransactions.
    pub(crate) fn on_inv_transactions(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        body: &Bytes,
    ) -> Result<(), Misbehavior> {
        let ids = Hashes::decode(body, TRANSACTION_IDS_MAX).map_err(|error| match error {
            WireError::TooMany => WireError::TooManyInvs,
            other => other,
        })?;
        // A node that is catching up cannot judge them.
        if ids.is_empty() || !self.is_nearly_synced(cx) {
            return Ok(());
        }
        if !self.pays_for_announcements(cx, connection, ids.len()) {
            return Ok(());
        }
        let now = cx.time();
        let mut unknown = Vec::new();
        for id in ids.iter() {
            if let Some(open) = self.transactions.open.get_mut(&id).filter(|open| now < open.since + PATIENCE) {
                if open.others.len() < OTHERS_MAX && open.asked != connection && !open.others.contains(&connection) {
                    open.others.push(connection);
                }
            } else if !self.transactions.known.contains(&id) {
                unknown.push(id);
            }
        }
        for ids in unknown.chunks(CHECKED_MAX) {
            let request = Request::MissingTransactions(ids.to_vec());
            self.ask_ledger(cx, request, Asked::Offered(connection));
        }
        Ok(())
    }

    /// The ledger says which announced transactions it lacks.
    pub(crate) fn on_offered(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, missing: Vec<Hash>) {
        let timeout = self.config.answer_timeout;
        let now = cx.time();
        let Some(ready) = ready_mut(cx, connection) else { return };
        let room = OPEN_OF_PEER_MAX.saturating_sub(ready.fetching.expected.len()).min(self.transactions.room(now));
        let mut wanted = Vec::new();
        for id in missing {
            // Another may have been asked since the ledger was.
            let before = self.transactions.open.get(&id);
            let is_wanted = before.is_none_or(|open| open.asked != connection && now >= open.since + PATIENCE);
            if wanted.len() < room && is_wanted {
                self.transactions.open.insert(id, Open { asked: connection, since: now, others: Vec::new() });
                wanted.push(id);
            }
        }
        if wanted.is_empty() {
            return;
        }
        ready.fetching.timeout = timeout;
        ready.fetching.since.get_or_insert(now);
        ready.fetching.expected.extend(&wanted);
        cx.send(
            connection,
            wire::pack(Kind::RequestTransactions, &Hashes::from_iter(wanted).encode(), 0, 0),
            Overflow::Close,
        );
        self.watch_dues_of(cx, connection);
    }

    /// Transaction: the next one that was asked for.
    pub(crate) fn on_transaction(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        ready: &mut Ready,
        body: Bytes,
    ) -> Result<(), Misbehavior> {
        if !is_owed(cx, connection, ready, Kind::Transaction) {
            return Ok(());
        }
        let got = TransactionView::decode(&body)?.id();
        ready.fetching.answered(got, cx.time())?;
        let fetching = &mut ready.fetching;
        if fetching.in_judgement_bytes + fetching.arrived_bytes + body.len() <= IN_JUDGEMENT_BYTES_MAX {
            fetching.arrived_bytes += body.len();
            fetching.arrived.push(body);
        } else {
            self.transactions.open.remove(&got);
        }
        self.hand_over(cx, connection, ready);
        Ok(())
    }

    /// TransactionNotFound: the peer has it no more.
    pub(crate) fn on_transaction_not_found(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        ready: &mut Ready,
        body: &Bytes,
    ) -> Result<(), Misbehavior> {
        if !is_owed(cx, connection, ready, Kind::TransactionNotFound) {
            return Ok(());
        }
        let id = OneHash::decode(body)?.0;
        ready.fetching.answered(id, cx.time())?;
        self.ask_others_for(cx, connection, [id]);
        self.hand_over(cx, connection, ready);
        Ok(())
    }

    // What has come goes to the ledger when it is enough, or all.
    fn hand_over(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, ready: &mut Ready) {
        let fetching = &mut ready.fetching;
        let is_enough = fetching.arrived.len() >= JUDGED_MAX || fetching.arrived_bytes >= JUDGED_BYTES_MAX;
        if fetching.arrived.is_empty() || !is_enough && !fetching.expected.is_empty() {
            return;
        }
        let bytes = core::mem::take(&mut fetching.arrived_bytes);
        fetching.in_judgement_bytes += bytes;
        let transactions = core::mem::take(&mut fetching.arrived);
        cx.owe(connection, Class::Announcement.price(0).times(transactions.len()));
        let request = Request::TakeTransactions { transactions, origin: Origin::Peer };
        self.ask_ledger(cx, request, Asked::Transactions { connection, bytes });
    }

    /// The ledger has judged a peer's transactions.
    pub(crate) fn on_transactions_judged(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        bytes: usize,
        outcomes: &[(Hash, TransactionOutcome)],
    ) {
        if let Some(ready) = ready_mut(cx, connection) {
            ready.fetching.in_judgement_bytes = ready.fetching.in_judgement_bytes.saturating_sub(bytes);
        }
        let mut accepted = Vec::new();
        for (id, outcome) in outcomes {
            if outcome.is_of_bearer() {
                // Signatures are not part of the identifier: another may have the right one.
                self.ask_others_for(cx, connection, [*id]);
            } else {
                self.transactions.open.remove(id);
                self.transactions.known.insert(*id, ());
            }
            match outcome {
                TransactionOutcome::Accepted => {
                    cx.refund(connection, Class::Announcement.price(0).times(2));
                    cx.useful(connection, Useful::Transaction);
                    accepted.push(*id);
                }
                TransactionOutcome::Malformed if self.config.bans.invalid_transaction => {
                    cx.convict(connection, Misbehavior::Banned(Banned::InvalidTransaction(*id)));
                }
                // Today's network lets every other rejection pass (Kaspa spec, section 4.5).
                TransactionOutcome::Malformed
                | TransactionOutcome::Known
                | TransactionOutcome::TooLarge
                | TransactionOutcome::NoRoom => {}
            }
        }
        self.announce_transactions(cx, accepted);
    }

    /// Transactions wait here now: all of them are announced at once after a quiet time, else with the next ones. What
    /// one peer gathered must not be parted, or all but the first would wait at every node on their way.
    pub(crate) fn announce_transactions(&mut self, cx: &mut Cx<'_>, ids: Vec<Hash>) {
        if ids.is_empty() {
            return;
        }
        for id in &ids {
            self.transactions.known.insert(*id, ());
        }
        self.transactions.outbox.extend(ids);
        let next = self.transactions.told.map_or(cx.time(), |told| told + GATHER);
        if cx.time() >= next || self.transactions.outbox.len() >= TRANSACTION_IDS_MAX {
            self.tell_transactions(cx);
        } else {
            cx.alarm(Alarm::Announce, next);
        }
    }

    /// Announces what was gathered, to everyone.
    pub(crate) fn tell_transactions(&mut self, cx: &mut Cx<'_>) {
        if self.transactions.outbox.is_empty() {
            return;
        }
        self.transactions.told = Some(cx.time());
        let ids = core::mem::take(&mut self.transactions.outbox);
        let frame = wire::pack(Kind::InvTransactions, &Hashes::from_iter(ids).encode(), 0, 0);
        for connection in cx.connections() {
            if ready_mut(cx, connection).is_some() {
                cx.send(connection, frame.clone(), Overflow::Drop);
            }
        }
    }

    // A peer does not bring these: the next one that has it is asked for each.
    fn ask_others_for(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, ids: impl IntoIterator<Item = Hash>) {
        let mut wanted: BTreeMap<ConnectionId, Vec<Hash>> = BTreeMap::new();
        for id in ids {
            if self.transactions.open.get(&id).is_none_or(|open| open.asked != connection) {
                continue;
            }
            let Some(open) = self.transactions.open.remove(&id) else { continue };
            if let Some(next) = open.others.into_iter().find(|other| ready_mut(cx, *other).is_some()) {
                wanted.entry(next).or_default().push(id);
            }
        }
        for (next, ids) in wanted {
            self.on_offered(cx, next, ids);
        }
    }

    /// A peer is gone: what it owed is asked of others.
    pub(crate) fn forget_transactions(&mut self, cx: &mut Cx<'_>, connection: ConnectionId) {
        let owed = self.transactions.open.iter().filter(|(_, open)| open.asked == connection);
        let owed: Vec<Hash> = owed.map(|(id, _)| *id).collect();
        self.ask_others_for(cx, connection, owed);
    }
}
