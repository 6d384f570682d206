//! Keeps transactions that wait for a ledger (BUMO spec, section 9.1).

use crate::envelope::Envelope;
use crate::tables::AccountKey;
use polypeer_bumo::hash::Hash;
use polypeer_bumo::ledger::Origin;
use polypeer_bumo::wire::ErrorCode;
use polypeer_engine::Time;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Transactions that wait.
const POOL_MAX: usize = 10_240;
/// Transactions of one account.
const ACCOUNT_MAX: usize = 64;
/// How long one waits.
pub(crate) const LIFETIME: Duration = Duration::from_secs(600);
/// One takes another's place, of the same account and nonce, if it offers a gas price that is higher by this part.
const DEARER: (i64, i64) = (11, 10);

/// A transaction that waits.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) envelope: Envelope,
    pub(crate) source: AccountKey,
    pub(crate) nonce: i64,
    pub(crate) gas_price: i64,
    /// Whether its operations are executed here: otherwise it is relayed and never proposed.
    pub(crate) is_executed: bool,
    pub(crate) origin: Origin,
    since: Time,
    /// In the order of arrival.
    place: u64,
}

/// What is to be taken up.
pub(crate) struct Arrival {
    pub(crate) envelope: Envelope,
    pub(crate) source: AccountKey,
    pub(crate) nonce: i64,
    pub(crate) gas_price: i64,
    pub(crate) is_executed: bool,
    pub(crate) origin: Origin,
    /// The account's nonce in the last closed ledger.
    pub(crate) account_nonce: i64,
}

#[derive(Debug, Default)]
struct Account {
    /// In the last closed ledger.
    nonce: i64,
    waiting: BTreeMap<i64, Hash>,
}

/// The pool.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    waiting: BTreeMap<Hash, Waiting>,
    accounts: BTreeMap<AccountKey, Account>,
    order: BTreeMap<u64, Hash>,
    arrivals: u64,
    bytes: usize,
    bytes_max: usize,
}

