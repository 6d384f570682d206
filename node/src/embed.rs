//! Puts a peer into your own program: pick a protocol, hand in a ledger, hear what the network says.
//!
//! [`Peer::reference`] brings the reference ledger, [`Peer::with_ledger`] takes yours: anything that implements
//! [`Ledger`] over the conversation of [`chain`](polypeer_engine::kit::chain). Connections, discovery, relay, sync,
//! bans and limits come with either.

use crate::networks::Refused;
use bytes::Bytes;
use polypeer_driver::{Budget, Handle, Network, StartError};
use polypeer_engine::kit::chain::{Answer, Hash, Origin, Request, Tip, TransactionOutcome};
use polypeer_engine::{Ledger, Now, P2pConfig, Protocol, Target, Ticket, Time, To};
use polypeer_ledger_reference::{Config, NetworkParameters, OpenError, Reader, Reference};
use std::net::SocketAddr;
use std::time::Duration;
use thiserror::Error;
use tokio::sync::mpsc;

/// What was heard and not taken yet. A program that is further behind misses the newest, and is told how many.
const HEARD_MAX: usize = 4096;

/// Something that the network said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A transaction that a peer brought and the ledger took.
    Transaction {
        /// Its identifier.
        id: Hash,
        /// Its bytes.
        bytes: Bytes,
    },
    /// The main chain has a new end, durably.
    Tip {
        /// The new end.
        tip: Tip,
        /// The block's bytes.
        block: Bytes,
    },
    /// So much was heard that this many were dropped.
    Missed(u64),
}

/// Why a peer does not start.
#[derive(Debug, Error)]
pub enum PeerError {
    /// The network does not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The reference ledger does not open.
    #[error("cannot open the ledger: {0}")]
    Ledger(#[from] OpenError),
}

/// A protocol whose ledger is one of blocks and transactions: AnYa and Hello are.
pub trait Carrier: Protocol<Request = Request, Answer = Answer> {}

impl<P: Protocol<Request = Request, Answer = Answer>> Carrier for P {}

/// A peer of a network. It says goodbye and ends when it is dropped.
#[derive(Debug)]
pub struct Peer<P: Protocol> {
    handle: Handle<P>,
    heard: mpsc::Receiver<Heard>,
}

impl<P: Carrier> Peer<P> {
    /// Starts a peer over a ledger of your own. It dials `peers` again whenever they are lost, besides whom it
    /// discovers, and listens when this returns.
    ///
    /// # Errors
    /// It cannot listen there, or there are no threads to be had.
    pub fn with_ledger<L>(
        protocol: P::Config,
        ledger: L,
        listen: Option<SocketAddr>,
        peers: impl IntoIterator<Item = SocketAddr>,
    ) -> Result<Self, PeerError>
    where
        L: Ledger<Request = Request, Answer = Answer>,
    {
        let add_peers = peers.into_iter().map(|address| Target::Address(address.into())).collect();
        let p2p = P2pConfig { add_peers, private_addresses: true, ..P2pConfig::default() };
        let name = P::NAME.to_owned();
        let queue_budget = Budget::default();
        let (seed, record, tls, identity) = Default::default();
        let network = Network { name, p2p, protocol, listen, seed, record, queue_budget, tls, identity };
        Self::start(network, ledger)
    }

    /// Starts a peer with everything that can be said of a network.
    ///
    /// # Errors
    /// It cannot listen there, or there are no threads to be had.
    pub fn start<L>(network: Network<P>, ledger: L) -> Result<Self, PeerError>
    where
        L: Ledger<Request = Request, Answer = Answer>,
    {
        let (ear, heard) = mpsc::channel(HEARD_MAX);
        let handle = polypeer_driver::start(network, Tap { ledger, ear, missed: 0 }, None)?;
        Ok(Self { handle, heard })
    }

    /// Starts a peer over the reference ledger, in memory; the reader looks at its chain.
    ///
    /// # Errors
    /// As [`Peer::with_ledger`]; or the parameters make no network.
    pub fn reference(
        protocol: P::Config,
        network: NetworkParameters,
        listen: Option<SocketAddr>,
        peers: impl IntoIterator<Item = SocketAddr>,
    ) -> Result<(Self, Reader), PeerError> {
        let (ledger, reader) = Reference::open(Config::in_memory(network))?;
        Ok((Self::with_ledger(protocol, ledger, listen, peers)?, reader))
    }

