//! Enters Kaspa: its keys, its presets, how they become its settings.

mod dag;
mod payer;
mod sink;

use super::hosted::{self, Hosted};
use super::running::RunningNetwork;
use super::till::Till;
use super::watched::{Watch, Watched};
use super::{Entry, Founding, Launch, Preset, settings};
use crate::config::{Key, Kind, NetworkSection, Section};
use anyhow::Context as _;
use dag::Held;
use polypeer_driver::Network;
use polypeer_engine::Target;
use polypeer_ledger_kaspa as ledger;
use polypeer_ledger_kaspa::{Kaspa as Ledger, Params, Producer, Reader};
use polypeer_protocols::kaspa::ledger::Answer;
use polypeer_protocols::kaspa::{Bans, Config, Kaspa};
use sink::SinkTold;
use std::sync::Arc;

/// The preset that an own network is like when it says nothing else.
const BASE: &str = "kaspa-simnet";

pub(super) const ENTRY: Entry = Entry {
    protocol: "kaspa",
    devnet: "kaspa-simnet",
    keys: &[KEYS],
    own_keys: OWN_KEYS,
    check,
    presets: &[
        Preset { name: "kaspa-mainnet", values: &[] },
        Preset { name: "kaspa-testnet-10", values: &[] },
        Preset { name: "kaspa-simnet", values: &[] },
        Preset { name: "kaspa-devnet", values: &[] },
    ],
    start,
    tracker: None,
    devnet_followers: 0,
    devnet_values,
    payers: payer::payers,
    key_files: None,
    replay: &[polypeer_driver::replay::<Kaspa>],
    simulate: None,
};

static KEYS: &[Key] = &[
    Key {
        name: "produce_interval",
        kind: Kind::Span,
        default: Some("1s"),
        doc: "A producer makes a block this often, give or take a quarter; on private networks only, and not while a peer is connected that checks outputs.",
    },
    Key {
        name: "waiting_bytes_max",
        kind: Kind::Count(1 << 10, 1 << 40),
        default: Some("67108864"),
        doc: "Bytes of transactions that wait.",
    },
    Key {
        name: "blocks_bytes_max",
        kind: Kind::Count(1 << 20, 1 << 50),
        default: Some("68719476736"),
        doc: "Bytes of headers and bodies that are kept; beyond them nothing new is taken.",
    },
    Key {
        name: "compress",
        kind: Kind::Flag,
        default: Some("true"),
        doc: "Whether long messages are sent with gzip, to peers that take it; what comes with it is always taken.",
    },
    Key {
        name: "ban_unknown_block",
        kind: Kind::Flag,
        default: Some("false"),
        doc: "Whether a peer that asks for a block that is not held is banned, as the source document has it.",
    },
    Key {
        name: "ban_unknown_transaction",
        kind: Kind::Flag,
        default: Some("false"),
        doc: "Whether a peer that asks for a transaction that does not wait is banned, as the source document has it.",
    },
    Key {
        name: "ban_invalid_transaction",
        kind: Kind::Flag,
        default: Some("false"),
        doc: "Whether a peer that brings a transaction whose form is wrong is banned, as the source document has it.",
    },
    Key {
        name: "ban_wrong_pong",
        kind: Kind::Flag,
        default: Some("false"),
        doc: "Whether a peer that answers a ping with another nonce is banned, as the source document has it.",
    },
];

static OWN_KEYS: &[Key] = &[
    Key { name: "protocol", kind: Kind::Text(32), default: None, doc: "The protocol that it speaks." },
    Key {
        name: "base",
        kind: Kind::Choice(&["kaspa-simnet", "kaspa-devnet"]),
        default: Some(BASE),
        doc: "The network whose name and rules it has, but for what `params_file` changes.",
    },
    Key {
        name: "params_file",
        kind: Kind::Path,
        default: None,
        doc: "Consensus rules that differ, in the JSON of kaspad's own --override-params-file.",
    },
];

/// All nodes together make so many blocks in the time in which each node of another network makes one.
const DEVNET_BLOCKS: f64 = 10.0;

fn devnet_values(founding: &Founding<'_>) -> Vec<(&'static str, String)> {
    let interval = founding.interval.mul_f64(founding.producers.len() as f64 / DEVNET_BLOCKS);
    vec![("produce_interval", humantime::format_duration(interval).to_string())]
}

