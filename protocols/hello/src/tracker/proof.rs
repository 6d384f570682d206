//! Proves members by dialling them, and keeps the list over a restart.

use super::guests::UNANSWERED_MAX;
use super::{Alarm, Cx, Tracker};
use crate::handshake::meet_self;
use crate::wire;
use alloc::vec::Vec;
use bytes::Bytes;
use polypeer_engine::kit::chain::Hash;
use polypeer_engine::{Address, Close, ConnectionId, Overflow, Reason, Time};

/// Dials under way at once (Hello spec, section 7).
const PROOFS_MAX: usize = 256;
/// Intervals after which a proof is repeated.
const PROOF_INTERVALS: u32 = 60;
/// The first byte of a member's key among the records.
const MEMBER: u8 = b'm';

impl Tracker {
    /// The interval that this time is in: freshness counts in whole intervals.
    pub(super) fn epoch(&self, now: Time) -> u64 {
        let interval = u64::try_from(self.config.interval.as_micros()).unwrap_or(u64::MAX).max(1);
        now.as_micros() / interval
    }

    /// Takes back the members of the last run, all unproven.
    pub(super) fn remember(&mut self, cx: &mut Cx<'_>) {
        let now = cx.time();
        for record in cx.records() {
            let address = record.key.split_first().filter(|(first, _)| **first == MEMBER).map(|(_, rest)| rest);
            let address = address.and_then(|address| postcard::from_bytes::<Address>(address).ok());
            let genesis = record.value.and_then(|value| postcard::from_bytes::<Option<Hash>>(&value).ok());
            if let (Some(address), Some(genesis)) = (address, genesis) {
                self.members.add(address, genesis, None, now);
            }
        }
        self.prove_due(cx);
    }

    /// A guest says that it listens there.
    pub(super) fn register(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        address: Address,
        genesis: Option<Hash>,
    ) {
        if let Some(changed) = self.members.rejoin(address, genesis, connection) {
            if changed {
                self.save(cx, address, genesis);
            }
            return;
        }
        for leaver in self.members.too_many_with(address.ip()) {
            self.drop_member(cx, leaver);
        }
        self.members.add(address, genesis, Some(connection), cx.time());
        self.save(cx, address, genesis);
        self.prove_due(cx);
    }

    fn save(&self, cx: &mut Cx<'_>, address: Address, genesis: Option<Hash>) {
        if let Ok(value) = postcard::to_allocvec(&genesis) {
            cx.save(key(address), Some(Bytes::from(value)));
        }
    }

    /// A member is no longer one. Its connection stays.
    pub(super) fn drop_member(&mut self, cx: &mut Cx<'_>, address: Address) {
        if self.members.remove(address) {
            cx.save(key(address), None);
        }
    }

    /// A connection is gone: the member that it was is dialled instead of asked.
    pub(super) fn lose_connection(&mut self, cx: &mut Cx<'_>, connection: ConnectionId) {
        self.members.disconnect(connection, cx.time() + self.config.interval);
        self.watch(cx);
    }

    /// Dials members whose proof is due, as many as may be under way.
    pub(super) fn prove_due(&mut self, cx: &mut Cx<'_>) {
        let now = cx.time();
        while self.proving.len() < PROOFS_MAX
            && let Some(address) = self.members.take_due(now)
        {
            match cx.dial(address, false, Reason::DialledToProve) {
                Some(connection) => drop(self.proving.insert(address, connection)),
                None => self.proof_lost(cx, address),
            }
        }
        self.watch(cx);
    }

    // While all dials are under way the end of one goes on with the rest.
    fn watch(&self, cx: &mut Cx<'_>) {
        match self.members.next_due() {
            Some(due) if self.proving.len() < PROOFS_MAX => cx.alarm(Alarm::Proof, due),
            _ => cx.cancel_alarm(Alarm::Proof),
        }
    }

    /// The dialled side has said HELLO: that is proof enough, and all that the connection was for.
    pub(super) fn finish_proof(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, theirs: &wire::Hello) {
        let proof = self.proving.iter().find(|(_, proof)| **proof == connection).map(|(address, _)| *address);
        let Some(address) = proof else {
            // Dialled by the operator's hand: a tracker has no use for it.
            cx.send(connection, wire::hey(0), Overflow::Close);
            return cx.close(connection, Close::Flushed, "nothing to prove");
        };
        self.proving.remove(&address);
        if theirs.nonce == Some(self.nonce) {
            meet_self(cx, connection);
            self.drop_member(cx, address);
        } else {
            cx.send(connection, wire::hey(0), Overflow::Close);
            cx.close(connection, Close::Flushed, "proven");
            let now = cx.time();
            let epoch = self.epoch(now);
            let again = (now + self.config.interval * PROOF_INTERVALS, now + self.config.interval);
            if self.members.proven(address, theirs.genesis, epoch, again) {
                let genesis = self.members.genesis_of(address);
                self.save(cx, address, genesis);
            }
        }
        self.prove_due(cx);
    }

    /// A dial for proof came to nothing.
    pub(super) fn proof_failed(&mut self, cx: &mut Cx<'_>, address: Address) {
        if self.proving.remove(&address).is_some() {
            self.proof_lost(cx, address);
            self.prove_due(cx);
        }
    }

    fn proof_lost(&mut self, cx: &mut Cx<'_>, address: Address) {
        if self.members.failed(address, cx.time() + self.config.interval) >= UNANSWERED_MAX {
            self.drop_member(cx, address);
        }
    }
}

fn key(address: Address) -> Bytes {
    let mut key = Vec::from([MEMBER]);
    key.extend(postcard::to_allocvec(&address).unwrap_or_default());
    Bytes::from(key)
}
