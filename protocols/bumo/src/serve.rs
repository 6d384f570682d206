//! Serves ledgers to those who catch up: LEDGERS requests (BUMO spec, section 6.1).
//!
//! Whatever cannot be answered is answered with silence, as today's node does: nothing on the wire says no.

use crate::frame;
use crate::ledger::{Request, Served};
use crate::peer::active_mut;
use crate::questions::Asked;
use crate::wire::{GetLedgers, Kind, LEDGERS_MAX, Ledgers, MESSAGE_BYTES_MAX, Message as _};
use crate::{Bumo, Cx, Misbehavior};
use alloc::collections::VecDeque;
use polypeer_engine::kit::cost::Class;
use polypeer_engine::{ConnectionId, Frame};

/// Requests of one peer that wait. An honest one asks again when an answer came; more are not answered.
const WAITING_MAX: usize = 8;
/// Genesis has no value that anyone agreed on, so that it is never served.
const FIRST: i64 = 2;

/// What one peer asked for.
#[derive(Debug, Default)]
pub(crate) struct Serving {
    waiting: VecDeque<(i64, i64)>,
    // Whether the ledger looks for the front one.
    is_open: bool,
}

impl Bumo {
    /// A LEDGERS request.
    pub(crate) fn on_get_ledgers(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        serving: &mut Serving,
        data: &[u8],
    ) {
        let Ok(GetLedgers { begin, end, chain_id, .. }) = GetLedgers::decode(data) else {
            cx.slip(connection, Misbehavior::Malformed(Kind::Ledgers));
            return;
        };
        let tip = self.tip.as_ref().map_or(0, |tip| tip.seq);
        // In numbers that no pair of ends overflows.
        let count = i128::from(end) - i128::from(begin) + 1;
        let is_served = chain_id == self.config.chain_id
            && (1..=LEDGERS_MAX as i128).contains(&count)
            && begin >= FIRST
            && end <= tip;
        if !is_served || !self.pays(cx, connection, Class::Lookup, Class::Lookup.price(0)) {
            return;
        }
        if serving.waiting.len() == WAITING_MAX {
            cx.slip(connection, Misbehavior::TooMuchWork);
            return;
        }
        serving.waiting.push_back((begin, end));
        self.serve(cx, connection, serving);
    }

    /// Goes on with what a peer asked for, one request at a time, as it reads.
    pub(crate) fn serve(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, serving: &mut Serving) {
        if serving.is_open || serving.waiting.is_empty() || !cx.may_serve(connection) {
            return;
        }
        if let Some((begin, end)) = serving.waiting.pop_front() {
            serving.is_open = true;
            self.ask_ledger(cx, Request::Serve { begin, end }, Asked::Serve(connection));
        }
    }

    /// The ledger found what a peer asked for, or did not.
    pub(crate) fn on_served(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, served: Option<Served>) {
        let Some(active) = active_mut(cx, connection) else { return };
        let mut serving = core::mem::take(&mut active.serving);
        serving.is_open = false;
        if let Some(Served { values, max_seq, proof }) = served {
            let ledgers = Ledgers {
                values: values.iter().map(|value| &value[..]).collect(),
                max_seq,
                proof: &proof,
                chain_id: self.config.chain_id,
                ..Ledgers::default()
            };
            let data = ledgers.encode();
            cx.owe(connection, Class::Lookup.price(data.len()));
            let answer = frame::pack(Kind::Ledgers, false, 0, &data);
            // Five large ledgers fit into no message. The peer asks for fewer when it hears nothing.
            if frame::payload(Frame::from(&answer)).len() <= MESSAGE_BYTES_MAX {
                cx.serve(connection, answer);
            }
        }
        self.serve(cx, connection, &mut serving);
        if let Some(active) = active_mut(cx, connection) {
            active.serving = serving;
        }
    }
}
