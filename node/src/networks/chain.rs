//! Runs a network whose ledger is the reference one: AnYa and Hello differ in their protocol only.

use super::holdings::Holdings;
use super::hosted::{self, Hosted};
use super::running::{Later, Refused, RunningNetwork, Which};
use super::till::Till;
use super::watched::{Arrival, Telling, Watch, Watched};
use super::{Founding, Launch, Look, Preset, settings};
use crate::config::{Key, Kind, NetworkSection, Section};
use crate::purses::{Ledgers, PUBLIC_ACCOUNTS, Payer, Purses, network_id};
use crate::view;
use anyhow::Context as _;
use polypeer_driver::{Handle, Network};
use polypeer_engine::Protocol;
use polypeer_engine::kit::chain::{Answer, BlockKey, BlockOutcome, Hash, Request, TransactionOutcome};
use polypeer_ledger_reference::{
    self as reference, BlockView, NetworkParameters, ParametersError, Producer, Reader, Reference, Wallet,
};
use polypeer_sim::{Outcome, Plan};
use std::sync::Arc;

/// What the reference ledger can be told.
pub(super) static LEDGER_KEYS: &[Key] = &[
    Key {
        name: "produce_interval",
        kind: Kind::Span,
        default: Some("1s"),
        doc: "A producer makes a block this often, give or take a quarter.",
    },
    Key {
        name: "fee_min",
        kind: Kind::Count(0, u64::MAX),
        default: Some("1"),
        doc: "Transactions with a lower fee do not wait here; blocks may hold them.",
    },
    Key {
        name: "waiting_bytes_max",
        kind: Kind::Count(1 << 10, 1 << 40),
        default: Some("67108864"),
        doc: "Bytes of transactions that wait; the lowest fee leaves first.",
    },
];

/// What makes an own network of the reference ledger.
pub(super) static OWN_KEYS: &[Key] = &[
    Key { name: "protocol", kind: Kind::Text(32), default: None, doc: "The protocol that it speaks." },
    Key {
        name: "network_id",
        kind: Kind::Text(16),
        default: None,
        doc: "What its transactions are signed for; the section's name when unset.",
    },
    Key {
        name: "genesis_time",
        kind: Kind::Count(0, i64::MAX as u64),
        default: Some("1767225600000"),
        doc: "The genesis block's time in milliseconds since 1970.",
    },
    Key { name: "target", kind: Kind::Compact, default: Some("2000ffff"), doc: "The target of every block, compact." },
    Key {
        name: "accounts",
        kind: Kind::Accounts,
        default: None,
        doc: "Who starts with how much; the 16 public accounts with 1,000,000,000 each when unset.",
    },
];

/// A network that is built in, under its own name.
pub(super) const fn preset(name: &'static str) -> Preset {
    Preset { name, values: &[] }
}

/// What a devnet's section has.
pub(super) fn devnet_values(founding: &Founding<'_>) -> Vec<(&'static str, String)> {
    vec![("produce_interval", humantime::format_duration(founding.interval).to_string())]
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
    let parameters = parameters(launch.base_name, launch.network)?;
    let config = protocol(section, &parameters)?;
    let network_id = parameters.network_id.clone();
    let watch = Watch::new::<Answer>(launch.name, launch.events.clone(), launch.arrivals.clone());
    let (ledger, reader) = open_ledger(launch, parameters)?;
    let ledger = Watched { ledger, watch: watch.clone(), is_paused: false };
    let network = Network::<P> {
        name: launch.name.to_owned(),
        // Every network of the reference ledger is a private one.
        p2p: settings::p2p(launch, true)?,
        listen: settings::listen::<P>(section, &config)?,
        protocol: config,
        seed: None,
        record: section.text("record").map(Into::into),
        queue_budget: launch.budget.clone(),
        tls: None,
        identity: None,
    };
    let handle = hosted::start(network, ledger, launch.folder.as_deref(), "peers.redb")?;
    let holdings = Chain { handle: handle.clone(), reader, watch, network_id, till: Till::new() };
    Ok(Arc::new(Hosted { handle, holdings: Box::new(holdings), members: |_| None }))
}

/// Simulates a network of this protocol with the reference ledger.
pub(super) fn simulate<P>(
    plan: &Plan,
    look: &mut Look<'_>,
    config: fn(&NetworkParameters) -> Result<P::Config, ParametersError>,
) -> anyhow::Result<Outcome>
where
    P: Protocol<Request = Request, Answer = Answer>,
{
    let cast = polypeer_sim::Chain::<P>::new("simulated", config)?;
    Ok(polypeer_sim::run(cast, plan, look)?)
}

