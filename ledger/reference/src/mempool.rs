//! Keeps the transactions that wait (ledger spec, section "Mempool").

use crate::tables::Account;
use crate::transaction::{TRANSACTION_BYTES, Transaction, TransactionBytes};
use polypeer_engine::kit::chain::{Hash, TransactionFault, TransactionOutcome};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};

/// How far ahead of its sender's count a transaction may be: the count itself and 63 more.
pub(crate) const AHEAD_MAX: u64 = 63;

type Key = [u8; 32];

/// One waiting transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) id: Hash,
    pub(crate) bytes: TransactionBytes,
    amount: u64,
    pub(crate) fee: u64,
    arrival: u64,
    /// Its place in the store when the operator brought it.
    pub(crate) operator: Option<u64>,
}

impl Waiting {
    fn cost(&self) -> u128 {
        u128::from(self.amount) + u128::from(self.fee)
    }
}

/// A sender with what waits of it.
#[derive(Debug, Default)]
struct Sender {
    account: Account,
    /// All amounts and fees together.
    cost: u128,
    waiting: BTreeMap<u64, Waiting>,
}

/// A transaction that is offered: well-formed, its signature verified.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offer<'a> {
    pub(crate) id: Hash,
    pub(crate) bytes: &'a TransactionBytes,
    pub(crate) transaction: Transaction,
    /// What the tip says of its sender and recipient.
    pub(crate) sender: Account,
    pub(crate) recipient: Account,
    /// Its place in the store when the operator brought it.
    pub(crate) operator: Option<u64>,
}

/// The transactions that wait, by sender and sequence.
#[derive(Debug)]
pub(crate) struct Mempool {
    fee_min: u64,
    bytes_max: usize,
    bytes: usize,
    ids: HashMap<Hash, (Key, u64)>,
    senders: HashMap<Key, Sender>,
    /// The lowest fee first and, among equals, the newest.
    by_fee: BTreeSet<(u64, Reverse<u64>, Key, u64)>,
    arrivals: u64,
    /// What this batch took out, until its commit: whoever reads the committed chain still finds it here.
    leaving: HashMap<Hash, Waiting>,
    /// Those that waited before the operator brought them in this batch, until their commit.
    unstored: Vec<Hash>,
    /// The first arrival of this batch, until its commit.
    batch: Option<u64>,
}

