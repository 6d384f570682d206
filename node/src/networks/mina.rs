//! Enters Mina: its keys, its presets, how they become its settings.

mod chain;
mod key_files;
mod payer;
mod presets;
mod told;

use super::hosted::{self, Hosted};
use super::running::RunningNetwork;
use super::till::Till;
use super::watched::{Watch, Watched};
use super::{Entry, Founding, Launch, Preset, settings};
use crate::config::{Key, Kind, NetworkSection, Section};
use anyhow::{Context as _, bail};
use chain::Chain;
pub(super) use payer::Account;
use polypeer_driver::{Identity as Known, Network};
use polypeer_engine::kit::chain::Hash;
use polypeer_ledger_mina::{self as ledger, Identity, Mina as Ledger, Nobody, Producer, Reader, Rules};
use polypeer_protocols::mina::config::{Constants, Named, Unverified};
use polypeer_protocols::mina::hash::text::read_state_hash;
use polypeer_protocols::mina::ledger::Answer;
use polypeer_protocols::mina::multiaddr::Multiaddr;
use polypeer_protocols::mina::{Config, Mina};
use presets::Public;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use told::Told;

/// The private network that is built in.
const DEVNET: &str = "mina-devnet";
/// When its first slot began, where nobody says otherwise: 2026-01-01.
const DEVNET_GENESIS_MS: u64 = 1_767_225_600_000;
/// The least time of a devnet's slot. A block that comes when its slot is over is not relayed, so a slot must be longer than
/// a block takes to the last node of a busy machine.
const DEVNET_SLOT_MIN: Duration = Duration::from_secs(3);
/// Of a devnet's slots, how many nobody wins.
const DEVNET_EMPTY: f64 = 0.1;

pub(super) const ENTRY: Entry = Entry {
    protocol: "mina",
    devnet: DEVNET,
    keys: &[KEYS],
    own_keys: OWN_KEYS,
    check,
    presets: &[
        Preset { name: "mina-mainnet", values: &[] },
        Preset { name: "mina-testnet", values: &[] },
        Preset { name: DEVNET, values: &[] },
    ],
    start,
    tracker: None,
    devnet_followers: 0,
    devnet_values,
    payers: payer::payers,
    key_files: Some(key_files::KEY_FILES),
    replay: &[polypeer_driver::replay::<Mina>],
    simulate: None,
};

static KEYS: &[Key] = &[
    Key {
        name: "node_key_file",
        kind: Kind::Path,
        default: None,
        doc: "A file, mode 0600, with the seed of the ed25519 key that this node is known by, as 64 hex digits; node.key in the network's folder, made when missing, when unset.",
    },
    Key {
        name: "seeds",
        kind: Kind::Names,
        default: None,
        doc: "Where a node finds its first peers, each like /dns4/NAME/tcp/PORT/p2p/ID; a public network's own when unset.",
    },
    Key {
        name: "unverified_blocks",
        kind: Kind::Choice(&["forward", "second_peer", "never"]),
        default: None,
        doc: "What becomes of a block that is well formed and whose proof nobody here verified: sent on, sent on when two peers of different network groups have sent it, or not. second_peer when unset, forward where check_proofs is false.",
    },
    Key {
        name: "unverified_diffs",
        kind: Kind::Choice(&["forward", "second_peer", "never"]),
        default: None,
        doc: "The same for transactions and SNARK work.",
    },
    Key {
        name: "slot",
        kind: Kind::Span,
        default: None,
        doc: "How long a slot is, 180s when unset, the same for all nodes; of a private network.",
    },
    Key {
        name: "genesis_time",
        kind: Kind::Count(1, i64::MAX as u64),
        default: None,
        doc: "When the first slot began, in milliseconds since 1970; of a private network.",
    },
    Key {
        name: "slots_percent",
        kind: Kind::Count(1, 100),
        default: Some("75"),
        doc: "Of a hundred slots, in how many a producer makes a block; only where check_proofs is false.",
    },
    Key {
        name: "best_tip_interval",
        kind: Kind::Span,
        default: Some("60s"),
        doc: "How often each peer is asked for its best chain. The network's own nodes answer three times a minute.",
    },
    Key {
        name: "flood_publish",
        kind: Kind::Flag,
        default: Some("true"),
        doc: "Whether what is our own goes to every peer that subscribed, and not to those of the mesh only.",
    },
    Key {
        name: "blocks_kept",
        kind: Kind::Count(0, 1_000_000),
        default: Some("0"),
        doc: "Blocks of the best chain that are kept, about 20 kB each on disk and 3 kB in memory; at least the 290 that are not final.",
    },
    Key {
        name: "blocks_bytes_max",
        kind: Kind::Count(64 << 20, 1 << 50),
        default: Some("4294967296"),
        doc: "Bytes of blocks that are kept.",
    },
    Key {
        name: "waiting_max",
        kind: Kind::Count(1, 1_000_000),
        default: Some("3000"),
        doc: "Transactions that wait; when there are more, those that pay least make room.",
    },
    Key {
        name: "waiting_bytes_max",
        kind: Kind::Count(1 << 20, 1 << 40),
        default: Some("67108864"),
        doc: "Bytes of transactions that wait.",
    },
    Key {
        name: "works_bytes_max",
        kind: Kind::Count(1 << 20, 1 << 40),
        default: Some("67108864"),
        doc: "Bytes of SNARK work that waits.",
    },
];

