//! Takes a connection from its first word to its end: the table of messages, what is owed when, the end.

use crate::handshake::ready_mut;
use crate::ledger::{Request, State};
use crate::peer::{Route, Wanted};
use crate::questions::Asked;
use crate::relay::Relay;
use crate::relay::transactions::Transactions;
use crate::sync::Sync;
use crate::wire::{self, Envelope, Kind, Reject};
use crate::{Alarm, Config, Cx, Kaspa, Misbehavior, Peer, Ready};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use polypeer_engine::{Close, ConnectionId, Frame};

/// Characters of a received Reject that people are shown: all that today's nodes ever say.
const REASON_SHOWN_MAX: usize = 256;
/// Reasons of a Reject that say nothing about us (Kaspa spec, section 2.1).
const QUIET_REASONS: [&str; 2] = ["LOOPBACK_CONNECTION", "DUPLICATE_CONNECTION"];

/// What the operator sees.
impl Kaspa {
    /// Where the ledger stands, once it has said so.
    pub fn state(&self) -> Option<&State> {
        self.state.as_ref()
    }

    /// Whether it is catching up with a peer.
    pub fn is_syncing(&self) -> bool {
        self.sync.is_running()
    }
}

impl Kaspa {
    pub(crate) fn start(config: Config, cx: &mut Cx<'_>) -> Self {
        let mut id = [0; 16];
        let (first, second) = id.split_at_mut(8);
        first.copy_from_slice(&cx.random().number().to_be_bytes());
        second.copy_from_slice(&cx.random().number().to_be_bytes());
        let secret = cx.random().number();
        let ticket = cx.ask(Request::State);
        Self {
            config,
            id,
            state: None,
            asked: BTreeMap::from([(ticket, Asked::State)]),
            next_request_id: 0,
            relay: Relay::new(secret),
            transactions: Transactions::new(secret),
            sync: Sync::default(),
            full_nodes: BTreeSet::new(),
        }
    }

    /// The ledger has said where it stands: those who came before it are told.
    pub(crate) fn on_first_state(&mut self, cx: &mut Cx<'_>, state: State) {
        self.on_state(cx, state);
        if state.sink.hash != state.genesis {
            self.announce_block(cx, state.sink.hash);
        }
    }

    /// The ledger says where it stands.
    pub(crate) fn on_state(&mut self, _: &mut Cx<'_>, state: State) {
        self.state = Some(state);
    }

    /// Whether our newest block is young enough for news to mean something to us (Kaspa spec, section 4.5).
    pub(crate) fn is_nearly_synced(&self, cx: &Cx<'_>) -> bool {
        let age = u64::try_from(self.config.synced_age.as_millis()).unwrap_or(u64::MAX);
        self.state.is_some_and(|state| state.sink.timestamp.saturating_add(age) > cx.now().unix_ms)
    }

    /// A number for a request, never 0.
    pub(crate) fn next_request_id(&mut self) -> u32 {
        self.next_request_id = self.next_request_id.checked_add(1).unwrap_or(1);
        self.next_request_id
    }

    /// A whole frame came.
    pub(crate) fn on_message(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        peer: Peer,
        frame: Frame<'_>,
    ) -> Result<Peer, Misbehavior> {
        // A copy of a short one, so that what is kept of it holds no large buffer.
        let frame = frame.keep();
        let phase = match &peer {
            Peer::Greeting(_) => wire::GREETING,
            Peer::Ready(_) if self.sync.is_with(connection) => wire::SYNCING,
            Peer::Ready(_) => wire::OPEN,
        };
        let envelope = wire::unpack_within(Frame::from(&frame), wire::Frames::payload_bytes_max(phase))?;
        if envelope.kind == Kind::Reject {
            self.on_reject(cx, connection, &envelope)?;
            return Ok(peer);
        }
        match peer {
            Peer::Greeting(greeting) => self.on_greeting(cx, connection, greeting, envelope),
            Peer::Ready(mut ready) => {
                self.on_flow(cx, connection, &mut ready, envelope)?;
                Ok(Peer::Ready(ready))
            }
        }
    }

    /// A message after the handshake: an answer goes by its number, everything else by its kind (Kaspa spec, section
    /// 2.1).
    pub(crate) fn on_flow(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        ready: &mut Ready,
        envelope: Envelope,
    ) -> Result<(), Misbehavior> {
        if envelope.response_id == 0 {
            self.on_kind(cx, connection, ready, envelope)
        } else {
            self.on_route(cx, connection, ready, envelope)
        }
    }

    // Says why, closes, and answers nothing (Kaspa spec, section 4.8).
    fn on_reject(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, envelope: &Envelope) -> Result<(), Misbehavior> {
        let Reject { reason } = Reject::decode(&envelope.body)?;
        // It goes into logs and lists, where it must neither begin a line nor fill a page.
        let shown = reason.chars().filter(|letter| !letter.is_control()).take(REASON_SHOWN_MAX);
        let reason: String = shown.collect();
        if !QUIET_REASONS.contains(&&*reason) {
            cx.note(alloc::format!("connection {connection} rejected us: {reason}"));
        }
        cx.close(connection, Close::Now, &alloc::format!("rejected us: {reason}"));
        Ok(())
    }

