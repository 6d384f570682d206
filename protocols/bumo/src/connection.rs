//! Takes a connection from its first word to its end: the table of messages, what is due when, the end.

use crate::broadcast::Broadcasts;
use crate::frame::{self, Data};
use crate::handshake::Identity;
use crate::ledger::{Request, Tip};
use crate::peer::Active;
use crate::questions::Asked;
use crate::relay::Transactions;
use crate::sync::Sync;
use crate::upgrade::Upgrades;
use crate::wire::{Envelope, Kind, Message as _};
use crate::{Alarm, Bumo, Config, Cx, Misbehavior, Peer};
use alloc::collections::BTreeMap;
use polypeer_engine::kit::cost::{Charged, Class, Price};
use polypeer_engine::{ConnectionId, Frame};

/// Messages of no more bytes cost nothing by their length. Only large transactions, values, and ledgers have more.
const LIGHT_BYTES_MAX: usize = 64 << 10;

/// What reading a message of so many bytes costs, if anything. It is given back for what was useful.
pub(crate) fn reading(bytes: usize) -> Option<Price> {
    (bytes > LIGHT_BYTES_MAX).then(|| Class::HeaderCheck.price(bytes))
}

// Ledgers that we asked for, consensus messages, which pay for their hash and so by their length, and what its length
// alone convicts.
fn is_paid_for(peer: &Peer, envelope: &Envelope<'_>) -> bool {
    let Some(active) = peer.active() else { return false };
    match (envelope.kind(), envelope.is_request) {
        (Some(Kind::Ledgers), false) => active.source.is_asked(),
        (Some(Kind::Pbft), true) => true,
        (Some(kind), true) => is_too_long(kind, envelope.data),
        _ => false,
    }
}

fn is_too_long(kind: Kind, data: &[u8]) -> bool {
    kind.data_bytes_max().is_some_and(|most| data.len() > most)
}

/// What the operator sees.
impl Bumo {
    /// Where the ledger stands, once it has said so.
    pub fn tip(&self) -> Option<&Tip> {
        self.tip.as_ref()
    }
}

impl Bumo {
    pub(crate) fn start(config: Config, cx: &mut Cx<'_>) -> Self {
        let secret = cx.random().number();
        let at = cx.time();
        cx.alarm(Alarm::Broadcasts, at);
        let ticket = cx.ask(Request::Tip);
        Self {
            identity: Identity::new(cx),
            tip: None,
            asked: BTreeMap::from([(ticket, Asked::Tip)]),
            broadcasts: Broadcasts::new(secret),
            transactions: Transactions::default(),
            upgrades: Upgrades::default(),
            sync: Sync::new(cx.time()),
            consensus: None,
            config,
        }
    }

    /// The ledger has said where it stands: now there is something to speak of.
    pub(crate) fn on_first_tip(&mut self, cx: &mut Cx<'_>, tip: Tip) {
        let seq = tip.seq;
        self.tip = Some(tip);
        self.sync_to(cx, seq);
        self.start_consensus(cx);
        // What it voted for is with the machine now.
        if let Some(tip) = &mut self.tip {
            tip.kept.clear();
        }
        self.wish(cx);
        self.probe_all(cx);
    }

    /// A ledger closed, by consensus or by sync.
    pub(crate) fn on_tip(&mut self, cx: &mut Cx<'_>, tip: Tip) {
        let Some(before) = &self.tip else { return };
        if tip.seq <= before.seq {
            return;
        }
        // All that was wished for is over with it (BUMO spec, section 8).
        let is_changed = tip.version != before.version || tip.validators != before.validators;
        if is_changed {
            self.upgrades.clear();
        }
        let seq = tip.seq;
        self.tip = Some(tip);
        self.sync_to(cx, seq);
        self.move_consensus(cx);
        if is_changed {
            self.wish(cx);
        }
    }

    /// Whether a peer may have this work done. Who goes on for long without credit slips.
    pub(crate) fn pays(&self, cx: &mut Cx<'_>, connection: ConnectionId, class: Class, price: Price) -> bool {
        let charged = cx.charge(connection, class, price);
        if charged == Charged::Excess {
            cx.slip(connection, Misbehavior::TooMuchWork);
        }
        charged == Charged::Paid
    }

    /// Whether a peer may have so many bytes read and hashed, which takes time by their number.
    fn may_read(&self, cx: &mut Cx<'_>, connection: ConnectionId, bytes: usize) -> bool {
        reading(bytes).is_none_or(|price| self.pays(cx, connection, Class::HeaderCheck, price))
    }

