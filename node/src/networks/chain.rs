//! Runs a network whose ledger is the reference one: AnYa and Hello differ in their protocol only.

use super::running::{About, Later, Meters, Order, Refused, RunningNetwork, Stopped, Which};
use super::watched::{Watch, Watched};
use super::{Launch, Preset, shown};
use crate::config::{Key, Kind, Section, target};
use crate::view;
use anyhow::Context as _;
use polypeer_driver::{Gone, Handle, Network, View};
use polypeer_engine::kit::chain::{Answer, BlockKey, Hash, Origin, Request, TransactionOutcome};
use polypeer_engine::{Address, Command, Direction, Event, P2pAction, P2pConfig, Protocol, ReasonRecord, Target};

use polypeer_ledger_reference::{self as reference, BlockView, NetworkParameters, Producer, Reader, Reference, Wallet};
use polypeer_store::Store;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast;

/// What the reference ledger can be told.
pub(super) static LEDGER_KEYS: &[Key] = &[
    Key { name: "produce_interval", kind: Kind::Span, default: Some("1s"), doc: "A producer makes a block this often, give or take a quarter." },
    Key { name: "fee_min", kind: Kind::Count(0, u64::MAX), default: Some("1"), doc: "Transactions with a lower fee do not wait here; blocks may hold them." },
    Key { name: "waiting_bytes_max", kind: Kind::Count(1 << 10, 1 << 40), default: Some("67108864"), doc: "Bytes of transactions that wait; the lowest fee leaves first." },
];

/// What makes an own network of the reference ledger.
pub(super) static OWN_KEYS: &[Key] = &[
    Key { name: "protocol", kind: Kind::Text(32), default: None, doc: "The protocol that it speaks." },
    Key { name: "network_id", kind: Kind::Text(16), default: None, doc: "What its transactions are signed for; the section's name when unset." },
    Key { name: "genesis_time", kind: Kind::Count(0, i64::MAX as u64), default: Some("1767225600000"), doc: "The genesis block's time in milliseconds since 1970." },
    Key { name: "target", kind: Kind::Compact, default: Some("2000ffff"), doc: "The target of every block, compact." },
    Key { name: "accounts", kind: Kind::Accounts, default: None, doc: "Who starts with how much; the 16 public accounts with 1,000,000,000 each when unset." },
];

/// A network that is built in, under its own name.
pub(super) const fn preset(name: &'static str) -> Preset {
    Preset { name, values: &[] }
}

/// Starts a network of this protocol.
pub(super) fn start<P>(
    launch: &Launch<'_>,
    protocol: impl FnOnce(&Section, &NetworkParameters) -> anyhow::Result<P::Config>,
) -> anyhow::Result<Arc<dyn RunningNetwork>>
where
    P: Protocol<Request = Request, Answer = Answer>,
{
    let section = &launch.network.section;
    let parameters = parameters(launch)?;
    let config = protocol(section, &parameters)?;
    let network_id = parameters.network_id.clone();
    let watch = Watch::new(launch.name, launch.events.clone(), launch.arrivals.clone());
    let (ledger, reader) = open_ledger(launch, parameters)?;
    let ledger = Watched { ledger, watch: watch.clone(), is_paused: false };
    let store = match &launch.folder {
        Some(folder) => Store::open(folder.join("peers.redb")).context("cannot open the peers' store")?,
        None => Store::in_memory().context("cannot open the peers' store")?,
    };
    let listen = listen::<P>(section, &config)?;
    let network = Network::<P> {
        name: launch.name.to_owned(),
        p2p: p2p_config(launch),
        protocol: config,
        listen,
        seed: None,
        record: section.text("record").map(Into::into),
        queue_budget: launch.budget.clone(),
    };
    let started = polypeer_driver::start(network, ledger, Some(store));
    let handle = started.with_context(|| match listen {
        Some(address) => format!("cannot start {} at {address}", launch.name),
        None => format!("cannot start {}", launch.name),
    })?;
    Ok(Arc::new(Chain { handle, reader, watch, network_id }))
}

fn parameters(launch: &Launch<'_>) -> anyhow::Result<NetworkParameters> {
    let mut parameters = NetworkParameters::devnet(launch.base_name);
    if !launch.network.is_own {
        return Ok(parameters);
    }
    let section = &launch.network.section;
    if let Some(id) = section.text("network_id") {
        parameters.network_id = id.to_owned();
    }
    parameters.genesis_time = section.count("genesis_time");
    let target = section.text("target").map(|text| u32::from_str_radix(text, 16));
    if let Some(Ok(target)) = target {
        parameters.target = target.to_be_bytes();
    }
    if let Some(accounts) = section.accounts("accounts") {
        let account = |(key, balance): (&String, &u64)| {
            let mut bytes = [0; 32];
            const_hex::decode_to_slice(key, &mut bytes).map(|()| (bytes, *balance))
        };
        parameters.accounts = accounts.iter().map(account).collect::<Result<_, _>>()?;
    }
    Ok(parameters)
}

