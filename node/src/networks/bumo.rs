//! Enters BUMO: its keys, its presets, how they become its settings.

mod cast;
mod chain;
mod key_files;
mod payer;
mod presets;

use super::hosted::{self, Hosted};
use super::running::RunningNetwork;
use super::till::Till;
use super::watched::{Watch, Watched};
use super::{Entry, Founding, Launch, Preset, settings};
use crate::config::{ConfigError, Key, Kind, NetworkSection, Section};
use anyhow::{Context as _, bail};
use chain::Chain;
pub(super) use payer::Account;
use polypeer_driver::{Network, Tls};
use polypeer_ledger_bumo::{self as ledger, Bumo as Ledger, Reader, Rules, read_key};
use polypeer_protocols::bumo::hash::HashType;
use polypeer_protocols::bumo::keys::{PrivateKey, Scheme};
use polypeer_protocols::bumo::ledger::Answer;
use polypeer_protocols::bumo::{Bumo, Config};
use presets::Public;
use std::sync::Arc;

/// The private network that is built in.
const DEVNET: &str = "bumo-devnet";
/// What HELLO carries in private networks, and where their nodes listen when nothing else is said (BUMO spec, section
/// 1.3).
const PRIVATE_ID: i64 = 30_000;
const PRIVATE_PORT: u16 = 36_001;
/// How far apart a devnet's ledgers are: the original's ten seconds show little in a minute.
const DEVNET_INTERVAL: &str = "500ms";

pub(super) const ENTRY: Entry = Entry {
    protocol: "bumo",
    devnet: DEVNET,
    keys: &[KEYS],
    own_keys: OWN_KEYS,
    check,
    presets: &[
        Preset { name: "bumo-mainnet", values: &[] },
        Preset { name: "bumo-testnet", values: &[] },
        Preset { name: DEVNET, values: &[] },
    ],
    start,
    tracker: None,
    devnet_followers: 1,
    devnet_values,
    payers: payer::payers,
    key_files: Some(key_files::KEY_FILES),
    replay: &[polypeer_driver::replay::<Bumo>],
    simulate: Some(|plan, look| Ok(polypeer_sim::run(cast::Simulated::new(plan)?, plan, look)?)),
};

static KEYS: &[Key] = &[
    Key {
        name: "validation_key_file",
        kind: Kind::Path,
        default: None,
        doc: "A file, mode 0600, with the private key that this node validates with, as text that begins with priv. Without it `produce` validates with the data folder's producer.key.",
    },
    Key {
        name: "node_key_file",
        kind: Kind::Path,
        default: None,
        doc: "A file, mode 0600, with the private key whose address this node is known by; a new one at every start when unset.",
    },
    Key {
        name: "validators",
        kind: Kind::Names,
        default: None,
        doc: "The addresses of those who validate from the first ledger on, in the order of their replica ids; of a private network.",
    },
    Key {
        name: "interval",
        kind: Kind::Span,
        default: None,
        doc: "How far apart ledgers are, 10s when unset, the same for all nodes of a private network. All that consensus waits for scales with it.",
    },
    Key {
        name: "waiting_bytes_max",
        kind: Kind::Count(1 << 20, 1 << 40),
        default: Some("67108864"),
        doc: "Bytes of transactions that wait.",
    },
    Key {
        name: "blocks_bytes_max",
        kind: Kind::Count(1 << 20, 1 << 50),
        default: Some("274877906944"),
        doc: "Bytes of values that are kept; beyond them nothing new is taken.",
    },
    Key {
        name: "tls_certificate_file",
        kind: Kind::Path,
        default: None,
        doc: "This node's certificate and those up to an authority, PEM. With it every connection is encrypted, and each end proves itself: for deployments of one's own, the original speaks in the clear.",
    },
    Key { name: "tls_key_file", kind: Kind::Path, default: None, doc: "The private key of tls_certificate_file, PEM." },
    Key {
        name: "tls_authorities_file",
        kind: Kind::Path,
        default: None,
        doc: "The certificates of the authorities that are trusted, PEM.",
    },
    Key {
        name: "tls_name",
        kind: Kind::Text(253),
        default: Some("polypeer"),
        doc: "The name that the certificates of all nodes are made out to.",
    },
];

