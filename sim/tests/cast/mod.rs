//! The cast of every scenario: one network's engines and ledgers.

use polypeer_engine::kit::chain::{Answer, Origin, Request, Tip, TransactionOutcome};
use polypeer_engine::{Address, Ledger, Now, P2pConfig, Protocol, Target, Ticket, Time, To};
use polypeer_ledger_reference::{
    Config, Format, Limits, NetworkParameters, Payment, Producer, Reader, Reference, Wallet,
};
use polypeer_protocols::anya::{self as speaks_anya, Anya};
use polypeer_protocols::hello::{self as speaks_hello, Hello};
use polypeer_sim::{Disk, NodeId, Region, Seat, Setting, World};
use std::time::Duration;

/// A network that the scenarios run on.
pub(crate) trait Network: 'static {
    type P: Protocol<Request = Request, Answer = Answer>;
    fn parameters() -> NetworkParameters;
    fn config() -> <Self::P as Protocol>::Config;
}

/// AnYa on its devnet.
pub(crate) struct AnyaDevnet;

impl Network for AnyaDevnet {
    type P = Anya<Format>;

    fn parameters() -> NetworkParameters {
        NetworkParameters::anya_devnet()
    }

    fn config() -> speaks_anya::Config {
        speaks_anya::Config::default()
    }
}

/// Hello on its devnet.
pub(crate) struct HelloDevnet;

impl Network for HelloDevnet {
    type P = Hello<Format>;

    fn parameters() -> NetworkParameters {
        NetworkParameters::hello_devnet()
    }

    fn config() -> speaks_hello::Config {
        let network = Self::parameters().build().expect("the preset is in range");
        speaks_hello::Config::new(network.genesis_hash())
    }
}

pub(crate) const SECOND: Duration = Duration::from_secs(1);

pub(crate) fn seconds(count: u32) -> Duration {
    SECOND * count
}

/// A ledger, and a look at it.
pub(crate) struct Held {
    ledger: Reference,
    pub(crate) reader: Reader,
}

impl Ledger for Held {
    type Request = Request;
    type Answer = Answer;

    fn answer(&mut self, now: Now, requests: Vec<(Ticket, Request)>, answers: &mut Vec<(To, Answer)>) {
        self.ledger.answer(now, requests, answers);
    }

    fn next_wake(&self, now: Now) -> Option<Time> {
        self.ledger.next_wake(now)
    }

    fn wake(&mut self, now: Now, answers: &mut Vec<(To, Answer)>) {
        self.ledger.wake(now, answers);
    }
}

/// A world of one network's nodes.
pub(crate) struct Stage<N: Network> {
    pub(crate) world: World<N::P, Held>,
    sequence: u64,
}

impl<N: Network> Stage<N> {
    pub(crate) fn new(seed: u64) -> Self {
        Self::with(seed, Setting::default())
    }

    pub(crate) fn with(seed: u64, setting: Setting) -> Self {
        Self { world: World::new(seed, setting), sequence: 0 }
    }

    /// Adds a node that knows `peers` by address, and produces a block every `interval` if there is one.
    pub(crate) fn add(&mut self, peers: &[NodeId], interval: Option<Duration>) -> NodeId {
        let add_peers = peers.iter().map(|peer| Target::Address(address(peer.0))).collect();
        self.add_with(P2pConfig { add_peers, private_addresses: true, ..P2pConfig::default() }, interval)
    }

    /// Adds a node whose operator decided all this.
    pub(crate) fn add_with(&mut self, config: P2pConfig, interval: Option<Duration>) -> NodeId {
        let id = self.world.nodes().len();
        let seat = Seat::new(address(id), N::config(), move |disk: &Disk| open::<N>(disk, id, interval));
        self.world.add(Seat { config, region: Region(id as u8 % 10), ..seat })
    }

    /// Looks at the ledgers of all nodes, which must run.
    pub(crate) fn readers(&self) -> impl Iterator<Item = &Reader> {
        self.world.nodes().map(|node| &node.ledger().expect("it runs").reader)
    }

    pub(crate) fn tips(&self) -> Vec<Tip> {
        self.readers().map(Reader::tip).collect()
    }

    /// Whether all nodes are on one chain, but for the blocks that are still on their way.
    pub(crate) fn is_one_chain(&self) -> bool {
        let lowest = self.tips().iter().map(|tip| tip.height).min().unwrap_or(0).saturating_sub(2);
        let at = |reader: &Reader| reader.block(&polypeer_engine::kit::chain::BlockKey::Height(lowest)).map(|b| b.hash);
        let all: Vec<_> = self.readers().map(at).collect();
        all.windows(2).all(|pair| pair[0] == pair[1])
    }

    /// Has account 1 pay account 2 through a node's API. The transaction's identifier.
    pub(crate) fn pay(&mut self, node: NodeId) -> polypeer_engine::kit::chain::Hash {
        let [from, to] = [1, 2].map(|number| Wallet::public_account(number).expect("there are 16"));
        let payment = Payment { recipient: to.public_key(), amount: 1, fee: 1, sequence: self.sequence };
        self.sequence += 1;
        let network = N::parameters().network_id_bytes().expect("the preset has one");
        let transactions = vec![bytes::Bytes::copy_from_slice(&from.sign(&network, &payment))];
        let answers = self.world.ask(node, Request::TakeTransactions { transactions, origin: Origin::Operator });
        match &answers[..] {
            [Answer::TransactionsTaken(taken)] => {
                assert_eq!(taken[0].1, TransactionOutcome::Accepted);
                taken[0].0
            }
            other => panic!("{other:?}"),
        }
    }
}

fn open<N: Network>(disk: &Disk, id: usize, interval: Option<Duration>) -> Result<Held, String> {
    let key = Wallet::public_account(id as u8 % 16 + 1).expect("there are 16").public_key();
    let producer = interval.map(|interval| Producer { key, interval, seed: [id as u8; 32] });
    let config = Config { path: None, network: N::parameters(), producer, limits: Limits::default() };
    let opened = Reference::open_with_backend(disk.clone(), config).map_err(|error| error.to_string())?;
    Ok(Held { ledger: opened.0, reader: opened.1 })
}

pub(crate) fn address(id: usize) -> Address {
    Address::new(std::net::IpAddr::from([10, (id >> 8) as u8, id as u8, 1]), 7000)
}