/// Starts a network.
fn start(launch: &Launch<'_>) -> anyhow::Result<Arc<dyn RunningNetwork>> {
    let section = &launch.network.section;
    let params = params(launch.base_name, launch.network)?;
    let is_private = params.is_private();
    let config = config(section, &params);
    let watch = Watch::new::<Answer>(launch.name, launch.events.clone(), launch.arrivals.clone());
    let (ledger, reader) = open_ledger(launch, params)?;
    let ledger = SinkTold::new(ledger, reader.clone(), watch.clone());
    let ledger = Watched { ledger, watch: watch.clone(), is_paused: false };
    let network = Network::<Kaspa> {
        name: launch.name.to_owned(),
        p2p: settings::p2p(launch, is_private)?,
        listen: settings::listen::<Kaspa>(section, &config)?,
        protocol: config,
        seed: None,
        record: section.text("record").map(Into::into),
        queue_budget: launch.budget.clone(),
        tls: None,
        identity: None,
    };
    let handle = hosted::start(network, ledger, launch.folder.as_deref(), "peers.redb")?;
    let holdings = Held { handle: handle.clone(), reader, watch, till: Till::new() };
    Ok(Arc::new(Hosted { handle, holdings: Box::new(holdings), members: |_| None }))
}

/// Whether an own network's section makes a network.
fn check(name: &str, network: &NetworkSection) -> anyhow::Result<()> {
    params(name, network).map(drop)
}

fn params(name: &str, network: &NetworkSection) -> anyhow::Result<Params> {
    let section = &network.section;
    let base = if network.is_own { section.text("base").unwrap_or(BASE) } else { name };
    let params = match base {
        "kaspa-mainnet" => Params::mainnet(),
        "kaspa-testnet-10" => Params::testnet_10(),
        "kaspa-devnet" => Params::devnet(),
        _ => Params::simnet(),
    };
    let file = if network.is_own { section.text("params_file") } else { None };
    match file {
        None => Ok(params),
        Some(path) => {
            let json = std::fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
            params.with_overrides(&json).with_context(|| format!("{path} makes no network"))
        }
    }
}

fn config(section: &Section, params: &Params) -> Config {
    let seeds = params.seeds.iter().map(|name| Target::Name((*name).to_owned(), params.port));
    let has_seeds = !section.flag("no_dns_seed") && section.list("connect").is_empty();
    Config {
        seeds: if has_seeds { seeds.collect() } else { Vec::new() },
        block_level_max: params.level_max,
        blocks_per_second: u32::try_from(params.blocks_per_second()).unwrap_or(u32::MAX),
        compress: section.flag("compress"),
        bans: Bans {
            unknown_block: section.flag("ban_unknown_block"),
            unknown_transaction: section.flag("ban_unknown_transaction"),
            invalid_transaction: section.flag("ban_invalid_transaction"),
            wrong_pong: section.flag("ban_wrong_pong"),
        },
        ..Config::new(params.network, params.genesis.hash, params.port)
    }
}

// What a coinbase names: the hash of the producer's key in the place of a public key. Nobody spends it here.
fn script(secret: &[u8; 32]) -> Vec<u8> {
    [&[0x20], &blake3::hash(secret).as_bytes()[..], &[0xac]].concat()
}

fn open_ledger(launch: &Launch<'_>, params: Params) -> anyhow::Result<(Ledger, Reader)> {
    let section = &launch.network.section;
    let producer = match &launch.producer {
        None => None,
        Some(secret) => {
            let mut seed = [0; 32];
            getrandom::fill(&mut seed).context("no random bytes from the system")?;
            Some(Producer { script: script(secret), interval: section.span("produce_interval"), seed })
        }
    };
    let limits = ledger::Limits {
        mempool_bytes: section.size("waiting_bytes_max"),
        store_bytes: section.count("blocks_bytes_max"),
        ..ledger::Limits::default()
    };
    let path = launch.folder.as_ref().map(|folder| folder.join("dag.redb"));
    let shown = path.as_ref().map_or_else(|| "the DAG".to_owned(), |path| path.display().to_string());
    let config = ledger::Config { path, params, producer, limits };
    let opened = Ledger::open(config).with_context(|| format!("cannot open {shown} of {}", launch.name))?;
    if opened.0.was_repaired() {
        tracing::warn!("{}: {shown} was damaged, and is as it was before its last change", launch.name);
    }
    Ok(opened)
}