    /// Where it listens.
    pub fn address(&self) -> Option<SocketAddr> {
        self.handle.listening()
    }

    /// What the network says next; nothing when the peer has ended.
    pub async fn hear(&mut self) -> Option<Heard> {
        self.heard.recv().await
    }

    /// Hands a transaction to the ledger, which announces it to the network. Its identifier, also when it is known.
    ///
    /// # Errors
    /// The ledger's reason not to take it.
    pub async fn send(&self, transaction: impl AsRef<[u8]>) -> Result<String, Refused> {
        submit(&self.handle, Bytes::copy_from_slice(transaction.as_ref())).await
    }

    /// Everything else: peers, bans, counters, events.
    pub fn handle(&self) -> &Handle<P> {
        &self.handle
    }

    /// Says goodbye to everyone and ends, within this time.
    pub async fn stop(self, within: Duration) {
        self.handle.drain(within).await;
    }
}

/// Hands the operator's transaction to a network's ledger.
pub(crate) async fn submit<P: Carrier>(handle: &Handle<P>, transaction: Bytes) -> Result<String, Refused> {
    let request = Request::TakeTransactions { transactions: vec![transaction], origin: Origin::Operator };
    let taken = match handle.ask(request).await.map_err(crate::networks::Stopped::from)? {
        Answer::TransactionsTaken(taken) => taken.into_iter().next(),
        _ => None,
    };
    let (id, outcome) = taken.ok_or(crate::networks::Stopped)?;
    match outcome {
        TransactionOutcome::Accepted | TransactionOutcome::Known => Ok(id.to_string()),
        TransactionOutcome::NeverValid(fault) => Err(Refused::by_ledger(fault, true)),
        TransactionOutcome::NotNow(fault) => Err(Refused::by_ledger(fault, false)),
    }
}

/// A ledger that is listened to.
struct Tap<L> {
    ledger: L,
    ear: mpsc::Sender<Heard>,
    missed: u64,
}

impl<L: Ledger<Request = Request, Answer = Answer>> Tap<L> {
    fn tell(&mut self, heard: Heard) {
        if self.missed > 0 && self.ear.try_send(Heard::Missed(self.missed)).is_ok() {
            self.missed = 0;
        }
        // Never waits: the network must not stand still because a program does.
        if self.missed > 0 || self.ear.try_send(heard).is_err() {
            self.missed += 1;
        }
    }

    fn tell_all(&mut self, brought: Vec<(Ticket, Vec<Bytes>)>, answers: &[(To, Answer)]) {
        let mut brought = brought.into_iter().peekable();
        for (to, answer) in answers {
            match answer {
                Answer::NewTip { tip, block } => self.tell(Heard::Tip { tip: *tip, block: block.clone() }),
                Answer::TransactionsTaken(taken) => {
                    // Answers come in the order of the requests.
                    let Some((_, offered)) = brought.next_if(|(ticket, _)| *to == To::Asker(*ticket)) else { continue };
                    for ((id, outcome), bytes) in taken.iter().zip(offered) {
                        if *outcome == TransactionOutcome::Accepted {
                            self.tell(Heard::Transaction { id: *id, bytes });
                        }
                    }
                }
                _ => {}
            }
        }
    }
}

impl<L: Ledger<Request = Request, Answer = Answer>> Ledger for Tap<L> {
    type Request = Request;
    type Answer = Answer;

    fn answer(&mut self, now: Now, requests: Vec<(Ticket, Request)>, answers: &mut Vec<(To, Answer)>) {
        let start = answers.len();
        let of_peers = |(ticket, request): &(Ticket, Request)| match request {
            Request::TakeTransactions { transactions, origin: Origin::Peer } => {
                // Copied: a frame is a part of a large buffer, and a program may keep what it hears.
                Some((*ticket, transactions.iter().map(|bytes| Bytes::copy_from_slice(bytes)).collect()))
            }
            _ => None,
        };
        let brought = requests.iter().filter_map(of_peers).collect();
        self.ledger.answer(now, requests, answers);
        self.tell_all(brought, &answers[start..]);
    }

    fn next_wake(&self, now: Now) -> Option<Time> {
        self.ledger.next_wake(now)
    }

    fn wake(&mut self, now: Now, answers: &mut Vec<(To, Answer)>) {
        let start = answers.len();
        self.ledger.wake(now, answers);
        self.tell_all(Vec::new(), &answers[start..]);
    }
}