impl Mempool {
    /// An empty mempool that takes fees from `fee_min` and holds at most `bytes_max` bytes of transactions.
    pub(crate) fn new(fee_min: u64, bytes_max: usize) -> Self {
        Self {
            fee_min,
            bytes_max,
            bytes: 0,
            ids: HashMap::new(),
            senders: HashMap::new(),
            by_fee: BTreeSet::new(),
            arrivals: 0,
            leaving: HashMap::new(),
            unstored: Vec::new(),
            batch: None,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    pub(crate) fn contains(&self, id: &Hash) -> bool {
        self.ids.contains_key(id)
    }

    pub(crate) fn get(&self, id: &Hash) -> Option<&Waiting> {
        let (key, sequence) = self.ids.get(id)?;
        self.at(key, *sequence)
    }

    /// The transaction of this sender that waits with this sequence.
    pub(crate) fn at(&self, sender: &Key, sequence: u64) -> Option<&Waiting> {
        self.senders.get(sender)?.waiting.get(&sequence)
    }

    /// A waiting transaction, or one that a batch takes out which is not committed yet.
    pub(crate) fn get_or_leaving(&self, id: &Hash) -> Option<&Waiting> {
        self.get(id).or_else(|| self.leaving.get(id))
    }

    /// Transactions that a batch takes out which is not committed yet.
    pub(crate) fn leaving(&self) -> impl ExactSizeIterator<Item = &Hash> {
        self.leaving.keys()
    }

    /// The sequences of an account's transactions that wait, or leave in a batch that is not committed yet.
    pub(crate) fn sequences(&self, key: &Key) -> BTreeSet<u64> {
        let leaving = self.leaving.values().filter_map(|waiting| Transaction::read(&waiting.bytes).ok());
        let leaving = leaving.filter(|own| own.sender == *key).map(|own| own.sequence);
        let waiting = self.senders.get(key).into_iter().flat_map(|sender| sender.waiting.keys().copied());
        waiting.chain(leaving).collect()
    }

    /// Whether anything of this account's waits.
    pub(crate) fn has_sender(&self, key: &Key) -> bool {
        self.senders.contains_key(key)
    }

    /// Takes a transaction if the rules allow it.
    pub(crate) fn offer(&mut self, offer: &Offer<'_>) -> TransactionOutcome {
        if self.ids.contains_key(&offer.id) {
            return TransactionOutcome::Known;
        }
        if let Err(fault) = self.check(offer).and_then(|()| self.make_room(offer)) {
            return TransactionOutcome::NotNow(fault);
        }
        self.insert(offer);
        TransactionOutcome::Accepted
    }

    /// Takes back a transaction of an abandoned block, if it is still valid. What waits behind it makes room for it
    /// in the balance, by a [`Mempool::settle`] of its sender that must follow.
    pub(crate) fn offer_back(&mut self, offer: &Offer<'_>) -> bool {
        let Transaction { sender: key, amount, sequence, .. } = offer.transaction;
        let covered = offer.transaction.cost().is_some_and(|cost| cost <= offer.sender.balance);
        let count = offer.sender.sequence;
        let in_reach = sequence >= count && sequence <= count.saturating_add(AHEAD_MAX);
        let taken = self.senders.get(&key).is_some_and(|sender| sender.waiting.contains_key(&sequence));
        let fits = offer.recipient.balance.checked_add(amount).is_some();
        let valid = covered && in_reach && !taken && fits && self.make_room(offer).is_ok();
        if valid {
            self.insert(offer);
        }
        valid
    }

    fn check(&self, offer: &Offer<'_>) -> Result<(), TransactionFault> {
        let Transaction { sender: key, amount, fee, sequence, .. } = offer.transaction;
        if fee < self.fee_min {
            return Err(TransactionFault::FeeTooLow);
        }
        let cost = offer.transaction.cost().ok_or(TransactionFault::Overflow)?;
        let count = offer.sender.sequence;
        if sequence < count || sequence > count.saturating_add(AHEAD_MAX) {
            return Err(TransactionFault::Sequence);
        }
        let sender = self.senders.get(&key);
        let replaced = sender.and_then(|sender| sender.waiting.get(&sequence));
        if let Some(replaced) = replaced {
            let more = replaced.fee.div_ceil(10).max(1);
            if fee.checked_sub(replaced.fee).is_none_or(|difference| difference < more) {
                return Err(TransactionFault::ReplacementFeeTooLow);
            }
        }
        let others = sender.map_or(0, |sender| sender.cost) - replaced.map_or(0, Waiting::cost);
        if others + u128::from(cost) > u128::from(offer.sender.balance) {
            return Err(TransactionFault::Balance);
        }
        offer.recipient.balance.checked_add(amount).map(|_| ()).ok_or(TransactionFault::Overflow)
    }

    /// Lets the lowest fee leave, with the same sender's later ones, when the mempool is full.
    fn make_room(&mut self, offer: &Offer<'_>) -> Result<(), TransactionFault> {
        let Transaction { sender, fee, sequence, .. } = offer.transaction;
        let replaces = self.senders.get(&sender).is_some_and(|sender| sender.waiting.contains_key(&sequence));
        while !replaces && self.bytes + TRANSACTION_BYTES > self.bytes_max {
            let lowest = self.by_fee.first().ok_or(TransactionFault::NoRoom)?;
            let (lowest_fee, _, lowest_sender, first) = *lowest;
            if lowest_fee >= fee || (lowest_sender == sender && first < sequence) {
                return Err(TransactionFault::NoRoom);
            }
            let later: Vec<u64> = self.sequences_from(&lowest_sender, first);
            for sequence in later {
                self.displace(&lowest_sender, sequence);
            }
        }
        Ok(())
    }

    fn sequences_from(&self, key: &Key, first: u64) -> Vec<u64> {
        self.senders.get(key).map_or_else(Vec::new, |sender| sender.waiting.range(first..).map(|(at, _)| *at).collect())
    }

    fn insert(&mut self, offer: &Offer<'_>) {
        let Transaction { sender: key, amount, fee, sequence, .. } = offer.transaction;
        self.displace(&key, sequence);
        let arrival = self.arrivals;
        self.arrivals += 1;
        let waiting = Waiting { id: offer.id, bytes: *offer.bytes, amount, fee, arrival, operator: offer.operator };
        let sender = self.senders.entry(key).or_default();
        sender.account = offer.sender;
        sender.cost += waiting.cost();
        sender.waiting.insert(sequence, waiting);
        self.ids.insert(offer.id, (key, sequence));
        self.by_fee.insert((fee, Reverse(arrival), key, sequence));
        self.bytes += TRANSACTION_BYTES;
        self.leaving.remove(&offer.id);
    }

    // Lets one make way for another, which within a batch is not for good.
    fn displace(&mut self, key: &Key, sequence: u64) {
        let gone = self.remove(key, sequence).filter(|_| self.batch.is_some());
        self.leaving.extend(gone.map(|waiting| (waiting.id, waiting)));
    }

    fn remove(&mut self, key: &Key, sequence: u64) -> Option<Waiting> {
        let sender = self.senders.get_mut(key)?;
        let gone = sender.waiting.remove(&sequence)?;
        sender.cost -= gone.cost();
        if sender.waiting.is_empty() {
            self.senders.remove(key);
        }
        self.ids.remove(&gone.id);
        self.by_fee.remove(&(gone.fee, Reverse(gone.arrival), *key, sequence));
        self.bytes -= TRANSACTION_BYTES;
        Some(gone)
    }

    /// Drops what is not valid any more now that the tip says this of the sender: used sequences, those too far ahead
    /// (after a reorganisation), and the latest ones that the balance does not cover. Returns them.
    pub(crate) fn settle(&mut self, key: &Key, account: Account) -> Vec<Waiting> {
        let mut gone = Vec::new();
        let Some(sender) = self.senders.get_mut(key) else { return gone };
        sender.account = account;
        let last = account.sequence.saturating_add(AHEAD_MAX);
        let outside: Vec<u64> =
            sender.waiting.keys().copied().filter(|at| *at < account.sequence || *at > last).collect();
        for sequence in outside {
            gone.extend(self.remove(key, sequence));
        }
        while let Some(sender) = self.senders.get(key)
            && sender.cost > u128::from(account.balance)
            && let Some((latest, _)) = sender.waiting.last_key_value()
        {
            let latest = *latest;
            gone.extend(self.remove(key, latest));
        }
        self.leaving.extend(gone.iter().map(|waiting| (waiting.id, waiting.clone())));
        gone
    }

    /// A batch begins that a commit will end.
    pub(crate) fn begin(&mut self) {
        self.batch = Some(self.arrivals);
    }

    /// The batch is committed: what left is gone, and what the operator brought is stored.
    pub(crate) fn commit(&mut self) {
        self.leaving.clear();
        self.unstored.clear();
        self.batch = None;
    }

    /// The batch's commit failed: what it brought goes, as it is answered anew. Returns what left, to be offered again.
    pub(crate) fn roll_back(&mut self) -> Vec<Waiting> {
        for id in std::mem::take(&mut self.unstored) {
            self.set_operator(&id, None);
        }
        if let Some(first) = self.batch.take() {
            let waiting = self.senders.values().flat_map(|sender| sender.waiting.values());
            let arrived: Vec<Hash> = waiting.filter(|it| it.arrival >= first).map(|it| it.id).collect();
            arrived.iter().for_each(|id| self.drop_one(id));
        }
        let mut leaving: Vec<Waiting> = std::mem::take(&mut self.leaving).into_values().collect();
        leaving.sort_unstable_by_key(|waiting| waiting.arrival);
        leaving
    }

    /// Everyone of whom something waits, in the order of their keys.
    pub(crate) fn sender_keys(&self) -> Vec<Key> {
        let mut keys: Vec<Key> = self.senders.keys().copied().collect();
        keys.sort_unstable();
        keys
    }

    /// Marks a waiting transaction as the operator's, stored at this place once the batch is committed.
    pub(crate) fn store_operator(&mut self, id: &Hash, place: u64, waited: bool) {
        self.set_operator(id, Some(place));
        self.unstored.extend(waited.then_some(*id));
    }

    fn set_operator(&mut self, id: &Hash, place: Option<u64>) {
        let Some((key, sequence)) = self.ids.get(id) else { return };
        let waiting = self.senders.get_mut(key).and_then(|sender| sender.waiting.get_mut(sequence));
        if let Some(waiting) = waiting {
            waiting.operator = place;
        }
    }

    /// Drops one transaction.
    pub(crate) fn drop_one(&mut self, id: &Hash) {
        if let Some((key, sequence)) = self.ids.get(id).copied() {
            self.remove(&key, sequence);
        }
    }

    /// The waiting transactions, highest fee first, each sender's in order.
    pub(crate) fn by_worth(&self) -> ByWorth<'_> {
        ByWorth::new(self, false)
    }

    /// Like [`Mempool::by_worth`], without what a gap in its sender's sequences keeps from the next block.
    pub(crate) fn ready(&self) -> ByWorth<'_> {
        ByWorth::new(self, true)
    }
}

