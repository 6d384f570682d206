//! Keeps transactions that wait for a block. It knows no outputs: identity, form and size are all that is checked, and
//! what no block takes within a while makes room.

use crate::node::Number;
use crate::params::Params;
use crate::transaction::{self, masses};
use bytes::Bytes;
use polypeer_engine::Time;
use polypeer_engine::kit::chain::{Hash, Origin};
use polypeer_kaspa::ledger::TransactionOutcome;
use polypeer_kaspa::wire::{TRANSACTION_BYTES_MAX, TransactionView};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

/// What one transaction takes beside its bytes: two entries in maps and the allocations.
const OVERHEAD_BYTES: usize = 256;
/// How long a peer's transaction waits before it may make room for others. On a network of ten blocks a second one that
/// is valid has long been taken by then.
const PATIENCE: Duration = Duration::from_secs(60);
/// Identifiers of transactions in recent blocks that are remembered: of half a minute at the networks' highest rate, in
/// about 12 MiB. A peer's announcement of one of them is no news.
const RECENT_MAX: usize = 131_072;

/// A transaction that waits.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) bytes: Bytes,
    pub(crate) origin: Origin,
    place: u64,
    since: Time,
}

/// All that wait.
#[derive(Debug)]
pub(crate) struct Mempool {
    waiting: HashMap<Hash, Waiting>,
    /// By the order in which they came.
    order: BTreeMap<u64, Hash>,
    next: u64,
    bytes: usize,
    bytes_max: usize,
    // With the block that had each first.
    recent: HashMap<Hash, Number>,
    recent_order: VecDeque<Hash>,
}

