//! Answers what peers ask: the menu and bans here, everything else by the host (Mina spec, sections 5.3 and 5.4).

use super::message::{Message, Query, Reply, RpcError, answer};
use super::method::{Method, Shape};
use super::payload::{
    HASHES_MAX, NOTHING, read_ancestry, read_hash, read_hashes, read_ledger_query, read_time, read_unit, refusal,
    write_menu,
};
use super::{Fault, Output, Rpc};
use crate::binprot::BinprotError;
use alloc::vec::Vec;
use bytes::Bytes;
use polypeer_engine::kit::chain::Hash;
use polypeer_engine::{ChannelId, ConnectionId, Time};

/// Questions of one peer that wait for the host. The reference node asks one on each stream.
pub const SERVING_MAX: usize = 16;

/// One question of a peer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServeId(u64);

/// What a peer wants that is not known here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Peers: a list as [`super::write_peers`] makes it.
    InitialPeers,
    /// The best tip: a [`super::ProvenBlock`].
    BestTip,
    /// The root from which a block follows: a [`super::ProvenBlock`].
    Ancestry {
        /// The consensus state that the peer says the block has.
        consensus_state: Bytes,
        /// The block.
        hash: Hash,
    },
    /// Blocks: a list of them, in this order.
    TransitionChain {
        /// Which, at most [`HASHES_MAX`].
        hashes: Vec<Hash>,
    },
    /// How a block follows from the root: a [`super::ChainProof`].
    ChainProof {
        /// The block.
        hash: Hash,
    },
    /// What blocks there are: a list of hashes.
    Knowledge,
    /// What is the host's alone.
    Ledger {
        /// Which method.
        method: Method,
        /// What it is asked with.
        payload: Bytes,
    },
}

/// A question that waits for the host.
#[derive(Clone, Copy, Debug)]
pub(super) struct Serving {
    pub(super) connection: ConnectionId,
    pub(super) channel: ChannelId,
    id: u64,
    method: Method,
}

impl Serving {
    pub(super) fn is_on(&self, connection: ConnectionId, channel: ChannelId) -> bool {
        (self.connection, self.channel) == (connection, channel)
    }
}

impl Method {
    /// Whether it is answered here.
    pub(super) fn is_served(self, serves_ledgers: bool) -> bool {
        match self {
            Self::Menu
            | Self::InitialPeers
            | Self::BestTip
            | Self::Ancestry
            | Self::TransitionChain
            | Self::TransitionChainProof
            | Self::TransitionKnowledge
            | Self::BanNotify => true,
            Self::StagedLedger | Self::SyncLedger => serves_ledgers,
            Self::WideSyncLedger
            | Self::CompletedSnarks
            | Self::EpochLedger
            | Self::NodeStatus
            | Self::NodeStatusTwo => false,
        }
    }
}

/// Questions that come in.
impl Rpc {
    pub(super) fn on_query(
        &mut self,
        now: Time,
        connection: ConnectionId,
        channel: ChannelId,
        query: &Query<'_>,
        out: &mut Vec<Output>,
    ) -> Result<(), Fault> {
        let id = query.id;
        let is_open = |serving: &Serving| serving.is_on(connection, channel) && serving.id == id;
        if self.serving.values().any(is_open) {
            return Err(Fault::RepeatedId);
        }
        let known = Method::of(query.tag, query.version);
        let Some(method) = known.filter(|method| method.is_served(self.config.serves_ledgers)) else {
            let error = RpcError::Unimplemented { tag: query.tag, version: query.version };
            out.push(refused(connection, channel, id, error));
            return self.charge(now, connection, Method::Menu, 1, out);
        };
        let wanted = match Wanted::read(method, query.payload) {
            Ok(wanted) => wanted,
            Err(BinprotError::TooMany) => {
                out.push(refused(connection, channel, id, RpcError::Uncaught(b"too many hashes")));
                out.push(Output::Fault { connection, fault: Fault::TooManyHashes });
                return Ok(());
            }
            Err(error) => return Err(Fault::Question(error)),
        };
        let cost = wanted.as_ref().map_or(1, Wanted::cost);
        let is_full = self.serving.values().filter(|serving| serving.connection == connection).count() >= SERVING_MAX;
        if is_full || !self.may_serve(now, connection, method, cost) {
            out.push(refused(connection, channel, id, RpcError::Uncaught(b"rate limit exceeded")));
            out.push(Output::Fault { connection, fault: Fault::TooManyQuestions });
            return Ok(());
        }
        match (wanted, method) {
            (Some(wanted), _) => {
                let serve = ServeId(self.next_serve);
                self.next_serve += 1;
                self.serving.insert(serve, Serving { connection, channel, id, method });
                out.push(Output::Asked { connection, serve, wanted });
            }
            (None, Method::Menu) => {
                let menu: Vec<Method> = self.menu().collect();
                let menu = write_menu(menu.iter().map(|method| (method.tag(), method.version())));
                out.push(Output::Send { connection, channel, frame: answer(id, &[], &menu) });
            }
            (None, _) => {
                let since = read_time(query.payload).map_err(Fault::Question)?;
                out.push(Output::Send { connection, channel, frame: answer(id, &[], &NOTHING) });
                // A float becomes the nearest number that there is, and what is none becomes 0.
                out.push(Output::BannedUs { connection, since: since as u64 });
            }
        }
        Ok(())
    }