static OWN_KEYS: &[Key] = &[
    Key { name: "protocol", kind: Kind::Text(32), default: None, doc: "The protocol that it speaks." },
    Key {
        name: "chain_id",
        kind: Kind::Text(64),
        default: None,
        doc: "64 hex digits that stand for genesis, circuits and protocol versions. The key of the private network follows from it.",
    },
    Key {
        name: "check_proofs",
        kind: Kind::Flag,
        default: Some("true"),
        doc: "Whether blocks have proofs, which are not verified here, but by other nodes. Without them what follows from a block is computed here, and blocks can be produced.",
    },
    Key {
        name: "genesis_state_hash",
        kind: Kind::Text(64),
        default: None,
        doc: "The state hash of the first block, as explorers write it or as 64 hex digits; where check_proofs is false the first block is made from chain_id when unset.",
    },
    Key { name: "k", kind: Kind::Count(1, 10_000), default: Some("290"), doc: "Blocks until one is final." },
    Key {
        name: "slots_per_epoch",
        kind: Kind::Count(3, i32::MAX as u64),
        default: Some("7140"),
        doc: "Slots of an epoch.",
    },
    Key {
        name: "slots_per_sub_window",
        kind: Kind::Count(1, 1_000_000),
        default: Some("7"),
        doc: "Slots of one of the eleven parts of the window in which density is measured.",
    },
    Key {
        name: "grace_slots",
        kind: Kind::Count(0, i32::MAX as u64),
        default: Some("2160"),
        doc: "Slots after the first in which density is not judged.",
    },
];

fn devnet_values(founding: &Founding<'_>) -> Vec<(&'static str, String)> {
    // Slots are drawn by each for itself.
    let producers = founding.producers.len().max(1) as f64;
    let percent = (100.0 * (1.0 - DEVNET_EMPTY.powf(1.0 / producers))).round().max(1.0);
    let slot = founding.interval.max(DEVNET_SLOT_MIN);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    vec![
        ("slot", humantime::format_duration(slot).to_string()),
        ("genesis_time", now.to_string()),
        ("slots_percent", percent.to_string()),
        ("best_tip_interval", "20s".to_owned()),
        // All of an evening's blocks, so that every transaction is found.
        ("blocks_kept", "20000".to_owned()),
    ]
}

