//! Shows the ledgers and the pool, and takes the operator's transactions.

use crate::networks::holdings::Holdings;
use crate::networks::running::{Later, Refused, Stopped, Which};
use crate::networks::till::Till;
use crate::networks::watched::{Arrival, Telling, Watch};
use crate::view;
use polypeer_driver::Handle;
use polypeer_ledger_bumo::{LedgerKey, LedgerView, Reader};
use polypeer_protocols::bumo::Bumo;
use polypeer_protocols::bumo::hash::Hash;
use polypeer_protocols::bumo::keys::{Scheme, address_of};
use polypeer_protocols::bumo::ledger::{Answer, CloseError, Origin, Request, Verdict};
use polypeer_protocols::bumo::wire::ErrorCode;
use std::sync::Arc;

/// What a BUMO node holds.
pub(super) struct Chain {
    pub(super) handle: Handle<Bumo>,
    pub(super) reader: Reader,
    pub(super) watch: Arc<Watch>,
    pub(super) chain_id: i64,
    pub(super) till: Till,
}

fn block(found: LedgerView) -> view::Block {
    let LedgerView { header, transactions, value } = found;
    let parent = header.previous.map(|hash| hash.to_string());
    view::Block {
        // Of the newest that is not executed here only the next one tells.
        hash: header.hash.map(|hash| hash.to_string()).unwrap_or_default(),
        height: header.number,
        parents: parent.iter().cloned().collect(),
        time: u64::try_from(header.close_time / 1000).unwrap_or(0),
        transactions: transactions.iter().map(Hash::to_string).collect(),
        hex: const_hex::encode(&value),
        parent,
        producer: None,
        work: None,
        main: Some(true),
    }
}

impl Holdings for Chain {
    fn network_id(&self) -> Option<String> {
        Some(self.chain_id.to_string())
    }

    fn tip(&self) -> Option<(u64, String)> {
        let header = self.reader.standing().header;
        Some((header.number, header.hash.map(|hash| hash.to_string()).unwrap_or_default()))
    }

    fn is_syncing(&self) -> bool {
        self.watch.is_syncing()
    }

    fn is_sound(&self) -> bool {
        self.reader.is_sound()
    }

    fn follow_only(&self) -> Option<u64> {
        self.reader.standing().follow_only
    }

    fn block(&self, which: Which) -> Option<view::Block> {
        let key = match which {
            Which::Hash(hash) => LedgerKey::Hash(Hash(hash)),
            Which::Height(number) => LedgerKey::Number(number),
            Which::Tip => LedgerKey::Number(self.reader.standing().header.number),
        };
        self.reader.ledger(&key).map(block)
    }

    fn transaction(&self, id: [u8; 32]) -> Option<view::Transaction> {
        let found = self.reader.transaction(&Hash(id))?;
        Some(view::Transaction {
            id: found.id.to_string(),
            hex: const_hex::encode(&found.bytes),
            block: found.place.map(|place| place.hash.map(|hash| hash.to_string()).unwrap_or_default()),
            height: found.place.map(|place| place.ledger),
        })
    }

    fn mempool(&self, max: usize) -> view::Mempool {
        let (count, ids) = self.reader.waiting(max);
        view::Mempool { count: count as u64, transactions: ids.iter().map(Hash::to_string).collect() }
    }

    fn account(&self, key: [u8; 32]) -> Option<view::Account> {
        let address = address_of(Scheme::Ed25519, &key);
        let whole = |number: i64| u64::try_from(number).unwrap_or(0);
        let (balance, sequence) =
            self.reader.account(&address).map_or((0, 0), |found| (whole(found.balance), whole(found.nonce)));
        // A sequence counts the account's earlier transactions, a nonce counts that one too.
        let next = self.reader.next_nonce(&address).map_or(sequence, |nonce| whole(nonce.saturating_sub(1)));
        Some(view::Account { key: const_hex::encode(key), balance, sequence, next })
    }

    fn submit(&self, transaction: Vec<u8>) -> Later<'_, Result<String, Refused>> {
        Box::pin(async move {
            self.till.charge()?;
            let request = Request::Submit { envelope: transaction.into(), origin: Origin::Operator };
            let answer = self.handle.ask(request).await.map_err(Stopped::from)?;
            let Answer::Submitted { hash, verdict } = answer else { return Err(Stopped.into()) };
            if verdict == Verdict::Accepted {
                self.till.refund();
            }
            match verdict {
                Verdict::Accepted | Verdict::Known => Ok(hash.to_string()),
                Verdict::Refused(code) => Err(refused(code)),
            }
        })
    }

    fn halt(&self) -> Later<'_, ()> {
        Box::pin(async {
            self.watch.halt();
            // Whatever it answers, the ledger has heard by then; one that has stopped proposes nothing.
            let _ = self.handle.ask(Request::Tip).await;
        })
    }

    fn judged(&self) -> Vec<(&'static str, &'static str, u64)> {
        self.watch.judged()
    }
}

fn refused(code: ErrorCode) -> Refused {
    let (reason, text) = match code {
        ErrorCode::BAD_SEQUENCE => ("sequence", "its nonce is not above the account's"),
        ErrorCode::ACCOUNT_NOT_EXIST => ("no_account", "there is no such account"),
        ErrorCode::ACCOUNT_LOW_RESERVE => ("balance", "the balance does not cover fee and reserve"),
        ErrorCode::FEE_NOT_ENOUGH => ("fee_too_low", "its fee limit does not cover what it costs"),
        ErrorCode::INVALID_SIGNATURE => ("signature", "its signatures do not reach the account's threshold"),
        ErrorCode::TX_INSERT_QUEUE_FAIL | ErrorCode::OUT_OF_TXCACHE => {
            ("no_room", "too many wait, or one with this nonce and no much lower price does")
        }
        ErrorCode::INTERNAL_ERROR => ("not_now", "the disk is full, or accounts are not known here any more"),
        _ => ("invalid", "a rule refuses it"),
    };
    let name = code.name().unwrap_or("an unknown error");
    Refused::ByLedger { reason, text: format!("{text} ({name}, {})", code.0) }
}

impl Telling for Answer {
    type Request = Request;
    const WORDS: [&'static [&'static str]; 2] =
        [&["accepted", "known", "invalid", "no_room"], &["accepted", "known", "refused"]];

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
            Answer::Closed(Ok(tip)) => {
                watch.block(0);
                watch.arrived(Arrival::Block(tip.hash.0));
                watch.tip(tip.hash.to_string(), u64::try_from(tip.seq).unwrap_or(0));
            }
            Answer::Closed(Err(error)) => watch.block(match error {
                CloseError::NotNext => 1,
                CloseError::Store => 3,
                _ => 2,
            }),
            Answer::Submitted { hash, verdict } => {
                watch.transaction(match verdict {
                    Verdict::Accepted => 0,
                    Verdict::Known => 1,
                    Verdict::Refused(_) => 2,
                });
                if *verdict == Verdict::Accepted {
                    watch.arrived(Arrival::Transaction(hash.0));
                }
            }
            _ => {}
        }
    }
}
