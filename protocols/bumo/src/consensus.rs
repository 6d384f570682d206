//! Runs the agreement: hands it the validators' messages, carries out what it wants (BUMO spec, sections 5.3 and 7).
//!
//! ```text
//!   PBFT ─► of a validator? ─► broadcast before? ─► the machine ─► fresh: recorded, sent to the others
//!                                                     │
//!                  ledger ◄── propose, judge, sign ───┤──► its own messages, to everyone
//!                         ◄── close ──────────────────┘
//! ```
//!
//! Whoever is no validator runs the same machine, which then signs nothing: it closes ledgers from the commits that it
//! sees. A vote leaves when the ledger has made it durable and signed it.

use crate::frame::Data;
use crate::ledger::Answer;
use crate::wire::{Kind, Message as _, PbftEnv, WireError};
use crate::{Bumo, Cx, Misbehavior};
use bytes::Bytes;
use polypeer_engine::ConnectionId;
use polypeer_engine::kit::cost::Class;

/// The agreement.
#[derive(Debug, Default)]
pub(crate) struct Consensus {}

/// What consensus asked the ledger.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Question {
    /// To close what it agreed on.
    Close,
}

impl Bumo {
    pub(crate) fn start_consensus(&mut self, _: &mut Cx<'_>, _: &[Bytes]) {}

    pub(crate) fn wake_consensus(&mut self, _: &mut Cx<'_>) {}

    pub(crate) fn move_consensus(&mut self, _: &mut Cx<'_>) {}

    pub(crate) fn on_consensus_answer(&mut self, _: &mut Cx<'_>, _: Question, _: Answer) {}

    /// PBFT.
    pub(crate) fn on_pbft(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        data: Data<'_>,
    ) -> Result<(), Misbehavior> {
        let envelope = match PbftEnv::decode(data.bytes()) {
            Ok(envelope) => envelope,
            Err(WireError::NotCanonical) => {
                cx.slip(connection, Misbehavior::NotCanonical(Kind::Pbft));
                return Ok(());
            }
            Err(_) => return Err(Misbehavior::MalformedPbft),
        };
        if envelope.pbft.is_none() {
            return Err(Misbehavior::MalformedPbft);
        }
        self.pays(cx, connection, Class::Announcement, Class::Announcement.price(0));
        Ok(())
    }
}
