//! Carries out what questions and answers want, and answers what peers ask: from here, or from the ledger (Mina spec,
//! section 5). What is asked of peers is in `sync`.

use crate::ledger::Request;
use crate::questions::Asked;
use crate::rpc::{InitialPeer, Method, Output, Question, Rpc, ServeId, Wanted, read_peers, write_peers};
use crate::streams::RPC;
use crate::{Alarm, Cx, Mina, Misbehavior};
use alloc::format;
use alloc::string::ToString as _;
use alloc::vec::Vec;
use bytes::Bytes;
use polypeer_engine::kit::cost::Class;
use polypeer_engine::{ChannelEnd, ChannelId, ConnectionId, Direction, Frame, Overflow, Time};

/// Answers from this length on are history, which waits for what news leave of the upload cap.
const HISTORY_BYTES_MIN: usize = 4 << 10;

/// What questions and answers are told.
impl Mina {
    pub(crate) fn on_rpc_stream(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        channel: ChannelId,
        opener: Direction,
    ) {
        self.with_rpc(cx, |rpc, now, out| rpc.on_opened(now, connection, channel, opener, out));
    }

    pub(crate) fn on_rpc_closed(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        channel: ChannelId,
        end: ChannelEnd,
    ) {
        self.with_rpc(cx, |rpc, now, out| match end {
            ChannelEnd::Refused => rpc.on_refused(connection, out),
            ChannelEnd::Finished | ChannelEnd::Reset => rpc.on_closed(now, connection, channel, end, out),
        });
    }

    pub(crate) fn on_bad_rpc(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, channel: ChannelId) {
        self.with_rpc(cx, |rpc, now, out| rpc.on_bad_frame(now, connection, channel, out));
    }

    pub(crate) fn on_rpc_frame(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        channel: ChannelId,
        frame: Frame<'_>,
    ) {
        self.with_rpc(cx, |rpc, now, out| rpc.on_frame(now, connection, channel, frame, out));
    }

    pub(crate) fn on_rpc_gone(&mut self, cx: &mut Cx<'_>, connection: ConnectionId) {
        self.with_rpc(cx, |rpc, _, out| rpc.on_disconnected(connection, out));
    }

    pub(crate) fn wake_rpc(&mut self, cx: &mut Cx<'_>) {
        self.with_rpc(cx, Rpc::wake);
    }

    /// Tells questions and answers something, and does what they want.
    pub(crate) fn with_rpc<T>(
        &mut self,
        cx: &mut Cx<'_>,
        tell: impl FnOnce(&mut Rpc, Time, &mut Vec<Output>) -> T,
    ) -> T {
        let mut out = Vec::new();
        let told = tell(&mut self.rpc, cx.time(), &mut out);
        for output in out {
            self.do_for_rpc(cx, output);
        }
        match self.rpc.next_wake() {
            Some(at) => cx.alarm(Alarm::Rpc, at),
            None => cx.cancel_alarm(Alarm::Rpc),
        }
        told
    }

    fn do_for_rpc(&mut self, cx: &mut Cx<'_>, output: Output) {
        match output {
            Output::Send { connection, channel, frame } if frame.len() >= HISTORY_BYTES_MIN => {
                cx.serve_on(connection, channel, frame);
            }
            Output::Send { connection, channel, frame } => cx.send_on(connection, channel, frame, Overflow::Close),
            Output::SetPhase { connection, channel, phase } => cx.set_phase_on(connection, channel, phase),
            Output::Open { connection } => drop(self.channels.open_more(cx, connection, RPC)),
            Output::Finish { connection, channel } => cx.finish(connection, channel),
            Output::Reset { connection, channel } => self.channels.reset(cx, connection, channel),
            Output::Answered { connection, method: Method::InitialPeers, answer: Some(answer), .. } => {
                self.on_initial_peers(cx, connection, &answer);
            }
            Output::Answered { connection, ask, answer, .. } => self.on_answered(cx, connection, ask, answer.as_ref()),
            Output::Failed { connection, ask, .. } => self.on_answered(cx, connection, ask, None),
            // Nothing here asks for what comes in pieces.
            Output::Piece { .. } => {}
            Output::Asked { connection, serve, wanted } => self.on_asked(cx, connection, serve, wanted),
            Output::BannedUs { connection, .. } => cx.note(format!("connection {connection} says that it banned us")),
            Output::Fault { connection, fault } => self.blame(cx, connection, Misbehavior::Rpc(fault)),
        }
    }
}

/// What we ask: whom a new peer knows. Everything else that is asked is in `sync`.
impl Mina {
    /// A peer that answers questions is ready.
    pub(crate) fn ask_whom_it_knows(&mut self, cx: &mut Cx<'_>, connection: ConnectionId) {
        if cx.config().discovery {
            let question = Question::plain(Method::InitialPeers);
            // Whoever may not be asked is not needed: there are others, and Kademlia.
            let _ = self.with_rpc(cx, |rpc, now, out| rpc.ask(now, connection, question, out));
        }
    }

    fn on_initial_peers(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, answer: &[u8]) {
        let Ok(peers) = read_peers(answer) else {
            cx.slip(connection, Misbehavior::MalformedAnswer);
            return;
        };
        // We asked for it.
        cx.owe(connection, Class::AddressLearn.price(0).times(peers.len()));
        let source = cx.ends(connection).map(|ends| ends.remote.ip());
        let elsewhere = peers.into_iter().filter(|told| !self.discovery.kad().is_connected(&told.peer));
        cx.learn(elsewhere.map(|told| told.address), source);
    }
}

/// What peers ask.
impl Mina {
    fn on_asked(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, serve: ServeId, wanted: Wanted) {
        if !self.pays(cx, connection, Class::Lookup, Class::Lookup.price(0)) {
            return self.say(cx, serve, None);
        }
        let request = match wanted {
            Wanted::InitialPeers => {
                let peers = self
                    .who_is_here(cx)
                    .into_iter()
                    .filter_map(|(peer, addresses)| Some(InitialPeer { address: *addresses.first()?, peer }));
                let peers = write_peers(&peers.collect::<Vec<_>>());
                return self.say(cx, serve, Some(&peers));
            }
            Wanted::BestTip => Request::BestTip,
            Wanted::Ancestry { consensus_state, hash } => Request::Ancestry { consensus_state, hash },
            Wanted::TransitionChain { hashes } => Request::TransitionChain { hashes },
            Wanted::ChainProof { hash } => Request::ChainProof { hash },
            Wanted::Knowledge => Request::Knowledge,
            Wanted::Ledger { method, payload } => {
                let version = u32::try_from(method.version()).unwrap_or_default();
                Request::LedgerQuery { method: method.tag().to_string(), version, payload }
            }
        };
        self.ask_ledger(cx, request, Asked::Serve(connection, serve));
    }

    /// The ledger found what a peer asked for, or did not.
    pub(crate) fn on_served(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        serve: ServeId,
        value: Option<&Bytes>,
    ) {
        cx.owe(connection, Class::Lookup.price(value.map_or(0, Bytes::len)));
        self.say(cx, serve, value);
    }

    fn say(&mut self, cx: &mut Cx<'_>, serve: ServeId, value: Option<&Bytes>) {
        self.with_rpc(cx, |rpc, now, out| rpc.answer(now, serve, value, out));
    }
}
