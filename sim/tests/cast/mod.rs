//! The cast of every scenario: one network's engines and ledgers, and disks that outlive a crash.

use polypeer_engine::kit::chain::{Answer, Origin, Request, Tip, TransactionOutcome};
use polypeer_engine::{Address, P2pConfig, Protocol, Target};
use polypeer_ledger_reference::{Config, Limits, NetworkParameters, Payment, Producer, Reader, Reference, Wallet};
use polypeer_sim::{LinkQuality, NodeId, Seat, World};
use redb::StorageBackend;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Ten minutes after the genesis of the private networks.
const EPOCH_MS: u64 = 1_767_225_600_000 + 600_000;

/// A network that the scenarios run on.
pub(crate) trait Network {
    type P: Protocol<Request = Request, Answer = Answer>;
    fn parameters() -> NetworkParameters;
    fn config() -> <Self::P as Protocol>::Config;
}

/// A disk that keeps what was written when the process that wrote it is gone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk(Arc<Mutex<Vec<u8>>>);

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().expect("no test panics while it holds the disk").len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let (start, bytes) = (offset as usize, self.0.lock().expect("no test panics while it holds the disk"));
        out.copy_from_slice(&bytes[start..start + out.len()]);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.lock().expect("no test panics while it holds the disk").resize(len as usize, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.lock().expect("no test panics while it holds the disk")[offset as usize..offset as usize + data.len()]
            .copy_from_slice(data);
        Ok(())
    }
}

/// A world of one network's nodes, and a look at each one's ledger.
pub(crate) struct Stage<N: Network> {
    pub(crate) world: World<N::P, Reference>,
    pub(crate) readers: Vec<Reader>,
    disks: Vec<Disk>,
    producers: Vec<Option<Duration>>,
    sequence: u64,
}

impl<N: Network> Stage<N> {
    pub(crate) fn new(seed: u64) -> Self {
        let world = World::new(seed, EPOCH_MS, LinkQuality::default());
        Self { world, readers: Vec::new(), disks: Vec::new(), producers: Vec::new(), sequence: 0 }
    }

    /// Adds a node that knows `peers` by address, and produces a block every `interval` if there is one.
    pub(crate) fn add(&mut self, peers: &[NodeId], interval: Option<Duration>) -> NodeId {
        let add_peers = peers.iter().map(|peer| Target::Address(address(peer.0))).collect();
        self.add_with(P2pConfig { add_peers, private_addresses: true, ..P2pConfig::default() }, interval)
    }

    /// Adds a node whose operator decided all this.
    pub(crate) fn add_with(&mut self, config: P2pConfig, interval: Option<Duration>) -> NodeId {
        let id = self.readers.len();
        let disk = Disk::default();
        let (ledger, reader) = open::<N>(&disk, id, interval);
        self.readers.push(reader);
        self.disks.push(disk);
        self.producers.push(interval);
        self.world.add(Seat { address: address(id), config, protocol: N::config(), ledger, clock_offset_ms: 0 })
    }

    /// Starts a node that crashed, on the disk that it left.
    pub(crate) fn restart(&mut self, node: NodeId) {
        let (ledger, reader) = open::<N>(&self.disks[node.0], node.0, self.producers[node.0]);
        self.readers[node.0] = reader;
        self.world.restart(node, ledger);
    }

    /// A node's process dies: nothing that it still holds reaches the disk that is left.
    pub(crate) fn crash(&mut self, node: NodeId) {
        self.world.crash(node);
        let left = self.disks[node.0].0.lock().expect("no test panics while it holds the disk").clone();
        self.disks[node.0] = Disk(Arc::new(Mutex::new(left)));
    }

    pub(crate) fn tips(&self) -> Vec<Tip> {
        self.readers.iter().map(Reader::tip).collect()
    }

    /// Whether all nodes are on one chain, but for the blocks that are still on their way.
    pub(crate) fn is_one_chain(&self) -> bool {
        let lowest = self.tips().iter().map(|tip| tip.height).min().unwrap_or(0).saturating_sub(2);
        let at = |reader: &Reader| reader.block(&polypeer_engine::kit::chain::BlockKey::Height(lowest)).map(|b| b.hash);
        self.readers.windows(2).all(|pair| at(&pair[0]) == at(&pair[1]))
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

fn open<N: Network>(disk: &Disk, id: usize, interval: Option<Duration>) -> (Reference, Reader) {
    let key = Wallet::public_account(id as u8 % 16 + 1).expect("there are 16").public_key();
    let producer = interval.map(|interval| Producer { key, interval, seed: [id as u8; 32] });
    let config = Config { path: None, network: N::parameters(), producer, limits: Limits::default() };
    Reference::open_with_backend(disk.clone(), config).expect("the disk is whole")
}

pub(crate) fn address(id: usize) -> Address {
    Address::new(std::net::IpAddr::from([10, id as u8, 0, 1]), 7000)
}
