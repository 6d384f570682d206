//! Exchanges addresses, and proves those that peers claim for themselves (AnYa spec, section 3).

use crate::misbehavior::Misbehavior;
use crate::wire::{self, DecodeAddress, Kind, PEERS_MAX};
use crate::{Alarm, Anya, Cx, Open};
use alloc::collections::BTreeMap;
use core::time::Duration;
use polypeer_engine::kit::chain::ChainFormat;
use polypeer_engine::kit::cost::Class;
use polypeer_engine::{Address, ConnectionId, Direction, Overflow, Reason, Stock, Stocks};

/// Claimed addresses that wait for a free outbound slot. More are forgotten: their owners can claim again.
const CLAIMS_MAX: usize = 256;
/// How often a waiting claim is looked at. A claim is to be dialled within 10 s of a slot getting free.
const CLAIM_PATIENCE: Duration = Duration::from_secs(2);
/// One address is not dialled for its claims more often than this, in milliseconds.
const CLAIM_AGAIN_MS: u64 = 5_000;

/// What is to be proven.
#[derive(Debug, Default)]
pub(crate) struct Discovery {
    // Who claimed it: a claim lasts as long as its connection.
    claims: BTreeMap<Address, ConnectionId>,
}

impl Discovery {
    pub(crate) fn stock(&self, stocks: &mut Stocks) {
        stocks.push(Stock::of_peers("claimed addresses", self.claims.len(), CLAIMS_MAX));
    }

    /// A connection is gone, and with it what was claimed there.
    pub(crate) fn gone(&mut self, connection: ConnectionId) {
        if !self.claims.is_empty() {
            self.claims.retain(|_, claimant| *claimant != connection);
        }
    }
}

impl<F: ChainFormat> Anya<F> {
    /// A dialler claimed this address. Only one at its own IP address is dialled, so that nobody can plant a third
    /// party's address, or have one dialled.
    pub(crate) fn claimed(&mut self, cx: &mut Cx<'_, F>, connection: ConnectionId, address: Address) {
        let Some(ends) = cx.ends(connection) else { return };
        let config = cx.config();
        let may_dial = config.discovery && config.connect_only.is_empty();
        let (remote, is_inbound) = (ends.remote.ip(), ends.direction == Direction::Inbound);
        if !may_dial || !is_inbound || remote != address.ip() || self.discovery.claims.len() >= CLAIMS_MAX {
            return;
        }
        cx.learn([address], Some(remote));
        self.discovery.claims.insert(address, connection);
        self.prove_claims(cx);
    }

    /// Dials what is claimed and unproven while outbound slots are free.
    pub(crate) fn prove_claims(&mut self, cx: &mut Cx<'_, F>) {
        let now_ms = cx.now().unix_ms;
        let mut free = cx.has_free_outbound_slot();
        let mut claims = core::mem::take(&mut self.discovery.claims);
        claims.retain(|address, _| {
            // Learning refused what cannot be dialled here, and our own.
            let Some(entry) = cx.book().get(*address) else { return false };
            if entry.proven {
                return false;
            }
            if !free || now_ms.saturating_sub(entry.last_tried_ms) < CLAIM_AGAIN_MS {
                return true;
            }
            cx.dial(*address, true, Reason::DialledToProve);
            free = cx.has_free_outbound_slot();
            false
        });
        if !claims.is_empty() {
            cx.alarm(Alarm::Claims, cx.time() + CLAIM_PATIENCE);
        }
        self.discovery.claims = claims;
    }

    /// A dialler asks for addresses, once.
    pub(crate) fn ask_peers(&mut self, cx: &mut Cx<'_, F>, connection: ConnectionId, open: &mut Open) {
        if cx.config().discovery && connection.direction() == Direction::Outbound && !open.has_asked_peers {
            open.has_asked_peers = true;
            open.awaits_peers = true;
            cx.send(connection, wire::empty(Kind::GetPeers), Overflow::Close);
        }
    }

    /// Sends addresses that were dialled successfully, never the asker's own.
    pub(crate) fn send_peers(&mut self, cx: &mut Cx<'_, F>, to: ConnectionId, claimed: Address) {
        let dialled = cx.ends(to).and_then(|ends| ends.dialled);
        // Two more than fit, since two may be the asker's.
        let mut addresses = cx.sample_proven(PEERS_MAX + 2);
        addresses.retain(|address| *address != claimed && Some(*address) != dialled);
        addresses.truncate(PEERS_MAX);
        let frame = wire::peers(&addresses);
        cx.owe(to, Class::ListServed.price(frame.len()));
        cx.serve(to, frame);
    }

    /// Learns what a peer names, if it was asked.
    pub(crate) fn learn_peers(&mut self, cx: &mut Cx<'_, F>, from: ConnectionId, open: &mut Open, payload: &[u8]) {
        if !core::mem::take(&mut open.awaits_peers) {
            return;
        }
        let source = cx.ends(from).map(|ends| ends.remote.ip());
        match wire::decode_peers(payload) {
            Ok(addresses) => {
                cx.owe(from, Class::AddressLearn.price(0).times(addresses.len()));
                cx.learn(addresses, source);
            }
            Err(DecodeAddress::Address) => {
                cx.slip(from, Misbehavior::PeersAddress);
            }
            Err(DecodeAddress::Payload) => {
                cx.slip(from, Misbehavior::PayloadUnreadable(Kind::Peers));
            }
        }
    }
}
