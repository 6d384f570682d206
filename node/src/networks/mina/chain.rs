//! Shows the blocks and the pool, and takes the operator's transactions.

use super::payer;
use crate::networks::holdings::Holdings;
use crate::networks::running::{Later, Refused, Stopped, Which};
use crate::networks::till::Till;
use crate::networks::watched::{Arrival, Telling, Watch};
use crate::view;
use polypeer_driver::Handle;
use polypeer_ledger_mina::{BlockKey, BlockView, Reader};
use polypeer_protocols::mina::Mina;
use polypeer_protocols::mina::ledger::{Answer, Hash, Kind, Refusal, Request};
use std::sync::Arc;

/// What a Mina node holds.
pub(super) struct Chain {
    pub(super) handle: Handle<Mina>,
    pub(super) reader: Reader,
    pub(super) watch: Arc<Watch>,
    /// The chain id of a network on which anybody pays without a key: nobody verifies signatures there.
    pub(super) pays_to: Option<String>,
    pub(super) till: Till,
}

fn block(found: BlockView) -> view::Block {
    let parent = found.parent.map(|parent| parent.to_string());
    view::Block {
        hash: found.hash.to_string(),
        height: u64::from(found.length),
        parents: parent.iter().cloned().collect(),
        time: found.timestamp,
        transactions: found.transactions.iter().map(Hash::to_string).collect(),
        hex: const_hex::encode(&found.bytes),
        parent,
        producer: Some(const_hex::encode(found.creator.x.0)),
        work: None,
        main: Some(found.is_on_main),
    }
}

impl Holdings for Chain {
    fn network_id(&self) -> Option<String> {
        self.pays_to.clone()
    }

    fn tip(&self) -> Option<(u64, String)> {
        let tip = self.reader.standing().tip;
        // A public network begins with nothing.
        (tip.length > 0).then(|| (u64::from(tip.length), tip.hash.to_string()))
    }

    fn is_syncing(&self) -> bool {
        self.watch.is_syncing()
    }

    fn is_sound(&self) -> bool {
        self.reader.is_sound()
    }

    fn block(&self, which: Which) -> Option<view::Block> {
        let key = match which {
            Which::Hash(hash) => BlockKey::Hash(Hash(hash)),
            Which::Height(length) => BlockKey::Length(u32::try_from(length).ok()?),
            Which::Tip => BlockKey::Tip,
        };
        self.reader.block(&key).map(block)
    }

    fn transaction(&self, id: [u8; 32]) -> Option<view::Transaction> {
        let found = self.reader.command(&Hash(id))?;
        Some(view::Transaction {
            id: found.id.to_string(),
            hex: const_hex::encode(&found.bytes),
            block: found.block.map(|(hash, _)| hash.to_string()),
            height: found.block.map(|(_, length)| u64::from(length)),
        })
    }

    fn mempool(&self, max: usize) -> view::Mempool {
        let (count, ids) = self.reader.waiting(max);
        view::Mempool { count: count as u64, transactions: ids.iter().map(Hash::to_string).collect() }
    }

    fn account(&self, x: [u8; 32]) -> Option<view::Account> {
        // Balances are known to nobody here; of nonces what kept blocks and the pool tell.
        self.pays_to.as_ref()?;
        let (sequence, next) = self.reader.nonces(&payer::key(x)?).unwrap_or_default();
        let (sequence, next) = (u64::from(sequence), u64::from(next));
        Some(view::Account { key: const_hex::encode(x), balance: 0, sequence, next })
    }

    fn submit(&self, transaction: Vec<u8>) -> Later<'_, Result<String, Refused>> {
        Box::pin(async move {
            self.till.charge()?;
            let request = Request::Submit { command: transaction.into() };
            let answer = self.handle.ask(request).await.map_err(Stopped::from)?;
            let Answer::Submitted { id, refused } = answer else { return Err(Stopped.into()) };
            match refused {
                None => {
                    self.till.refund();
                    Ok(id.to_string())
                }
                Some(Refusal::Known) => Ok(id.to_string()),
                Some(refusal) => Err(refused_for(refusal)),
            }
        })
    }

    fn halt(&self) -> Later<'_, ()> {
        Box::pin(async {
            self.watch.halt();
            // Whatever it answers, the ledger has heard by then; one that has stopped produces nothing.
            let _ = self.handle.ask(Request::Tip).await;
        })
    }

    fn judged(&self) -> Vec<(&'static str, &'static str, u64)> {
        self.watch.judged()
    }
}

fn refused_for(refusal: Refusal) -> Refused {
    let (reason, text) = match refusal {
        Refusal::Malformed => ("malformed", "it is no user command; it can never be valid"),
        Refusal::Known => ("known", "it waits already"),
        Refusal::Nonce => ("sequence", "its nonce was used, or one waits with it that pays as much"),
        Refusal::Fee => ("fee_too_low", "the pool is full, and all that wait pay as much"),
        Refusal::Expired => ("expired", "its last slot is over; it can never be valid"),
        Refusal::Full => ("no_room", "too many wait; it may be sent again later"),
        Refusal::Store => ("not_now", "the disk is full; it may be sent again later"),
    };
    Refused::ByLedger { reason, text: text.to_owned() }
}

impl Telling for Answer {
    type Request = Request;
    const WORDS: [&'static [&'static str]; 2] = [
        &["accepted", "unverified", "ignored", "rejected", "produced"],
        &["accepted", "unverified", "ignored", "rejected", "submitted", "refused"],
    ];

    fn catching_up(is_syncing: bool) -> Request {
        Request::CatchingUp(is_syncing)
    }

    fn is_catching_up(request: &Request) -> Option<bool> {
        match request {
            Request::CatchingUp(is_syncing) => Some(*is_syncing),
            _ => None,
        }
    }

    fn note(&self, watch: &Watch) {
        match self {
            // What peers brought `Told` counts, which knows what was asked.
            Answer::TipMoved(tip) => {
                watch.arrived(Arrival::Block(tip.hash.0));
                watch.tip(tip.hash.to_string(), u64::from(tip.length));
            }
            Answer::Publish { kind: Kind::Block, .. } => watch.block(4),
            Answer::Submitted { id, refused } => {
                watch.transaction(if refused.is_none() { 4 } else { 5 });
                if refused.is_none() {
                    watch.arrived(Arrival::Transaction(id.0));
                }
            }
            _ => {}
        }
    }
}
