//! Enters AnYa: its keys, and how they become its settings.

use super::Entry;
use super::chain::{self, LEDGER_KEYS, OWN_KEYS, preset};
use crate::config::{Key, Kind, Section};
use polypeer_ledger_reference::{Format, NetworkParameters, ParametersError};
use polypeer_protocols::anya::{Anya, Config, ConnectForm};

type Protocol = Anya<Format>;

pub(super) const ENTRY: Entry = Entry {
    protocol: "anya",
    devnet: "anya-devnet",
    keys: &[KEYS, LEDGER_KEYS],
    own_keys: OWN_KEYS,
    check: chain::check,
    presets: &[preset("anya-devnet")],
    start: |launch| chain::start::<Protocol>(launch, config),
    tracker: None,
    devnet_followers: 0,
    devnet_values: chain::devnet_values,
    payers: |nodes| chain::payers("anya-devnet", nodes),
    key_files: None,
    replay: &[polypeer_driver::replay::<Protocol>],
    simulate: Some(|plan, look| chain::simulate::<Protocol>(plan, look, simulated)),
};

/// Section 7 of the AnYa spec.
static KEYS: &[Key] = &[
    Key {
        name: "handshake_timeout",
        kind: Kind::Span,
        default: Some("5s"),
        doc: "The two messages of the handshake must have come within this.",
    },
    Key {
        name: "liveness_interval",
        kind: Kind::Span,
        default: Some("30s"),
        doc: "A peer that sends nothing for this long is pinged.",
    },
    Key {
        name: "ping_timeout",
        kind: Kind::Span,
        default: Some("20s"),
        doc: "A pinged peer that sends nothing for this long is closed.",
    },
    Key {
        name: "disconnect_timeout",
        kind: Kind::Span,
        default: Some("3s"),
        doc: "How long the answer to a goodbye is awaited.",
    },
    Key {
        name: "request_timeout",
        kind: Kind::Span,
        default: Some("10s"),
        doc: "A request that is unanswered for this long is put to another peer.",
    },
    Key {
        name: "connect_form",
        kind: Kind::Choice(&["own-address", "two-addresses"]),
        default: Some("own-address"),
        doc: "Which form of `connect` is sent; both are taken.",
    },
    Key { name: "serve_mempool", kind: Kind::Flag, default: Some("true"), doc: "Whether `get_mempool` is answered." },
    Key { name: "serve_peers", kind: Kind::Flag, default: Some("true"), doc: "Whether `get_peers` is answered." },
    Key {
        name: "tx_bytes_max",
        kind: Kind::Count(1, 64 << 20),
        default: Some("1048576"),
        doc: "The longest `tx`; a longer one ends its connection.",
    },
    Key {
        name: "block_bytes_max",
        kind: Kind::Count(1, 64 << 20),
        default: Some("4194304"),
        doc: "The longest `block`; a longer one ends its connection.",
    },
    Key {
        name: "mempool_bytes_max",
        kind: Kind::Count(4, 64 << 20),
        default: Some("33554432"),
        doc: "The longest `mempool`, sent or taken.",
    },
    Key {
        name: "orphans_per_peer_max",
        kind: Kind::Count(0, 65_536),
        default: Some("64"),
        doc: "Blocks without their parent that are kept of one peer.",
    },
    Key {
        name: "orphan_bytes_max",
        kind: Kind::Count(0, 4 << 30),
        default: Some("33554432"),
        doc: "Bytes of such blocks in all.",
    },
];

/// A network of its own, with the spec's defaults.
fn simulated(parameters: &NetworkParameters) -> Result<Config, ParametersError> {
    let network = parameters.build()?;
    Ok(Config { network_id: network.id(), genesis: network.genesis_hash(), ..Config::default() })
}

fn config(section: &Section, parameters: &NetworkParameters) -> anyhow::Result<Config> {
    let network = parameters.build()?;
    let connect_form = match section.text("connect_form") {
        Some("two-addresses") => ConnectForm::TwoAddresses,
        _ => ConnectForm::OwnAddress,
    };
    Ok(Config {
        network_id: network.id(),
        genesis: network.genesis_hash(),
        handshake_timeout: section.span("handshake_timeout"),
        liveness_interval: section.span("liveness_interval"),
        ping_timeout: section.span("ping_timeout"),
        disconnect_timeout: section.span("disconnect_timeout"),
        request_timeout: section.span("request_timeout"),
        connect_form,
        serve_mempool: section.flag("serve_mempool"),
        serve_peers: section.flag("serve_peers"),
        tx_bytes_max: section.count_u32("tx_bytes_max"),
        block_bytes_max: section.count_u32("block_bytes_max"),
        mempool_bytes_max: section.count_u32("mempool_bytes_max"),
        orphans_per_peer_max: section.count_u32("orphans_per_peer_max"),
        orphan_bytes_max: section.count_u32("orphan_bytes_max"),
        ..Config::default()
    })
}