impl Mempool {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            waiting: HashMap::new(),
            order: BTreeMap::new(),
            next: 0,
            bytes: 0,
            bytes_max,
            recent: HashMap::new(),
            recent_order: VecDeque::new(),
        }
    }

    /// Takes a transaction, a `TransactionMessage`. It is encoded anew: what no hash covers is not relayed.
    pub(crate) fn take(
        &mut self,
        bytes: &[u8],
        origin: Origin,
        now: Time,
        params: &Params,
    ) -> (Hash, TransactionOutcome) {
        let Ok(view) = TransactionView::decode(bytes) else { return (Hash::ZERO, TransactionOutcome::Malformed) };
        let id = view.id();
        if self.contains(&id) {
            return (id, TransactionOutcome::Known);
        }
        if view.is_coinbase() || !transaction::is_formed(&view, params) {
            return (id, TransactionOutcome::Malformed);
        }
        let (masses, limits) = (masses(&view, &params.transaction), &params.block);
        let bytes = view.parts().encode();
        let fits = bytes.len() <= TRANSACTION_BYTES_MAX
            && masses.compute <= limits.compute_mass_max
            && masses.transient <= limits.transient_mass_max;
        if !fits {
            return (id, TransactionOutcome::TooLarge);
        }
        if !self.make_room(bytes.len(), now) {
            return (id, TransactionOutcome::NoRoom);
        }
        self.put(id, bytes, origin, now);
        (id, TransactionOutcome::Accepted)
    }

    fn put(&mut self, id: Hash, bytes: Bytes, origin: Origin, since: Time) {
        let place = self.next;
        self.next += 1;
        self.bytes += bytes.len() + OVERHEAD_BYTES;
        self.order.insert(place, id);
        self.waiting.insert(id, Waiting { bytes, origin, place, since });
    }

    /// Lets the oldest go that have waited long enough, until there is room.
    fn make_room(&mut self, bytes: usize, now: Time) -> bool {
        let needed = bytes + OVERHEAD_BYTES;
        while self.bytes + needed > self.bytes_max {
            let oldest = self.order.values().next().and_then(|id| Some((*id, self.waiting.get(id)?)));
            match oldest {
                Some((id, waiting)) if waiting.origin == Origin::Peer && now.since(waiting.since) >= PATIENCE => {
                    self.remove(&id);
                }
                _ => return false,
            }
        }
        true
    }

    /// Takes one out.
    pub(crate) fn remove(&mut self, id: &Hash) -> Option<Waiting> {
        let waiting = self.waiting.remove(id)?;
        self.order.remove(&waiting.place);
        self.bytes -= waiting.bytes.len() + OVERHEAD_BYTES;
        Some(waiting)
    }

    /// Notes the transactions of a new block. Those that waited are told.
    pub(crate) fn confirm(&mut self, ids: &[Hash], block: Number) -> Vec<(Hash, Waiting)> {
        let mut confirmed = Vec::new();
        for id in ids {
            confirmed.extend(self.remove(id).map(|waiting| (*id, waiting)));
            self.recent.entry(*id).or_insert_with(|| {
                self.recent_order.push_back(*id);
                block
            });
        }
        while self.recent_order.len() > RECENT_MAX {
            if let Some(oldest) = self.recent_order.pop_front() {
                self.recent.remove(&oldest);
            }
        }
        confirmed
    }

    /// Lets transactions wait again that a block had which could not be stored.
    pub(crate) fn put_back(&mut self, ids: &[Hash], confirmed: Vec<(Hash, Waiting)>) {
        for id in ids {
            if self.recent.remove(id).is_some() {
                self.recent_order.retain(|other| other != id);
            }
        }
        for (id, Waiting { bytes, origin, since, .. }) in confirmed {
            self.put(id, bytes, origin, since);
        }
    }

    /// Forgets what stood in recent blocks: their numbers are those of a DAG that is no more.
    pub(crate) fn forget_recent(&mut self) {
        self.recent.clear();
        self.recent_order.clear();
    }

    /// Makes a peer's transaction the operator's. Its bytes when it was a peer's.
    pub(crate) fn adopt(&mut self, id: &Hash) -> Option<Bytes> {
        let waiting = self.waiting.get_mut(id).filter(|waiting| waiting.origin == Origin::Peer)?;
        waiting.origin = Origin::Operator;
        Some(waiting.bytes.clone())
    }

    /// Whether it waits, or stood in a recent block.
    pub(crate) fn contains(&self, id: &Hash) -> bool {
        self.waiting.contains_key(id) || self.recent.contains_key(id)
    }

    pub(crate) fn get(&self, id: &Hash) -> Option<&Waiting> {
        self.waiting.get(id)
    }

    /// The block that had this transaction first, if it is a recent one.
    pub(crate) fn block_of(&self, id: &Hash) -> Option<Number> {
        self.recent.get(id).copied()
    }

    /// Those that wait, the oldest first.
    pub(crate) fn in_order(&self) -> impl Iterator<Item = (&Hash, &Waiting)> {
        self.order.values().filter_map(|id| self.waiting.get_key_value(id))
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use polypeer_kaspa::wire::{Input, Outpoint, SUBNETWORK_COINBASE, Transaction};

    /// A transaction that spends an output of its own.
    fn payment(number: u32) -> Bytes {
        let previous = Outpoint { transaction_id: Hash([1; 32]), index: number };
        let input = Input { previous, signature_script: &[0; 40], sequence: 0, compute_commit: 1 };
        Transaction { inputs: vec![input], ..Transaction::default() }.encode()
    }

    fn take(mempool: &mut Mempool, bytes: &[u8], origin: Origin, seconds: u64) -> (Hash, TransactionOutcome) {
        mempool.take(bytes, origin, Time::from_micros(1_000_000 * seconds), &Params::simnet())
    }

    #[test]
    fn the_oldest_of_peers_make_room_once_they_have_waited() {
        let size = payment(0).len() + OVERHEAD_BYTES + 8;
        let mut mempool = Mempool::new(3 * size);
        let peers = |mempool: &mut Mempool, number, seconds| take(mempool, &payment(number), Origin::Peer, seconds).1;
        for number in 0..3 {
            assert_eq!(peers(&mut mempool, number, 0), TransactionOutcome::Accepted);
        }
        assert_eq!(peers(&mut mempool, 3, 59), TransactionOutcome::NoRoom);
        assert_eq!(peers(&mut mempool, 3, 60), TransactionOutcome::Accepted);
        assert_eq!(peers(&mut mempool, 3, 60), TransactionOutcome::Known);
        assert_eq!(mempool.len(), 3);
        assert!(mempool.in_order().all(|(id, _)| *id != TransactionView::decode(&payment(0)).unwrap().id()));
    }

    #[test]
    fn the_operators_do_not_make_room() {
        let mut mempool = Mempool::new(payment(0).len() + OVERHEAD_BYTES + 8);
        assert_eq!(take(&mut mempool, &payment(0), Origin::Operator, 0).1, TransactionOutcome::Accepted);
        assert_eq!(take(&mut mempool, &payment(1), Origin::Peer, 1_000).1, TransactionOutcome::NoRoom);
    }

    #[test]
    fn what_a_block_has_does_not_wait_and_is_remembered() {
        let mut mempool = Mempool::new(1 << 20);
        let (id, _) = take(&mut mempool, &payment(0), Origin::Operator, 0);
        let (other, _) = take(&mut mempool, &payment(1), Origin::Peer, 0);
        let confirmed: Vec<Hash> =
            mempool.confirm(&[Hash([9; 32]), id, other], 1).into_iter().map(|(id, _)| id).collect();
        assert_eq!(confirmed, [id, other]);
        assert_eq!((mempool.len(), mempool.bytes), (0, 0));
        assert_eq!(take(&mut mempool, &payment(0), Origin::Peer, 0).1, TransactionOutcome::Known);
        let numbered = |number: u32| {
            let mut id = [7; 32];
            id[..4].copy_from_slice(&number.to_le_bytes());
            Hash(id)
        };
        let many: Vec<Hash> = (0..RECENT_MAX as u32).map(numbered).collect();
        mempool.confirm(&many, 2);
        assert_eq!((mempool.recent.len(), mempool.recent_order.len()), (RECENT_MAX, RECENT_MAX));
        assert_eq!(take(&mut mempool, &payment(0), Origin::Peer, 0).1, TransactionOutcome::Accepted);
    }

    #[test]
    fn form_and_size_are_checked() {
        let mut mempool = Mempool::new(1 << 20);
        let mut outcome = |bytes: &[u8]| take(&mut mempool, bytes, Origin::Peer, 0).1;
        assert_eq!(outcome(&[0xff]), TransactionOutcome::Malformed);
        assert_eq!(outcome(&Transaction::default().encode()), TransactionOutcome::Malformed, "nothing is spent");
        let coinbase = Transaction { subnetwork_id: SUBNETWORK_COINBASE, ..Transaction::default() };
        assert_eq!(outcome(&coinbase.encode()), TransactionOutcome::Malformed);
        let payload = vec![0; 260_000];
        let previous = Outpoint::default();
        let input = Input { previous, signature_script: &[], sequence: 0, compute_commit: 0 };
        let large = Transaction { inputs: vec![input], payload: &payload, ..Transaction::default() };
        assert_eq!(outcome(&large.encode()), TransactionOutcome::TooLarge);
    }
}