    /// The host's answer to what a peer asked, as the method has it without what says whether there is one; nothing when
    /// it is not here. Nothing happens when the peer is gone.
    pub fn answer(&mut self, now: Time, serve: ServeId, value: Option<&Bytes>, out: &mut Vec<Output>) {
        let Some(Serving { connection, channel, id, method }) = self.serving.remove(&serve) else { return };
        let frame = match (method.shape(), value) {
            (Shape::Value | Shape::List, Some(value)) => answer(id, &[], value),
            (Shape::Option, Some(value)) => answer(id, &[1], value),
            (Shape::Result, Some(value)) => answer(id, &[0], value),
            (Shape::Value | Shape::List | Shape::Option, None) => answer(id, &[], &NOTHING),
            (Shape::Result, None) => answer(id, &[], &refusal("this ledger is not here")),
        };
        out.push(Output::Send { connection, channel, frame });
        let is_owed = self.serving.values().any(|serving| serving.is_on(connection, channel));
        if !is_owed && self.stream_mut(connection, channel).is_some_and(|stream| stream.is_half_closed) {
            out.push(Output::Finish { connection, channel });
            self.forget(now, connection, channel, super::Failure::Closed, out);
        }
    }

    // A question that is only refused costs something too.
    fn charge(
        &mut self,
        now: Time,
        connection: ConnectionId,
        method: Method,
        cost: usize,
        out: &mut Vec<Output>,
    ) -> Result<(), Fault> {
        if !self.may_serve(now, connection, method, cost) {
            out.push(Output::Fault { connection, fault: Fault::TooManyQuestions });
        }
        Ok(())
    }

    fn may_serve(&mut self, now: Time, connection: ConnectionId, method: Method, cost: usize) -> bool {
        let Some(remote) = self.remotes.get_mut(&connection) else { return false };
        remote.served[method.index()].take_all(now, cost)
    }
}

impl Wanted {
    // What a method is asked with; nothing when it is answered here.
    fn read(method: Method, payload: &[u8]) -> Result<Option<Self>, BinprotError> {
        let unit = |wanted| read_unit(payload).map(|()| wanted);
        match method {
            Method::Menu => unit(None),
            Method::BanNotify => read_time(payload).map(|_| None),
            Method::InitialPeers => unit(Some(Self::InitialPeers)),
            Method::BestTip => unit(Some(Self::BestTip)),
            Method::TransitionKnowledge => unit(Some(Self::Knowledge)),
            Method::Ancestry => {
                let (state, hash) = read_ancestry(payload)?;
                Ok(Some(Self::Ancestry { consensus_state: Bytes::copy_from_slice(state), hash }))
            }
            Method::TransitionChain => Ok(Some(Self::TransitionChain { hashes: read_hashes(payload, HASHES_MAX)? })),
            Method::TransitionChainProof => Ok(Some(Self::ChainProof { hash: read_hash(payload)? })),
            Method::SyncLedger => {
                read_ledger_query(payload)?;
                Ok(Some(Self::ledger(method, payload)))
            }
            Method::StagedLedger => {
                read_hash(payload)?;
                Ok(Some(Self::ledger(method, payload)))
            }
            _ => Ok(Some(Self::ledger(method, payload))),
        }
    }

    fn ledger(method: Method, payload: &[u8]) -> Self {
        Self::Ledger { method, payload: Bytes::copy_from_slice(payload) }
    }

    fn cost(&self) -> usize {
        match self {
            Self::TransitionChain { hashes } => hashes.len().max(1),
            _ => 1,
        }
    }
}

fn refused(connection: ConnectionId, channel: ChannelId, id: u64, error: RpcError<'_>) -> Output {
    let frame = Message::Reply(Reply { id, result: Err(error) }).encode();
    Output::Send { connection, channel, frame }
}