impl Pool {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, ..Self::default() }
    }

    pub(crate) fn get(&self, id: &Hash) -> Option<&Waiting> {
        self.waiting.get(id)
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Those that wait, the oldest first.
    pub(crate) fn in_order(&self) -> impl Iterator<Item = &Waiting> {
        self.order.values().filter_map(|id| self.waiting.get(id))
    }

    /// Takes one up that the rules allow; says which one had its place.
    pub(crate) fn insert(&mut self, arrival: Arrival, now: Time) -> Result<Option<Hash>, ErrorCode> {
        let replaced = self.replaced(&arrival)?;
        if let Some(old) = replaced {
            self.remove(&old);
        }
        let Arrival { envelope, source, nonce, gas_price, is_executed, origin, account_nonce } = arrival;
        let (id, place) = (envelope.id, self.arrivals);
        self.arrivals += 1;
        self.bytes += envelope.bytes.len();
        self.order.insert(place, id);
        let account = self.accounts.entry(source).or_default();
        account.nonce = account_nonce;
        account.waiting.insert(nonce, id);
        let waiting = Waiting { envelope, source, nonce, gas_price, is_executed, origin, since: now, place };
        self.waiting.insert(id, waiting);
        Ok(replaced)
    }

    /// Whose place one takes, if there is room for it.
    fn replaced(&self, arrival: &Arrival) -> Result<Option<Hash>, ErrorCode> {
        let account = self.accounts.get(&arrival.source);
        let old = account.and_then(|account| account.waiting.get(&arrival.nonce));
        let old = old.and_then(|id| self.waiting.get(id));
        let is_dearer = |old: &Waiting| {
            let asked = i128::from(old.gas_price) * i128::from(DEARER.0);
            i128::from(arrival.gas_price) * i128::from(DEARER.1) >= asked
        };
        let freed = old.map_or(0, |old| old.envelope.bytes.len());
        let fits = self.bytes - freed + arrival.envelope.bytes.len() <= self.bytes_max;
        let has_place = match old {
            Some(old) => is_dearer(old),
            None => self.len() < POOL_MAX && account.is_none_or(|account| account.waiting.len() < ACCOUNT_MAX),
        };
        if fits && has_place { Ok(old.map(|old| old.envelope.id)) } else { Err(ErrorCode::TX_INSERT_QUEUE_FAIL) }
    }

    /// Lets go of one.
    pub(crate) fn remove(&mut self, id: &Hash) -> Option<Waiting> {
        let waiting = self.waiting.remove(id)?;
        self.order.remove(&waiting.place);
        self.bytes -= waiting.envelope.bytes.len();
        if let Some(account) = self.accounts.get_mut(&waiting.source) {
            account.waiting.remove(&waiting.nonce);
            if account.waiting.is_empty() {
                self.accounts.remove(&waiting.source);
            }
        }
        Some(waiting)
    }

    /// Lets go of those that have waited too long.
    pub(crate) fn expire(&mut self, now: Time) -> Vec<Waiting> {
        let is_old = |waiting: &&Waiting| waiting.since + LIFETIME <= now;
        let old: Vec<_> = self.in_order().take_while(is_old).map(|waiting| waiting.envelope.id).collect();
        old.iter().filter_map(|id| self.remove(id)).collect()
    }

    /// When the oldest has waited too long.
    pub(crate) fn expires(&self) -> Option<Time> {
        self.in_order().next().map(|oldest| oldest.since + LIFETIME)
    }

    /// Tells that an account has this nonce now, and lets go of what it is above.
    pub(crate) fn advance(&mut self, source: &AccountKey, nonce: i64) -> Vec<Waiting> {
        let Some(account) = self.accounts.get_mut(source) else { return Vec::new() };
        account.nonce = nonce;
        let used: Vec<_> = account.waiting.range(..=nonce).map(|(_, id)| *id).collect();
        used.iter().filter_map(|id| self.remove(id)).collect()
    }

    /// Those that a ledger can have, the dearest and oldest first, each account's in the order of their nonces: as many
    /// as `count_max` and `bytes_max` allow.
    pub(crate) fn choose(&self, count_max: usize, bytes_max: usize) -> Vec<Envelope> {
        let next = |key: &AccountKey, nonce: i64| {
            let waiting = self.waiting.get(self.accounts.get(key)?.waiting.get(&nonce.checked_add(1)?)?)?;
            waiting.is_executed.then_some((waiting.gas_price, std::cmp::Reverse(waiting.place), waiting))
        };
        let rank = |(gas_price, place, waiting): (i64, std::cmp::Reverse<u64>, &Waiting)| {
            (gas_price, place, waiting.envelope.id)
        };
        let heads = self.accounts.iter().filter_map(|(key, account)| next(key, account.nonce)).map(rank);
        let mut ready: BTreeSet<_> = heads.collect();
        let (mut chosen, mut bytes) = (Vec::new(), 0);
        while let Some((_, _, id)) = ready.pop_last() {
            let Some(waiting) = self.waiting.get(&id) else { continue };
            // A key and a length of up to four bytes.
            let size = waiting.envelope.bytes.len() + 5;
            if chosen.len() >= count_max || bytes + size > bytes_max {
                break;
            }
            bytes += size;
            chosen.push(waiting.envelope.clone());
            ready.extend(next(&waiting.source, waiting.nonce).map(rank));
        }
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn arrival(account: u8, nonce: i64, gas_price: i64) -> Arrival {
        let bytes = Bytes::from(vec![account; 100]);
        let mut id = [account; 32];
        id[..16].copy_from_slice(&[nonce.to_be_bytes(), gas_price.to_be_bytes()].concat());
        let envelope = Envelope { bytes, id: Hash(id), signers: Default::default() };
        let source = [account; 27];
        let (is_executed, origin, account_nonce) = (true, Origin::Peer, 0);
        Arrival { envelope, source, nonce, gas_price, is_executed, origin, account_nonce }
    }

    fn pool() -> Pool {
        Pool::new(1 << 30)
    }

    fn chosen(pool: &Pool) -> Vec<(u8, i64)> {
        let chosen = pool.choose(POOL_MAX, 1 << 20);
        chosen
            .iter()
            .map(|envelope| (envelope.bytes[0], i64::from_be_bytes(envelope.id.0[..8].try_into().unwrap())))
            .collect()
    }

    #[test]
    fn the_dearest_and_then_the_oldest_come_first_and_nonces_in_order() {
        let mut pool = pool();
        for (account, nonce, gas_price) in [(1, 2, 9), (1, 1, 5), (2, 1, 5), (3, 1, 7), (3, 3, 99), (2, 2, 8)] {
            pool.insert(arrival(account, nonce, gas_price), Time::ZERO).unwrap();
        }
        assert_eq!(chosen(&pool), [(3, 1), (1, 1), (1, 2), (2, 1), (2, 2)]);
        pool.advance(&[1; 27], 1);
        assert_eq!(chosen(&pool), [(1, 2), (3, 1), (2, 1), (2, 2)]);
        assert_eq!(pool.choose(3, 1 << 20).len(), 3);
        assert_eq!(pool.choose(9, 209).len(), 1);
    }

    #[test]
    fn one_of_the_same_nonce_must_offer_a_tenth_more() {
        let mut pool = pool();
        pool.insert(arrival(1, 1, 1_000), Time::ZERO).unwrap();
        assert_eq!(pool.insert(arrival(1, 1, 1_099), Time::ZERO), Err(ErrorCode::TX_INSERT_QUEUE_FAIL));
        let old = arrival(1, 1, 1_000).envelope.id;
        assert_eq!(pool.insert(arrival(1, 1, 1_100), Time::ZERO), Ok(Some(old)));
        assert_eq!((pool.len(), pool.bytes, pool.order.len()), (1, 100, 1));
    }

    #[test]
    fn an_account_and_the_pool_have_limits() {
        let mut pool = pool();
        for nonce in 1..=64 {
            pool.insert(arrival(1, nonce, 1), Time::ZERO).unwrap();
        }
        assert_eq!(pool.insert(arrival(1, 65, 1), Time::ZERO), Err(ErrorCode::TX_INSERT_QUEUE_FAIL));
        for account in 2..=160 {
            for nonce in 1..=64 {
                assert_eq!(pool.insert(arrival(account, nonce, 1), Time::ZERO), Ok(None));
            }
        }
        assert_eq!(pool.len(), POOL_MAX);
        assert_eq!(pool.insert(arrival(200, 1, 1), Time::ZERO), Err(ErrorCode::TX_INSERT_QUEUE_FAIL));
        let mut small = Pool::new(250);
        small.insert(arrival(1, 1, 1), Time::ZERO).unwrap();
        small.insert(arrival(2, 1, 1), Time::ZERO).unwrap();
        assert_eq!(small.insert(arrival(3, 1, 1), Time::ZERO), Err(ErrorCode::TX_INSERT_QUEUE_FAIL));
        assert_eq!(small.insert(arrival(1, 1, 2), Time::ZERO).map(|old| old.is_some()), Ok(true));
    }

    #[test]
    fn those_that_wait_too_long_go() {
        let mut pool = pool();
        pool.insert(arrival(1, 1, 1), Time::ZERO).unwrap();
        pool.insert(arrival(1, 2, 1), Time::ZERO + Duration::from_secs(1)).unwrap();
        assert_eq!(pool.expires(), Some(Time::ZERO + LIFETIME));
        assert_eq!(pool.expire(Time::ZERO + LIFETIME - Duration::from_micros(1)).len(), 0);
        assert_eq!(pool.expire(Time::ZERO + LIFETIME).len(), 1);
        assert_eq!(pool.expire(Time::ZERO + LIFETIME * 2).len(), 1);
        assert_eq!((pool.len(), pool.bytes, pool.accounts.len(), pool.order.len()), (0, 0, 0, 0));
    }
}