fn open_ledger(launch: &Launch<'_>, network: NetworkParameters) -> anyhow::Result<(Reference, Reader)> {
    let section = &launch.network.section;
    let producer = match &launch.producer {
        None => None,
        Some(seed) => {
            let mut chance = [0; 32];
            getrandom::fill(&mut chance).context("no random bytes from the system")?;
            let key = Wallet::new(seed).public_key();
            Some(Producer { key, interval: section.span("produce_interval"), seed: chance })
        }
    };
    let limits = reference::Limits {
        fee_min: section.count("fee_min"),
        mempool_bytes: section.size("waiting_bytes_max"),
        ..reference::Limits::default()
    };
    let path = launch.folder.as_ref().map(|folder| folder.join("chain.redb"));
    let config = reference::Config { path, network, producer, limits };
    Reference::open(config).with_context(|| format!("cannot open the chain of {}", launch.name))
}

fn listen<P: Protocol>(section: &Section, config: &P::Config) -> anyhow::Result<Option<SocketAddr>> {
    match section.text("listen") {
        Some("none") => Ok(None),
        Some(address) => Ok(Some(address.parse()?)),
        None => Ok(Some(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), P::profile(config).default_port))),
    }
}

fn p2p_config(launch: &Launch<'_>) -> P2pConfig {
    let section = &launch.network.section;
    let targets = |key| section.list(key).iter().filter_map(|text| target(text)).collect::<Vec<Target>>();
    P2pConfig {
        listen: None,
        external: section.text("external").and_then(|text| text.parse().ok()),
        add_peers: targets("add_peer"),
        connect_only: targets("connect"),
        outbound_target: section.count_u32("out_peers"),
        inbound_max: section.count_u32("max_in_peers"),
        inbound_per_ip_max: launch.limits.count_u32("in_peers_per_ip_max"),
        discovery: !section.flag("no_discovery"),
        // Every network of the reference ledger is a private one.
        private_addresses: true,
        spare_loopback: launch.limits.flag("spare_loopback"),
        book_max: launch.limits.count_u32("addresses_max"),
        ..P2pConfig::default()
    }
}

struct Chain<P: Protocol> {
    handle: Handle<P>,
    reader: Reader,
    watch: Arc<Watch>,
    network_id: String,
}

impl From<Gone> for Stopped {
    fn from(_: Gone) -> Self {
        Self
    }
}