/// Who pays in a private network of the reference ledger: the public accounts, shared out.
pub(super) fn payers(network: &str, nodes: usize) -> anyhow::Result<Vec<Box<dyn Payer>>> {
    let id = network_id(network).context("a network's name is at most 16 bytes")?;
    let shares = nodes.min(usize::from(PUBLIC_ACCOUNTS));
    let share =
        |index| Box::new(Purses::public(Ledgers::Reference { id }, PUBLIC_ACCOUNTS, shares, index)) as Box<dyn Payer>;
    Ok((0..shares).map(share).collect())
}

/// Whether an own network's section makes a network.
pub(super) fn check(name: &str, network: &NetworkSection) -> anyhow::Result<()> {
    parameters(name, network)?.build()?;
    Ok(())
}

fn parameters(name: &str, network: &NetworkSection) -> anyhow::Result<NetworkParameters> {
    let mut parameters = NetworkParameters::devnet(name);
    if !network.is_own {
        return Ok(parameters);
    }
    let section = &network.section;
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
    let shown = path.as_ref().map_or_else(|| "the chain".to_owned(), |path| path.display().to_string());
    let config = reference::Config { path, network, producer, limits };
    let opened = Reference::open(config).with_context(|| format!("cannot open {shown} of {}", launch.name))?;
    if opened.0.was_repaired() {
        tracing::warn!("{}: {shown} was damaged, and is as it was before its last change", launch.name);
    }
    Ok(opened)
}

impl Telling for Answer {
    type Request = Request;
    const WORDS: [&'static [&'static str]; 2] = [
        &["accepted", "known", "parent_unknown", "held", "invalid", "no_room", "tip"],
        &["accepted", "known", "never_valid", "not_now"],
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
            Answer::BlockTaken { hash, outcome } => {
                watch.block(match outcome {
                    BlockOutcome::Accepted => 0,
                    BlockOutcome::Known => 1,
                    BlockOutcome::ParentUnknown => 2,
                    BlockOutcome::Held => 3,
                    BlockOutcome::Invalid(_) => 4,
                    BlockOutcome::NoRoom => 5,
                });
                if *outcome == BlockOutcome::Accepted {
                    watch.arrived(Arrival::Block(hash.0));
                }
            }
            Answer::NewTip { tip, .. } => {
                watch.block(6);
                watch.arrived(Arrival::Block(tip.hash.0));
                watch.tip(tip.hash.to_string(), tip.height);
            }
            Answer::TransactionsTaken(taken) => taken.iter().for_each(|(id, outcome)| {
                watch.transaction(match outcome {
                    TransactionOutcome::Accepted => 0,
                    TransactionOutcome::Known => 1,
                    TransactionOutcome::NeverValid(_) => 2,
                    TransactionOutcome::NotNow(_) => 3,
                });
                if *outcome == TransactionOutcome::Accepted {
                    watch.arrived(Arrival::Transaction(id.0));
                }
            }),
            Answer::NewTransaction { id, .. } => watch.arrived(Arrival::Transaction(id.0)),
            _ => {}
        }
    }
}

struct Chain<P: Protocol> {
    handle: Handle<P>,
    reader: Reader,
    watch: Arc<Watch>,
    network_id: String,
    till: Till,
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

impl<P: Protocol<Request = Request, Answer = Answer>> Holdings for Chain<P> {
    fn network_id(&self) -> Option<String> {
        Some(self.network_id.clone())
    }

    fn tip(&self) -> Option<(u64, String)> {
        let tip = self.reader.tip();
        Some((tip.height, tip.hash.to_string()))
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
            Which::Height(height) => BlockKey::Height(height),
            Which::Tip => BlockKey::Hash(self.reader.tip().hash),
        };
        self.reader.block(&key).map(block)
    }

    fn transaction(&self, id: [u8; 32]) -> Option<view::Transaction> {
        let found = self.reader.transaction(&Hash(id))?;
        Some(view::Transaction {
            id: found.id.to_string(),
            hex: const_hex::encode(&found.bytes),
            block: found.block.map(|hash| hash.to_string()),
            height: found.height,
        })
    }

    fn mempool(&self, max: usize) -> view::Mempool {
        let (count, ids) = self.reader.waiting(max);
        view::Mempool { count: count as u64, transactions: ids.iter().map(Hash::to_string).collect() }
    }

    fn account(&self, key: [u8; 32]) -> Option<view::Account> {
        let next = self.reader.next_sequence(&key);
        let reference::Account { balance, sequence, .. } = self.reader.account(&key);
        Some(view::Account { key: const_hex::encode(key), balance, sequence, next })
    }

    fn submit(&self, transaction: Vec<u8>) -> Later<'_, Result<String, Refused>> {
        Box::pin(async move {
            self.till.charge()?;
            let taken = crate::embed::submit(&self.handle, transaction.into()).await;
            if taken.is_ok() {
                self.till.refund();
            }
            taken
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