    // An answer, by the number of its request: the table.
    fn on_route(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        ready: &mut Ready,
        envelope: Envelope,
    ) -> Result<(), Misbehavior> {
        let id = envelope.response_id;
        let Route { wanted, .. } = ready.routes.remove(&id).ok_or(Misbehavior::UnknownRoute)?;
        if envelope.kind != wanted.kind() {
            return Err(Misbehavior::Unexpected { expected: wanted.kind(), got: envelope.kind });
        }
        match wanted {
            Wanted::Block(hash) => self.on_block(cx, connection, ready, (id, hash), envelope.body)?,
            Wanted::Locator(block) => self.on_block_locator(cx, connection, block, &envelope.body)?,
            Wanted::Bodies { left, run } => {
                let left = left.saturating_sub(1);
                if left > 0 {
                    let due = cx.time() + self.config.answer_timeout;
                    ready.routes.insert(id, Route { wanted: Wanted::Bodies { left, run }, due });
                }
                // What a sync that is over asked for still comes.
                if self.is_of_run(run) {
                    self.on_body(cx, connection, ready, envelope.body, left == 0)?;
                }
            }
        }
        self.watch_dues(cx, connection, ready);
        Ok(())
    }

    // A message that is no answer to a number: the table.
    fn on_kind(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        ready: &mut Ready,
        envelope: Envelope,
    ) -> Result<(), Misbehavior> {
        let body = &envelope.body;
        match envelope.kind {
            Kind::InvRelayBlock => self.on_inv(cx, connection, ready, body),
            Kind::InvTransactions => self.on_inv_transactions(cx, connection, body),
            Kind::Transaction => self.on_transaction(cx, connection, ready, envelope.body),
            Kind::TransactionNotFound => self.on_transaction_not_found(cx, connection, ready, body),
            Kind::Ping => self.on_ping(cx, connection, body),
            Kind::Pong => self.on_pong(cx, connection, ready, body),
            Kind::Addresses => self.on_addresses(cx, connection, ready, body),
            kind if kind.is_of_sync() => self.on_sync_message(cx, connection, ready, envelope),
            _ => self.on_request(cx, connection, ready, &envelope),
        }
    }

    /// Looks again when the first thing that a peer owes is due.
    pub(crate) fn watch_dues(&self, cx: &mut Cx<'_>, connection: ConnectionId, ready: &Ready) {
        match ready.next_due(self.config.answer_timeout) {
            Some(due) => cx.peer_alarm(connection, Alarm::Dues, due),
            None => cx.cancel_peer_alarm(connection, Alarm::Dues),
        }
    }

    /// The same for a peer that is in the table.
    pub(crate) fn watch_dues_of(&self, cx: &mut Cx<'_>, connection: ConnectionId) {
        let due = ready_mut(cx, connection).and_then(|ready| ready.next_due(self.config.answer_timeout));
        if let Some(due) = due {
            cx.peer_alarm(connection, Alarm::Dues, due);
        }
    }

    /// An alarm of a connection's.
    pub(crate) fn on_time(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        peer: Peer,
        alarm: Alarm,
    ) -> Result<Peer, Misbehavior> {
        let mut ready = match peer {
            Peer::Greeting(_) => return Err(self.on_greeting_late(alarm)),
            Peer::Ready(ready) => ready,
        };
        match alarm {
            Alarm::Ping if ready.ping.is_none() => self.ping(cx, connection, &mut ready),
            // The last Pong is late; its due says so.
            Alarm::Ping => self.ping_later(cx, connection),
            Alarm::Dues => {
                let limit = self.config.answer_timeout;
                if ready.next_due(limit).is_some_and(|due| due <= cx.time()) {
                    return Err(Misbehavior::TimedOut(limit.as_secs()));
                }
                self.watch_dues(cx, connection, &ready);
            }
            _ => {}
        }
        Ok(Peer::Ready(ready))
    }

    /// A peer has become ready.
    pub(crate) fn meet(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, ready: &Ready) {
        if ready.is_full_node() {
            if self.full_nodes.is_empty() {
                cx.ask(Request::MeetsFullNodes(true));
            }
            self.full_nodes.insert(connection);
        }
    }

    /// A connection is gone: what was asked of it is asked of others.
    pub(crate) fn on_gone(&mut self, cx: &mut Cx<'_>, connection: ConnectionId) {
        self.relay.orphans.gone(connection);
        self.forget_fetches(cx, connection);
        self.forget_transactions(cx, connection);
        self.forget_sync(cx, connection);
        if self.full_nodes.remove(&connection) && self.full_nodes.is_empty() {
            cx.ask(Request::MeetsFullNodes(false));
        }
    }
}

impl Wanted {
    /// Which message brings it.
    fn kind(self) -> Kind {
        match self {
            Self::Block(_) => Kind::Block,
            Self::Locator(_) => Kind::BlockLocator,
            Self::Bodies { .. } => Kind::BlockBody,
        }
    }
}

impl Kind {
    /// Whether it is part of an answer to one of the sync's requests.
    fn is_of_sync(self) -> bool {
        matches!(
            self,
            Self::BlockHeaders
                | Self::DoneHeaders
                | Self::IbdChainBlockLocator
                | Self::BlockBody
                | Self::PruningPointProof
                | Self::PruningPointProofChunk
                | Self::PruningPointProofChunksEnd
                | Self::PruningPoints
                | Self::TrustedData
                | Self::TrustedDataChunk
                | Self::TrustedDataChunksEnd
                | Self::BlockWithTrustedDataV4
                | Self::DoneBlocksWithTrustedData
                | Self::SmtMetadata
                | Self::SmtLaneChunk
                | Self::PruningPointUtxoSetChunk
                | Self::DonePruningPointUtxoSetChunks
                | Self::UnexpectedPruningPoint
                | Self::IbdBlockLocatorHighestHash
                | Self::IbdBlockLocatorHighestHashNotFound
        )
    }
}