static OWN_KEYS: &[Key] = &[
    Key { name: "protocol", kind: Kind::Text(32), default: None, doc: "The protocol that it speaks." },
    Key {
        name: "network_id",
        kind: Kind::Count(1, i64::MAX as u64),
        default: Some("30000"),
        doc: "What both sides of a connection must agree on.",
    },
    Key {
        name: "chain_id",
        kind: Kind::Count(0, i64::MAX as u64),
        default: Some("0"),
        doc: "Which chain of the network; 0 is the main one.",
    },
    Key {
        name: "genesis_account",
        kind: Kind::Text(64),
        default: None,
        doc: "The address that has all coins at the start; that of public account 1 when unset.",
    },
    Key {
        name: "slogan",
        kind: Kind::Text(256),
        default: Some("a new era of value"),
        doc: "What stands in the first ledger for people to read.",
    },
    Key {
        name: "base_reserve",
        kind: Kind::Count(0, i64::MAX as u64),
        default: Some("10000000"),
        doc: "What an account must keep.",
    },
    Key {
        name: "gas_price",
        kind: Kind::Count(0, i64::MAX as u64),
        default: Some("1000"),
        doc: "What a unit of gas costs at least.",
    },
    Key {
        name: "hash_type",
        kind: Kind::Choice(&["sha256", "sm3"]),
        default: Some("sha256"),
        doc: "The hash that ledgers are made with; nothing on the wire says which.",
    },
];

fn devnet_values(founding: &Founding<'_>) -> Vec<(&'static str, String)> {
    let addresses = founding.producers.iter().filter_map(|seed| Some(validation_key(*seed).ok()?.public().address()));
    vec![("validators", addresses.collect::<Vec<_>>().join(",")), ("interval", DEVNET_INTERVAL.to_owned())]
}

/// Starts a network.
fn start(launch: &Launch<'_>) -> anyhow::Result<Arc<dyn RunningNetwork>> {
    let section = &launch.network.section;
    let rules = rules(launch.base_name, launch.network)?;
    let public = presets::find(launch.base_name).filter(|_| !launch.network.is_own);
    let config = config(launch, public, &rules)?;
    let watch = Watch::new::<Answer>(launch.name, launch.events.clone(), launch.arrivals.clone());
    let chain_id = rules.chain_id;
    let (ledger, reader) = open_ledger(launch, rules)?;
    let ledger = Watched { ledger, watch: watch.clone(), is_paused: false };
    let network = Network::<Bumo> {
        name: launch.name.to_owned(),
        p2p: settings::p2p(launch, public.is_none())?,
        listen: settings::listen::<Bumo>(section, &config)?,
        protocol: config,
        seed: None,
        record: section.text("record").map(Into::into),
        queue_budget: launch.budget.clone(),
        tls: tls(section)?,
        identity: None,
    };
    let handle = hosted::start(network, ledger, launch.folder.as_deref(), "peers.redb")?;
    let holdings = Chain { handle: handle.clone(), reader, watch, chain_id, till: Till::new() };
    Ok(Arc::new(Hosted { handle, holdings: Box::new(holdings), members: |_| None }))
}

/// Whether an own network's section makes a network.
fn check(name: &str, network: &NetworkSection) -> anyhow::Result<()> {
    let rules = rules(name, network)?;
    ledger::Bumo::open(ledger::Config::in_memory(rules)).map(drop).map_err(Into::into)
}

fn rules(name: &str, network: &NetworkSection) -> anyhow::Result<Rules> {
    let section = &network.section;
    if let Some(public) = presets::find(name).filter(|_| !network.is_own) {
        if section.get("validators").is_some() || section.get("interval").is_some() {
            bail!("{name} has validators and an interval of its own");
        }
        return Ok(public.rules());
    }
    let mut rules = Rules::private(&payer::public_account(1)?.public().address(), &[]);
    let named = section.list("validators");
    rules.validators = if named.is_empty() && !network.is_own { presets::validators()? } else { named.to_vec() };
    if section.get("interval").is_some() {
        rules.interval = section.span("interval");
    }
    if network.is_own {
        rules.chain_id = number(section, "chain_id");
        rules.base_reserve = number(section, "base_reserve");
        rules.gas_price = number(section, "gas_price");
        rules.slogan = section.text("slogan").unwrap_or_default().to_owned();
        if let Some(address) = section.text("genesis_account") {
            rules.genesis_account = address.to_owned();
        }
        if section.text("hash_type") == Some("sm3") {
            rules.hash = HashType::Sm3;
        }
    }
    Ok(rules)
}