    /// A whole frame came: the table of who is active and who is not. Any frame is a sign of life, also one that says
    /// nothing (BUMO spec, section 1.2).
    pub(crate) fn on_message(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        mut peer: Peer,
        frame: Frame<'_>,
    ) -> Result<Peer, Misbehavior> {
        let message = frame::payload(frame);
        let envelope = match Envelope::canonical(message.bytes()) {
            Err(_) if !self.may_read(cx, connection, message.len()) => return Ok(peer),
            Err(_) => Envelope::decode(message.bytes()),
            canonical => canonical,
        };
        let Ok(envelope) = envelope else {
            cx.slip(connection, Misbehavior::Garbage);
            return Ok(peer);
        };
        if !is_paid_for(&peer, &envelope) && !self.may_read(cx, connection, envelope.data.len()) {
            return Ok(peer);
        }
        let data = Data::of(message, envelope.data);
        match (envelope.kind(), envelope.is_request) {
            (Some(Kind::Ping), true) => {
                self.on_ping(cx, connection, peer.line_mut(), envelope.sequence, data.bytes())?;
            }
            (Some(Kind::Ping), false) => self.on_pong(cx, connection, peer.line_mut(), data.bytes())?,
            (Some(Kind::Hello), false) => self.on_hello_answer(cx, connection, data.bytes()),
            (Some(Kind::Hello), true) => match &mut peer {
                Peer::Opened(line) => {
                    let line = core::mem::take(line);
                    return self.on_hello(cx, connection, line, envelope.sequence, data.bytes());
                }
                Peer::Active(active) => {
                    self.on_second_hello(cx, connection, &mut active.line, envelope.sequence)?;
                }
            },
            (Some(kind), is_request) => match &mut peer {
                Peer::Active(active) => self.on_active(cx, connection, active, (kind, is_request), data)?,
                // Too early (BUMO spec, section 4.3). Today's node lets some of it pass.
                Peer::Opened(_) => self.pass_over(cx, connection),
            },
            (None, _) => self.pass_over(cx, connection),
        }
        Ok(peer)
    }

    // A message after HELLO: the table.
    fn on_active(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        active: &mut Active,
        (kind, is_request): (Kind, bool),
        data: Data<'_>,
    ) -> Result<(), Misbehavior> {
        if is_request && is_too_long(kind, data.bytes()) {
            return Err(Misbehavior::TooLong(kind));
        }
        match (kind, is_request) {
            (Kind::Peers, true) => self.on_peers(cx, connection, data.bytes()),
            (Kind::Transaction, true) => return self.on_transaction(cx, connection, active, data),
            (Kind::Ledgers, true) => self.on_get_ledgers(cx, connection, &mut active.serving, data.bytes()),
            (Kind::Ledgers, false) => return self.on_ledgers(cx, connection, active, data),
            (Kind::Pbft, true) => return self.on_pbft(cx, connection, active, data),
            (Kind::LedgerUpgradeNotify, true) => {
                return self.on_upgrade_notice(cx, connection, &mut active.notices, data.bytes());
            }
            // No push is answered, and the handshake's have been seen to.
            _ => self.pass_over(cx, connection),
        }
        Ok(())
    }

    /// What nobody handles is passed over, at the price of looking at it.
    pub(crate) fn pass_over(&self, cx: &mut Cx<'_>, connection: ConnectionId) {
        self.pays(cx, connection, Class::Announcement, Class::Announcement.price(0));
    }

    /// An alarm of a connection's.
    pub(crate) fn on_time(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        mut peer: Peer,
        alarm: Alarm,
    ) -> Result<Peer, Misbehavior> {
        match (alarm, &mut peer) {
            (Alarm::Ping, peer) => self.ping(cx, connection, peer.line_mut()),
            (Alarm::Silence, _) => self.listen_for(cx, connection)?,
            (Alarm::Hello, Peer::Opened(_)) => return Err(Misbehavior::NoHello),
            (Alarm::Meet, Peer::Active(active)) => self.probe(cx, connection, active),
            (Alarm::Ledgers, Peer::Active(active)) => self.on_ledgers_late(cx, connection, active),
            _ => {}
        }
        Ok(peer)
    }

    /// A connection is gone: what it was asked for is asked of others.
    pub(crate) fn on_gone(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, peer: Option<&Peer>) {
        match peer {
            Some(Peer::Opened(_)) => {}
            Some(Peer::Active(active)) => {
                self.note_address(cx, connection, active);
                self.forget_source(cx, connection, Some(&active.source));
            }
            None => self.forget_source(cx, connection, None),
        }
    }
}