/// Walks the waiting transactions by fee, each sender's in order.
pub(crate) struct ByWorth<'a> {
    mempool: &'a Mempool,
    heads: BinaryHeap<(u64, Reverse<u64>, &'a Key, u64)>,
    gapless: bool,
}

impl<'a> ByWorth<'a> {
    fn new(mempool: &'a Mempool, gapless: bool) -> Self {
        let firsts = mempool.senders.iter().filter_map(|(key, sender)| {
            let (sequence, waiting) = sender.waiting.first_key_value()?;
            let starts = !gapless || *sequence == sender.account.sequence;
            starts.then_some((waiting.fee, Reverse(waiting.arrival), key, *sequence))
        });
        Self { mempool, heads: firsts.collect(), gapless }
    }

    /// The best one. Its sender's next comes up only when [`ByWorth::accept`] is called with it.
    pub(crate) fn next_head(&mut self) -> Option<(&'a Key, u64, &'a Waiting)> {
        let (_, _, key, sequence) = self.heads.pop()?;
        let waiting = self.mempool.senders.get(key)?.waiting.get(&sequence)?;
        Some((key, sequence, waiting))
    }

    /// Brings up the sender's next one.
    pub(crate) fn accept(&mut self, key: &'a Key, sequence: u64) {
        let Some(sender) = self.mempool.senders.get(key) else { return };
        let Some(after) = sequence.checked_add(1) else { return };
        if let Some((next, waiting)) = sender.waiting.range(after..).next()
            && (!self.gapless || *next == after)
        {
            self.heads.push((waiting.fee, Reverse(waiting.arrival), key, *next));
        }
    }
}

impl<'a> Iterator for ByWorth<'a> {
    type Item = &'a Waiting;

    fn next(&mut self) -> Option<&'a Waiting> {
        let (key, sequence, waiting) = self.next_head()?;
        self.accept(key, sequence);
        Some(waiting)
    }
}