/// Starts a network.
fn start(launch: &Launch<'_>) -> anyhow::Result<Arc<dyn RunningNetwork>> {
    let section = &launch.network.section;
    let public = presets::find(launch.base_name).filter(|_| !launch.network.is_own);
    let facts = facts(launch.base_name, launch.network)?;
    let identity = identity(launch)?;
    let config = config(section, public, &facts, &identity)?;
    let is_private = public.is_none();
    let pays_to = (!facts.rules.has_proofs).then(|| facts.chain_id.clone());
    let watch = Watch::new::<Answer>(launch.name, launch.events.clone(), launch.arrivals.clone());
    let known = Known::from_seed(&identity.seed());
    let (ledger, reader) = open_ledger(launch, facts.rules, identity)?;
    let ledger = Watched { ledger: Told::new(ledger, watch.clone()), watch: watch.clone(), is_paused: false };
    let network = Network::<Mina> {
        name: launch.name.to_owned(),
        p2p: settings::p2p(launch, is_private)?,
        listen: settings::listen::<Mina>(section, &config)?,
        protocol: config,
        seed: None,
        record: section.text("record").map(Into::into),
        queue_budget: launch.budget.clone(),
        tls: None,
        identity: Some(known),
    };
    let handle = hosted::start(network, ledger, launch.folder.as_deref(), "peers.redb")?;
    let holdings = Chain { handle: handle.clone(), reader, watch, pays_to, till: Till::new() };
    Ok(Arc::new(Hosted { handle, holdings: Box::new(holdings), members: |_| None }))
}

/// Whether an own network's section makes a network.
fn check(name: &str, network: &NetworkSection) -> anyhow::Result<()> {
    let facts = facts(name, network)?;
    seeds(&network.section)?;
    Ledger::open(ledger::Config::in_memory(facts.rules)).map(drop).map_err(Into::into)
}

/// What tells a network from others.
struct Facts {
    chain_id: String,
    rules: Rules,
}

fn facts(name: &str, network: &NetworkSection) -> anyhow::Result<Facts> {
    let section = &network.section;
    if let Some(public) = presets::find(name).filter(|_| !network.is_own) {
        if section.get("slot").is_some() || section.get("genesis_time").is_some() {
            bail!("{name} has slots and a genesis of its own");
        }
        return Ok(Facts { chain_id: public.chain_id.to_owned(), rules: public.rules()? });
    }
    let mut constants = Constants { genesis_timestamp_ms: DEVNET_GENESIS_MS, ..Constants::DEVNET };
    if section.get("slot").is_some() {
        constants.slot_ms = u64::try_from(section.span("slot").as_millis()).unwrap_or(u64::MAX);
    }
    if section.get("genesis_time").is_some() {
        constants.genesis_timestamp_ms = section.count("genesis_time");
    }
    if !network.is_own {
        return Ok(Facts { chain_id: devnet_chain_id(), rules: Rules::private(&devnet_chain_id(), constants)? });
    }
    constants.k = section.count_u32("k");
    constants.slots_per_epoch = section.count_u32("slots_per_epoch");
    constants.slots_per_sub_window = section.count_u32("slots_per_sub_window");
    constants.grace_slots = section.count_u32("grace_slots");
    let chain_id = section.text("chain_id").context("a Mina network has a chain_id")?.to_owned();
    if chain_id.len() != 64 || !chain_id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        bail!("chain_id has 64 digits, 0 to 9 and a to f");
    }
    let has_proofs = section.flag("check_proofs");
    let rules = match section.text("genesis_state_hash") {
        None if has_proofs => bail!("a network whose blocks have proofs has a genesis_state_hash"),
        None => Rules::private(&chain_id, constants)?,
        Some(text) => {
            let genesis = state_hash(text).with_context(|| format!("`{text}` is no state hash"))?;
            match Rules::private(&chain_id, constants)? {
                private if private.genesis == genesis && !has_proofs => private,
                _ => {
                    let mut rules = Rules::public(genesis, constants);
                    rules.has_proofs = has_proofs;
                    rules
                }
            }
        }
    };
    Ok(Facts { chain_id, rules })
}

// Known to everybody, and another than that of any public network.
fn devnet_chain_id() -> String {
    const_hex::encode(blake3::hash(DEVNET.as_bytes()).as_bytes())
}

