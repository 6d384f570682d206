//! Takes stock: how much an engine holds of everything that it keeps many of, and how much it may.

use crate::shell::dialer::{CONNECTING_MAX, SELVES_MAX, WANTED_MAX};
use crate::{Engine, Protocol};
use alloc::vec::Vec;

/// One map, queue or budget of an engine. Tests and simulations hold each to its limit, and look whether what belongs to
/// peers goes with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stock {
    /// What is counted.
    pub name: &'static str,
    /// How much there is: entries, or bytes where the name says so.
    pub count: usize,
    /// How much there may be.
    pub max: usize,
    /// Whether it is empty when nobody is connected and the ledger owes no answer.
    pub goes_with_peers: bool,
}

impl Stock {
    /// Something that is kept whoever is connected.
    pub const fn kept(name: &'static str, count: usize, max: usize) -> Self {
        Self { name, count, max, goes_with_peers: false }
    }

    /// Something that belongs to those who are connected.
    pub const fn of_peers(name: &'static str, count: usize, max: usize) -> Self {
        Self { name, count, max, goes_with_peers: true }
    }
}

/// The list that rooms add to.
pub type Stocks = Vec<Stock>;

impl<P: Protocol> Engine<P> {
    /// How much it holds of everything that it keeps many of, the protocol's own included.
    pub fn stock(&self) -> Stocks {
        let state = self.state();
        let peers = state.peers.len();
        // Whom the dialer keeps up, whom the operator named, and who is being dialled, to prove an address for one.
        let dialled_max = state.config.outbound_target as usize + WANTED_MAX + CONNECTING_MAX;
        let connections_max = state.config.inbound_max as usize + dialled_max;
        let dialer = &state.discovery.dialer;
        let mut stocks = alloc::vec![
            Stock::of_peers("peers", peers, connections_max),
            Stock::of_peers("dials", state.connecting_peers.len(), CONNECTING_MAX),
            Stock::of_peers("dialled addresses", state.dialled.len(), dialled_max),
            Stock::of_peers("departed peers", state.departed.len(), 0),
            // As many as may stand can be on their way out.
            Stock::of_peers("closing connections", state.closing.len(), 2 * connections_max),
            Stock::kept("addresses", state.discovery.book.len(), state.config.book_max as usize),
            Stock::kept("wanted peers", dialer.wanted.len(), WANTED_MAX),
            Stock::kept("own addresses", dialer.selves.len(), SELVES_MAX),
        ];
        self.protocol().stock(peers, &mut stocks);
        stocks
    }
}
