//! Relays transactions: the ledger's word first, then byte for byte to everyone else (BUMO spec, sections 5.3 and 9.1).
//!
//! ```text
//!   TRANSACTION ─► broadcast before? ─► in judgement? ─► ledger ─► accepted: recorded, sent to the others
//!                    │ dropped            │ noted who else   └────► refused: dropped, as if it never came
//! ```

use crate::connection::reading;
use crate::frame::Data;
use crate::hash::Hash;
use crate::ledger::{Origin, Request, Verdict};
use crate::questions::Asked;
use crate::wire::{Kind, Message as _, TransactionEnv, WireError, is_protobuf};
use crate::{Active, Bumo, Cx, Misbehavior};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use bytes::Bytes;
use polypeer_engine::kit::cost::Class;
use polypeer_engine::{ConnectionId, Stock, Stocks, Useful};

/// Transactions of one peer that the ledger looks at. It answers in batches; more are dropped, as gossip is.
const JUDGED_OF_ONE_MAX: usize = 512;
/// Transactions that it looks at in all, and their bytes.
const JUDGED_MAX: usize = 8_192;
const JUDGED_BYTES_MAX: usize = 32 << 20;
/// Peers remembered to have sent one that is looked at; a further one may be sent it back.
const SENDERS_MAX: usize = 8;

/// Transactions that the ledger looks at.
#[derive(Debug, Default)]
pub(crate) struct Transactions {
    judged: BTreeMap<Hash, Judged>,
    bytes: usize,
}

#[derive(Debug)]
struct Judged {
    envelope: Bytes,
    // Who sent it; the first pays. Empty when the operator did.
    senders: Vec<ConnectionId>,
}

impl Transactions {
    pub(crate) fn stock(&self, stocks: &mut Stocks) {
        stocks.push(Stock::of_peers("transactions in judgement", self.judged.len(), JUDGED_MAX));
        stocks.push(Stock::of_peers("bytes of transactions in judgement", self.bytes, JUDGED_BYTES_MAX));
    }
}

// A long transaction was worth reading: it is one, and everyone who has it passes it on.
fn give_back_reading(cx: &mut Cx<'_>, connection: ConnectionId, bytes: usize) {
    if let Some(price) = reading(bytes) {
        cx.refund(connection, price);
    }
}

impl Bumo {
    /// TRANSACTION.
    pub(crate) fn on_transaction(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        active: &mut Active,
        data: Data<'_>,
    ) -> Result<(), Misbehavior> {
        let digest = self.config.hash.hash(data.bytes());
        if self.broadcasts.is_known(&digest) {
            give_back_reading(cx, connection, data.bytes().len());
            return Ok(());
        }
        if let Some(judged) = self.transactions.judged.get_mut(&digest) {
            if judged.senders.len() < SENDERS_MAX && !judged.senders.contains(&connection) {
                judged.senders.push(connection);
            }
            give_back_reading(cx, connection, data.bytes().len());
            return Ok(());
        }
        match TransactionEnv::decode(data.bytes()) {
            Ok(_) => {}
            // Today's node may have taken it over from whoever made it, so its relayer is not to blame.
            Err(WireError::NotCanonical) if is_protobuf(data.bytes()) => {
                cx.slip(connection, Misbehavior::NotCanonical(Kind::Transaction));
                return Ok(());
            }
            Err(_) => return Err(Misbehavior::MalformedTransaction),
        }
        let has_room = active.judging < JUDGED_OF_ONE_MAX
            && self.transactions.judged.len() < JUDGED_MAX
            && self.transactions.bytes + data.bytes().len() <= JUDGED_BYTES_MAX;
        let price = Class::TransactionCheck.price(data.bytes().len());
        if has_room && self.pays(cx, connection, Class::TransactionCheck, price) {
            active.judging += 1;
            let envelope = data.keep();
            self.transactions.bytes += envelope.len();
            let judged = Judged { envelope: envelope.clone(), senders: alloc::vec![connection] };
            self.transactions.judged.insert(digest, judged);
            self.ask_ledger(cx, Request::Submit { envelope, origin: Origin::Peer }, Asked::Transaction(digest));
        }
        Ok(())
    }

    /// What the ledger thinks of a peer's transaction.
    pub(crate) fn on_transaction_judged(&mut self, cx: &mut Cx<'_>, digest: Hash, verdict: Verdict) {
        let Some(Judged { envelope, senders }) = self.transactions.judged.remove(&digest) else { return };
        self.transactions.bytes -= envelope.len();
        let first = senders.first().copied();
        if let Some(active) = first.and_then(|first| crate::peer::active_mut(cx, first)) {
            active.judging = active.judging.saturating_sub(1);
        }
        // Refused ones are forgotten: what is wrong today, a nonce or a balance, may be right tomorrow.
        if verdict != Verdict::Accepted {
            return;
        }
        if let Some(first) = first {
            cx.refund(first, Class::TransactionCheck.price(envelope.len()));
            give_back_reading(cx, first, envelope.len());
            cx.useful(first, Useful::Transaction);
        }
        self.broadcast(cx, Kind::Transaction, &envelope, digest, &senders);
    }

    /// The operator handed a transaction in, and the ledger took it.
    pub(crate) fn on_own_transaction(&mut self, cx: &mut Cx<'_>, envelope: &Bytes) {
        let digest = self.config.hash.hash(envelope);
        self.broadcast(cx, Kind::Transaction, envelope, digest, &[]);
    }
}
