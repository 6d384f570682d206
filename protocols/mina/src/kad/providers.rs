//! Keeps who provides the one thing that this network provides: itself, under its rendezvous (Mina spec, section 2.3).

use super::message::{ADDRESSES_MAX, Contact};
use crate::keys::PeerId;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;
use polypeer_engine::{Address, NetworkGroup, Random, Time};

/// Records, 16 addresses of 32 bytes each at most: 400 KiB. The network has some hundred nodes.
pub(super) const PROVIDERS_MAX: usize = 512;
/// Records from one network group, so that whoever has a few addresses and many keys does not have them all.
pub(super) const PROVIDERS_PER_GROUP_MAX: usize = 32;
/// How long a record counts. Go's side repeats its own every three hours and keeps others' for a day or two.
pub(super) const PROVIDER_TIME: Duration = Duration::from_secs(24 * 60 * 60);

/// One record.
#[derive(Clone, Debug)]
struct Provider {
    addresses: Vec<Address>,
    since: Time,
    // Where it was told from; nothing on a network whose groups mean nothing.
    group: Option<NetworkGroup>,
}

/// The records of who provides this network.
#[derive(Clone, Debug, Default)]
pub(super) struct Providers {
    records: BTreeMap<PeerId, Provider>,
}

impl Providers {
    /// A peer says of itself that it provides. When there is no room the oldest record makes it, of the same group when
    /// that is what is full.
    pub(super) fn add(&mut self, now: Time, peer: PeerId, addresses: Vec<Address>, group: Option<NetworkGroup>) {
        self.expire(now);
        if !self.records.contains_key(&peer) {
            let is_of_group = |provider: &Provider| group.is_some() && provider.group == group;
            if self.records.values().filter(|provider| is_of_group(provider)).count() >= PROVIDERS_PER_GROUP_MAX {
                self.drop_oldest(is_of_group);
            } else if self.records.len() >= PROVIDERS_MAX {
                self.drop_oldest(|_| true);
            }
        }
        let mut addresses = addresses;
        addresses.truncate(ADDRESSES_MAX);
        self.records.insert(peer, Provider { addresses, since: now, group });
    }

    /// Up to `count` of them, drawn so that all are named in time.
    pub(super) fn some(&mut self, now: Time, count: usize, random: &mut Random) -> Vec<Contact> {
        self.expire(now);
        let peers = random.sample(self.records.keys().copied().collect(), count);
        let contact = |peer: PeerId| {
            let addresses = self.records.get(&peer)?.addresses.clone();
            Some(Contact { peer, addresses, is_connected: false })
        };
        peers.into_iter().filter_map(contact).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    fn expire(&mut self, now: Time) {
        self.records.retain(|_, provider| now.since(provider.since) < PROVIDER_TIME);
    }

    fn drop_oldest(&mut self, counts: impl Fn(&Provider) -> bool) {
        let among = self.records.iter().filter(|(_, provider)| counts(provider));
        if let Some(oldest) = among.min_by_key(|(_, provider)| provider.since).map(|(peer, _)| *peer) {
            self.records.remove(&oldest);
        }
    }
}
