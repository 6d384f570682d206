//! Publishes what is our own: blocks that were produced here, commands of the operator's (Mina spec, sections 3.5, 4.2).
//!
//! ```text
//!   ledger: Publish ─► envelope ─► mesh: sign this ─► ledger: signed ─► mesh ─► every peer that subscribed
//! ```
//!
//! Our own is not judged again, and goes to every subscriber at once and not to the mesh alone: no mesh of attackers can
//! keep it back. What no peer was there to hear is told to those who come within five heartbeats.

use crate::envelope;
use crate::ledger::Kind;
use crate::mesh::Unpublished;
use crate::{Cx, Mina};
use alloc::format;
use alloc::vec::Vec;
use bytes::Bytes;

/// Nonces of diffs: any will do that a diff did not have before, for the same bytes would be the same message
/// (section 3.3).
const NONCES: usize = 1 << 31;

impl Mina {
    /// The ledger has something of our own.
    pub(crate) fn publish(&mut self, cx: &mut Cx<'_>, kind: Kind, payload: &Bytes) {
        let Some(topic) = self.gossip.consensus else { return };
        let nonce = cx.random().below(NONCES) as i64;
        let data = match kind {
            Kind::Block => envelope::seal_block(payload),
            Kind::Transactions => envelope::seal_transactions(payload, nonce),
            Kind::SnarkWork => envelope::seal_snark_work(payload, nonce),
        };
        let mut out = Vec::new();
        let published = self.gossip.mesh.publish(cx.now(), topic, data, &mut out);
        match published {
            Ok(_) => self.lanes.published(kind),
            Err(why) => cx.note(format!("our own {} was not published: {}", kind.name(), text(why))),
        }
        self.with_mesh(cx, |_, _, more| more.append(&mut out));
    }

    /// It is out.
    pub(crate) fn on_published(&self, cx: &mut Cx<'_>, ticket: u64, peers: usize) {
        if peers == 0 {
            cx.note(format!("message {ticket} of our own reached no peer at once"));
        }
    }
}

fn text(why: Unpublished) -> &'static str {
    match why {
        Unpublished::Duplicate => "the same went through here within two minutes",
        Unpublished::TooLong => "it is longer than any message",
        Unpublished::Topic => "there is no such topic",
        Unpublished::Full => "too many wait for their signatures",
    }
}
