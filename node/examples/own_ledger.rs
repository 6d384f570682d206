//! Brings its own ledger: a notice board whose transactions are any text, carried by AnYa.
//!
//! `cargo run --example own_ledger -- 127.0.0.1:9001 hello` on one terminal and
//! `cargo run --example own_ledger -- 127.0.0.1:9002 there 127.0.0.1:9001` on another: each prints the other's note.

use polypeer::anya::{Anya, Config};
use polypeer::chain::*;
use polypeer::engine::{Ledger, Now, Ticket, To};
use polypeer::{Heard, Peer};
use std::{collections::BTreeMap, net::SocketAddr};

/// A board holds so many notes of so many bytes: together they fit one `mempool` message.
const NOTES_MAX: usize = 10_000;
const NOTE_BYTES_MAX: usize = 1 << 10;
/// There are no blocks but the first, and that is empty.
const FIRST: Tip = Tip { hash: Hash::ZERO, height: 0, work: 1, genesis: Hash::ZERO };

/// How notes are named.
pub struct Notes;

impl ChainFormat for Notes {
    fn head(block: &[u8]) -> Option<Head> {
        block.is_empty().then_some(Head { hash: Hash::ZERO, parent: Hash::ZERO, height: 0 })
    }

    fn transaction_id(note: &[u8]) -> Hash {
        Hash(*blake3::hash(note).as_bytes())
    }
}

/// The board: notes by their hash, in memory.
#[derive(Default)]
pub struct Board(BTreeMap<Hash, Vec<u8>>);

impl Board {
    fn pin(&mut self, note: &[u8], origin: Origin, answers: &mut Vec<(To, Answer)>) -> (Hash, TransactionOutcome) {
        let id = Notes::transaction_id(note);
        if self.0.contains_key(&id) {
            return (id, TransactionOutcome::Known);
        } else if self.0.len() >= NOTES_MAX || note.len() > NOTE_BYTES_MAX {
            return (id, TransactionOutcome::NotNow(TransactionFault::NoRoom));
        }
        self.0.insert(id, note.to_vec());
        if origin == Origin::Operator {
            answers.push((To::Engine, Answer::NewTransaction { id, transaction: note.to_vec().into() }));
        }
        (id, TransactionOutcome::Accepted)
    }
}

impl Ledger for Board {
    type Request = Request;
    type Answer = Answer;

    fn answer(&mut self, _: Now, requests: Vec<(Ticket, Request)>, answers: &mut Vec<(To, Answer)>) {
        for (ticket, request) in requests {
            let answer = match request {
                Request::Tip => Answer::Tip(FIRST),
                Request::TakeBlock(_) => Answer::BlockTaken { hash: Hash::ZERO, outcome: BlockOutcome::Known },
                Request::TakeTransactions { transactions: notes, origin } => {
                    Answer::TransactionsTaken(notes.iter().map(|note| self.pin(note, origin, answers)).collect())
                }
                Request::Block(key) => Answer::Block((key == BlockKey::Hash(Hash::ZERO)).then(Default::default)),
                Request::Hashes { .. } => Answer::Hashes { from: 1, parent: Hash::ZERO, hashes: vec![], tip: FIRST },
                Request::HashesAt(_) => Answer::HashesAt { hashes: vec![(0, Hash::ZERO)], tip: FIRST },
                Request::Missing(blocks) => {
                    Answer::Missing(blocks.into_iter().filter(|id| *id != FIRST.hash).collect())
                }
                Request::MissingTransactions(notes) => {
                    Answer::Missing(notes.into_iter().filter(|id| !self.0.contains_key(id)).collect())
                }
                Request::Waiting { .. } => Answer::Waiting(self.0.values().cloned().map(Into::into).collect()),
                Request::WaitingIds(count) => Answer::WaitingIds(self.0.keys().take(count as usize).copied().collect()),
                Request::Transaction(id) => Answer::Transaction(self.0.get(&id).cloned().map(Into::into)),
                Request::CatchingUp(_) => continue,
            };
            answers.push((To::Asker(ticket), answer));
        }
    }
}

/// A peer of the board's network.
pub fn join(listen: SocketAddr, peers: Vec<SocketAddr>) -> anyhow::Result<Peer<Anya<Notes>>> {
    let config = Config { network_id: *b"notice-board\0\0\0\0", genesis: Hash::ZERO, ..Config::default() };
    Ok(Peer::with_ledger(config, Board::default(), Some(listen), peers)?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [listen, note, peers @ ..] = args.as_slice() else { anyhow::bail!("usage: own_ledger LISTEN NOTE [PEER]...") };
    let peers = peers.iter().map(|peer| peer.parse()).collect::<Result<_, _>>()?;
    let mut peer = join(listen.parse()?, peers)?;
    peer.send(note).await?;
    while let Some(heard) = peer.hear().await {
        let Heard::Transaction { bytes, .. } = heard else { continue };
        println!("{}", String::from_utf8_lossy(&bytes));
    }
    Ok(())
}