fn config(launch: &Launch<'_>, public: Option<&Public>, rules: &Rules) -> anyhow::Result<Config> {
    let section = &launch.network.section;
    let id = match public {
        Some(public) => public.network_id,
        None if launch.network.is_own => number(section, "network_id"),
        None => PRIVATE_ID,
    };
    let has_seeds = !section.flag("no_dns_seed") && section.list("connect").is_empty();
    let seeds = public.filter(|_| has_seeds).map(Public::seeds).unwrap_or_default();
    let node = match section.text("node_key_file") {
        Some(_) => own_key(section, "node_key_file")?,
        None => key_files::draw(Scheme::Ed25519)?,
    };
    let port = public.map_or(PRIVATE_PORT, |public| public.port);
    Ok(Config {
        chain_id: rules.chain_id,
        seeds,
        hash: rules.hash,
        interval: rules.interval,
        ..Config::new(id, port, &node.public().address())
    })
}

fn number(section: &Section, key: &str) -> i64 {
    // The key's kind has the range.
    i64::try_from(section.count(key)).unwrap_or(i64::MAX)
}

// An Ed25519 key of a producer's seed.
fn validation_key(seed: [u8; 32]) -> anyhow::Result<PrivateKey> {
    Ok(PrivateKey::new(Scheme::Ed25519, seed)?)
}

// The key of a file that a key of the section names.
fn own_key(section: &Section, key: &str) -> Result<PrivateKey, ConfigError> {
    let path = section.text(key).unwrap_or_default();
    read_key(path.as_ref()).map_err(|error| section.wrong(key, format_args!("cannot use {path}: {error}")))
}

/// The files of TLS: all three or none.
const TLS_FILES: [&str; 3] = ["tls_certificate_file", "tls_key_file", "tls_authorities_file"];

fn tls(section: &Section) -> Result<Option<Tls>, ConfigError> {
    let Some(given) = TLS_FILES.into_iter().find(|key| section.get(key).is_some()) else { return Ok(None) };
    let read = |key: &str| {
        let path = section.text(key).ok_or_else(|| section.wrong(given, format_args!("it needs `{key}` too")))?;
        std::fs::read(path).map_err(|error| section.wrong(key, format_args!("cannot read {path}: {error}")))
    };
    let [certificate, key, authorities] = TLS_FILES.map(read);
    let name = section.text("tls_name").unwrap_or_default();
    let made = Tls::from_pem(&certificate?, &key?, &authorities?, name);
    made.map(Some).map_err(|error| section.wrong(given, format_args!("the files of TLS cannot be used: {error:#}")))
}

fn open_ledger(launch: &Launch<'_>, rules: Rules) -> anyhow::Result<(Ledger, Reader)> {
    let section = &launch.network.section;
    let key = match (section.text("validation_key_file"), launch.producer) {
        (Some(_), _) => Some(own_key(section, "validation_key_file")?),
        (None, Some(seed)) => Some(validation_key(seed)?),
        (None, None) => None,
    };
    let limits = ledger::Limits {
        pool_bytes: section.size("waiting_bytes_max"),
        store_bytes: section.count("blocks_bytes_max"),
        ..ledger::Limits::default()
    };
    let path = launch.folder.as_ref().map(|folder| folder.join("ledgers.redb"));
    let shown = path.as_ref().map_or_else(|| "the ledgers".to_owned(), |path| path.display().to_string());
    let signer = key.map(|key| Box::new(key) as Box<dyn ledger::Signer>);
    let config = ledger::Config { path, rules, signer, limits };
    let opened = Ledger::open(config).with_context(|| format!("cannot open {shown} of {}", launch.name))?;
    if opened.0.was_repaired() {
        tracing::warn!("{}: {shown} was damaged, and is as it was before its last change", launch.name);
    }
    let standing = opened.1.standing();
    if let Some(seq) = standing.follow_only {
        tracing::warn!("{}: it only follows from ledger {seq} on, whose operations are not executed here", launch.name);
    }
    match opened.1.signer() {
        Some(address) if standing.validators.position(address).is_none() => {
            tracing::warn!("{}: {address} is none of the validators, so this node only follows", launch.name);
        }
        Some(address) => tracing::info!("{}: it validates as {address}", launch.name),
        None => {}
    }
    Ok(opened)
}