fn state_hash(text: &str) -> Option<Hash> {
    let mut bytes = [0; 32];
    match const_hex::decode_to_slice(text, &mut bytes) {
        Ok(()) => Some(Hash(bytes)),
        Err(_) => read_state_hash(text).ok(),
    }
}

fn config(section: &Section, public: Option<&Public>, facts: &Facts, identity: &Identity) -> anyhow::Result<Config> {
    let Rules { genesis, constants, protocol_version, has_proofs, .. } = facts.rules;
    let mut config = Config::new(identity.peer_id(), &facts.chain_id, genesis, constants);
    if !has_proofs {
        config = config.without_proofs();
    }
    let named = match section.get("seeds") {
        Some(_) => seeds(section)?,
        None => public.map(Public::seeds).transpose()?.unwrap_or_default(),
    };
    let has_seeds = !section.flag("no_dns_seed") && section.list("connect").is_empty();
    Ok(Config {
        seeds: if has_seeds { named } else { Vec::new() },
        unverified_blocks: unverified(section, "unverified_blocks").unwrap_or(config.unverified_blocks),
        unverified_diffs: unverified(section, "unverified_diffs").unwrap_or(config.unverified_diffs),
        flood_publish: section.flag("flood_publish"),
        best_tip_interval: section.span("best_tip_interval"),
        protocol_version,
        ..config
    })
}

fn seeds(section: &Section) -> anyhow::Result<Vec<Named>> {
    section.list("seeds").iter().map(|text| named(text)).collect()
}

fn named(text: &str) -> anyhow::Result<Named> {
    let address: Multiaddr = text.parse().with_context(|| format!("`{text}` names no seed"))?;
    Ok(Named { target: address.target, peer_id: address.peer })
}

fn unverified(section: &Section, key: &str) -> Option<Unverified> {
    Some(match section.text(key)? {
        "forward" => Unverified::Forward,
        "never" => Unverified::Never,
        // The key's kind has no other words.
        _ => Unverified::SecondPeer,
    })
}

fn identity(launch: &Launch<'_>) -> anyhow::Result<Identity> {
    let named = launch.network.section.text("node_key_file").map(std::path::PathBuf::from);
    let own = launch.folder.as_ref().map(|folder| folder.join("node.key"));
    match (named, own) {
        (Some(path), _) => Identity::read(&path).with_context(|| format!("cannot use {}", path.display())),
        (None, Some(path)) => Identity::read_or_make(&path).with_context(|| format!("cannot use {}", path.display())),
        (None, None) => Ok(Identity::random()?),
    }
}

fn open_ledger(launch: &Launch<'_>, rules: Rules, identity: Identity) -> anyhow::Result<(Ledger, Reader)> {
    let section = &launch.network.section;
    let producer = launch.producer.map(|seed| Producer { seed, slots_percent: section.count_u32("slots_percent") });
    let mut limits = ledger::Limits {
        blocks: section.count_u32("blocks_kept"),
        store_bytes: section.count("blocks_bytes_max"),
        commands: section.size("waiting_max"),
        command_bytes: section.size("waiting_bytes_max"),
        work_bytes: section.size("works_bytes_max"),
        ..ledger::Limits::default()
    };
    if !rules.has_proofs {
        // The mesh tells nothing of what was said before a node joined it, and a private network's have just begun.
        limits.tell_again = limits.tell_again.min(Duration::from_millis(rules.constants.slot_ms));
    }
    let path = launch.folder.as_ref().map(|folder| folder.join("blocks.redb"));
    let shown = path.as_ref().map_or_else(|| "the blocks".to_owned(), |path| path.display().to_string());
    let peer_id = identity.peer_id();
    let config = ledger::Config { path, rules, identity: Some(identity), producer, host: Box::new(Nobody), limits };
    let opened = Ledger::open(config).with_context(|| format!("cannot open {shown} of {}", launch.name))?;
    if opened.0.was_repaired() {
        tracing::warn!("{}: {shown} was damaged, and is as it was before its last change", launch.name);
    }
    tracing::info!("{}: it is known as {peer_id}", launch.name);
    Ok(opened)
}