impl<P: Protocol<Request = Request, Answer = Answer>> Chain<P> {
    async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&View<'_, P>) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        Ok(self.handle.read(look).await?)
    }

    async fn act(&self, action: P2pAction<Answer>) -> Result<(), Stopped> {
        Ok(self.handle.act(action).await?)
    }

    async fn carry_out(&self, order: Order) -> Result<bool, Stopped> {
        let exists = match &order {
            Order::Add(_) | Order::Ban(..) => true,
            Order::Drop(connection) => {
                let connection = *connection;
                self.read(move |view| {
                    let state = view.engine.state();
                    state.peers.contains_key(&connection) || state.connecting_peers.contains_key(&connection)
                })
                .await?
            }
            Order::Forget(target) => {
                let target = target.clone();
                self.read(move |view| view.engine.state().discovery.dialer.wanted.contains_key(&target)).await?
            }
            Order::Unban(ip) => {
                let ip = *ip;
                self.read(move |view| view.engine.state().bans.get(view.now, ip).is_some()).await?
            }
        };
        if exists {
            self.act(match order {
                Order::Add(target) => P2pAction::Command(Command::AddPeer(target)),
                Order::Forget(target) => P2pAction::Command(Command::ForgetPeer(target)),
                Order::Drop(connection) => P2pAction::Disconnect { connection },
                Order::Ban(ip, duration) => P2pAction::Command(Command::Ban { ip, duration }),
                Order::Unban(ip) => P2pAction::Command(Command::Unban { ip }),
            })
            .await?;
        }
        Ok(exists)
    }

    async fn take(&self, transaction: Vec<u8>) -> Result<String, Refused> {
        let transactions = vec![transaction.into()];
        let asked = self.handle.ask(Request::TakeTransactions { transactions, origin: Origin::Operator }).await;
        let taken = match asked.map_err(Stopped::from)? {
            Answer::TransactionsTaken(taken) => taken.into_iter().next(),
            _ => None,
        };
        let (id, outcome) = taken.ok_or(Stopped)?;
        match outcome {
            TransactionOutcome::Accepted | TransactionOutcome::Known => Ok(id.to_string()),
            TransactionOutcome::NeverValid(fault) => Err(shown::refused(fault, true)),
            TransactionOutcome::NotNow(fault) => Err(shown::refused(fault, false)),
        }
    }

    // The first sequence from `count` on that none of the account's waiting transactions has.
    fn next_sequence(&self, key: &[u8; 32], count: u64) -> u64 {
        let (_, ids) = self.reader.waiting(crate::api::PAGE_MAX);
        let waiting = ids.iter().filter_map(|id| self.reader.transaction(id));
        let decoded = waiting.filter_map(|waiting| reference::Transaction::decode(&waiting.bytes).ok());
        let taken: BTreeSet<u64> = decoded.filter(|own| own.sender == *key).map(|own| own.sequence).collect();
        (count..).find(|sequence| !taken.contains(sequence)).unwrap_or(count)
    }

    async fn count(&self) -> Result<Meters, Stopped> {
        let mut meters = self
            .read(|view| {
                let state = view.engine.state();
                let book = &state.discovery.book;
                let totals = view.meters.totals();
                Meters {
                    peers: peer_count(view),
                    ready: state.peers.values().filter(|peer| peer.is_ready).count() as u64,
                    dialling: state.connecting_peers.len() as u64,
                    addresses: (book.len() as u64, book.all().filter(|(_, entry)| entry.proven).count() as u64),
                    bans: state.bans.all(view.now).count() as u64,
                    bytes: (totals.all.bytes_received, totals.all.bytes_sent),
                    frames: (totals.all.frames_received, totals.all.frames_sent),
                    dropped: totals.all.frames_dropped,
                    connections: (totals.accepted, totals.dials - totals.dial_failures),
                    ..Meters::default()
                }
            })
            .await?;
        meters.height = self.reader.tip().height;
        meters.mempool = self.reader.waiting(0).0 as u64;
        meters.syncing = self.watch.is_syncing();
        meters.judged = self.watch.judged();
        Ok(meters)
    }
}

// Who has finished the handshake.
fn peer_count<P: Protocol>(view: &View<'_, P>) -> view::PeerCount {
    let mut count = view::PeerCount::default();
    for (connection, _) in view.engine.state().peers.iter().filter(|(_, peer)| peer.is_ready) {
        match connection.direction() {
            Direction::Inbound => count.inbound += 1,
            Direction::Outbound => count.outbound += 1,
        }
    }
    count
}

fn is_about<P: Protocol>(view: &View<'_, P>, about: About, record: &ReasonRecord) -> bool {
    match about {
        About::Ip(ip) => record.subject.ip() == ip,
        About::Address(address) => record.subject == polypeer_engine::Subject::Address(address),
        About::Connection(connection) => {
            let remote = view.engine.state().peers.get(&connection).map(|peer| peer.ends.remote);
            let is_ban = |remote: Address| record.subject == polypeer_engine::Subject::Ip(remote.ip());
            record.connection == Some(connection) || remote.is_some_and(is_ban)
        }
    }
}

fn block(found: BlockView) -> view::Block {
    let parent = found.parent.to_string();
    view::Block {
        hash: found.hash.to_string(),
        height: found.height,
        parents: if found.height == 0 { Vec::new() } else { vec![parent.clone()] },
        time: found.time,
        transactions: found.transactions.iter().map(Hash::to_string).collect(),
        hex: const_hex::encode(&found.bytes),
        parent: Some(parent),
        producer: Some(const_hex::encode(found.producer)),
        work: Some(found.work.to_string()),
        main: Some(found.main),
    }
}

impl<P: Protocol<Request = Request, Answer = Answer>> RunningNetwork for Chain<P> {
    fn name(&self) -> &str {
        self.handle.name()
    }

    fn listening(&self) -> Option<SocketAddr> {
        self.handle.listening()
    }

    fn is_syncing(&self) -> bool {
        self.watch.is_syncing()
    }

    fn is_sound(&self) -> bool {
        self.reader.is_sound()
    }

