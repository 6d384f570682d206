//! Charges peers for what they have this node do: one account each, kept over a reconnection.

use crate::kit::cost::{Account, Charged, Class, Price};
use crate::{ConnectionId, Context, Protocol, Time};
use alloc::collections::BTreeMap;
use core::net::IpAddr;

/// Addresses whose account is remembered though they are gone, about 60 bytes each. Those that own least stay: who
/// spends a whole burst on each connection is among them for eight seconds after.
const REMEMBERED_MAX: usize = 1_024;

/// What is known of all accounts together.
#[derive(Clone, Debug, Default)]
pub struct Costs {
    /// How often work of each class was refused, in the order of [`Class::ALL`].
    pub refused: [u64; Class::ALL.len()],
    gone: BTreeMap<IpAddr, Account>,
}

impl Costs {
    /// The account of someone who comes from this address.
    pub(crate) fn arrived(&mut self, ip: IpAddr) -> Account {
        self.gone.get(&ip).copied().unwrap_or_default()
    }

    /// Someone from this address is gone. Full accounts need not be remembered.
    pub(crate) fn left(&mut self, now: Time, ip: IpAddr, mut account: Account) {
        if account.is_full(now) {
            return;
        }
        if let Some(other) = self.gone.get_mut(&ip) {
            *other = other.poorer(account);
            return;
        }
        if self.gone.len() >= REMEMBERED_MAX {
            self.gone.retain(|_, account| !account.is_full(now));
        }
        if self.gone.len() >= REMEMBERED_MAX {
            let richest = self.gone.iter().max_by_key(|(_, account)| account.left());
            let Some((richest, _)) = richest.filter(|(_, other)| other.left() > account.left()) else { return };
            let richest = *richest;
            self.gone.remove(&richest);
        }
        self.gone.insert(ip, account);
    }
}

/// What peers have this node do.
impl<P: Protocol> Context<'_, P> {
    /// Charges a peer for work that it wants done. Unless it is paid the work is not done now, and counted.
    #[must_use]
    pub fn charge(&mut self, connection: ConnectionId, class: Class, price: Price) -> Charged {
        let now = self.time();
        let Some(state) = self.state.peers.get_mut(&connection) else { return Charged::Refused };
        let charged = state.account.charge(now, price);
        if charged != Charged::Paid {
            self.state.costs.refused[class as usize] += 1;
        }
        charged
    }

    /// Charges a peer for work that is done in any case, because this node asked for what it is about.
    pub fn owe(&mut self, connection: ConnectionId, price: Price) {
        let now = self.time();
        if let Some(state) = self.state.peers.get_mut(&connection) {
            state.account.owe(now, price);
        }
    }

    /// Gives back what a peer was charged for something useful.
    pub fn refund(&mut self, connection: ConnectionId, price: Price) {
        if let Some(state) = self.state.peers.get_mut(&connection) {
            state.account.refund(price);
        }
    }

    /// When a peer's account is not overdrawn any more; nothing when it is not.
    pub fn overdrawn_until(&mut self, connection: ConnectionId) -> Option<Time> {
        let now = self.time();
        let account = &mut self.state.peers.get_mut(&connection)?.account;
        (!account.is_good(now)).then(|| account.good_at(now))
    }
}