    fn status(&self) -> Later<'_, Result<view::Network, Stopped>> {
        Box::pin(async {
            let peers = self.read(peer_count).await?;
            let tip = self.reader.tip();
            Ok(view::Network {
                name: self.name().to_owned(),
                protocol: P::NAME.to_owned(),
                network_id: Some(self.network_id.clone()),
                listen: self.listening().map(|address| address.to_string()),
                height: tip.height,
                tip: Some(tip.hash.to_string()),
                syncing: self.watch.is_syncing(),
                peers,
                mempool: self.reader.waiting(0).0 as u64,
            })
        })
    }

    fn peers(&self) -> Later<'_, Result<Vec<view::Peer>, Stopped>> {
        Box::pin(self.read(|view| {
            view.engine.state().peers.iter().map(|(id, state)| shown::peer(view, *id, state)).collect()
        }))
    }

    fn addresses(&self, after: Option<Address>, max: usize) -> Later<'_, Result<Vec<view::KnownAddress>, Stopped>> {
        Box::pin(self.read(move |view| {
            let entries = view.engine.state().discovery.book.all();
            let entries = entries.skip_while(|(address, _)| after.is_some_and(|after| *address <= after));
            entries.take(max).map(|(address, entry)| shown::address(address, entry)).collect()
        }))
    }

    fn bans(&self, after: Option<IpAddr>, max: usize) -> Later<'_, Result<Vec<view::Ban>, Stopped>> {
        Box::pin(self.read(move |view| {
            let bans = view.engine.state().bans.all(view.now);
            let bans = bans.skip_while(|(ip, _)| after.is_some_and(|after| *ip <= after));
            bans.take(max).map(|(ip, ban)| shown::ban(ip, ban)).collect()
        }))
    }

    fn why(&self, about: About) -> Later<'_, Result<Vec<view::Why>, Stopped>> {
        Box::pin(self.read(move |view| {
            let records = view.engine.state().reasons.all();
            records.filter(|record| is_about(view, about, record)).map(shown::why).collect()
        }))
    }

    fn order(&self, order: Order) -> Later<'_, Result<bool, Stopped>> {
        Box::pin(self.carry_out(order))
    }

    fn block(&self, which: Which) -> Later<'_, Result<Option<view::Block>, Stopped>> {
        Box::pin(async move {
            let key = match which {
                Which::Hash(hash) => BlockKey::Hash(Hash(hash)),
                Which::Height(height) => BlockKey::Height(height),
                Which::Tip => BlockKey::Hash(self.reader.tip().hash),
            };
            Ok(self.reader.block(&key).map(block))
        })
    }

    fn transaction(&self, id: [u8; 32]) -> Later<'_, Result<Option<view::Transaction>, Stopped>> {
        Box::pin(async move {
            let found = self.reader.transaction(&Hash(id));
            Ok(found.map(|found| view::Transaction {
                id: found.id.to_string(),
                hex: const_hex::encode(&found.bytes),
                block: found.block.map(|hash| hash.to_string()),
                height: found.height,
            }))
        })
    }

    fn mempool(&self) -> Later<'_, Result<view::Mempool, Stopped>> {
        Box::pin(async {
            let (count, ids) = self.reader.waiting(crate::api::PAGE_MAX);
            Ok(view::Mempool { count: count as u64, transactions: ids.iter().map(Hash::to_string).collect() })
        })
    }

    fn account(&self, key: [u8; 32]) -> Later<'_, Result<view::Account, Stopped>> {
        Box::pin(async move {
            let account = self.reader.account(&key);
            let (balance, sequence) = (account.balance, account.sequence);
            let next = self.next_sequence(&key, sequence);
            Ok(view::Account { key: const_hex::encode(key), balance, sequence, next })
        })
    }

    fn submit(&self, transaction: Vec<u8>) -> Later<'_, Result<String, Refused>> {
        Box::pin(self.take(transaction))
    }

    fn halt(&self) -> Later<'_, ()> {
        Box::pin(async {
            self.watch.halt();
            // Whatever it answers, the ledger has heard by then; one that has stopped produces nothing.
            let _ = self.handle.ask(Request::Tip).await;
        })
    }

    fn meters(&self) -> Later<'_, Result<Meters, Stopped>> {
        Box::pin(self.count())
    }

    fn events(&self) -> broadcast::Receiver<(u64, Event)> {
        self.handle.events()
    }

    fn ended(&self) -> Later<'_, Result<(), String>> {
        Box::pin(self.handle.ended())
    }

    fn drain(&self, within: Duration) -> Later<'_, ()> {
        Box::pin(self.handle.drain(within))
    }
}
