//! Enters Hello: its keys, and how they become its settings.

use super::chain::{self, LEDGER_KEYS, OWN_KEYS, preset};
use super::{Entry, tracker};
use crate::config::{Key, Kind, Section};
use polypeer_ledger_reference::{Format, NetworkParameters, ParametersError};
use polypeer_protocols::hello::{Config, Hello, Tracker};

type Protocol = Hello<Format>;

pub(super) const ENTRY: Entry = Entry {
    protocol: "hello",
    devnet: "hello-devnet",
    keys: &[KEYS, LEDGER_KEYS],
    own_keys: OWN_KEYS,
    check: chain::check,
    presets: &[preset("hello-devnet")],
    start: |launch| chain::start::<Protocol>(launch, config),
    tracker: Some(tracker::start),
    devnet_followers: 0,
    devnet_values: chain::devnet_values,
    payers: |nodes| chain::payers("hello-devnet", nodes),
    key_files: None,
    replay: &[polypeer_driver::replay::<Protocol>, polypeer_driver::replay::<Tracker>],
    simulate: Some(|plan, look| chain::simulate::<Protocol>(plan, look, simulated)),
};

/// Section 8 of the Hello spec.
static KEYS: &[Key] = &[
    Key {
        name: "line_bytes_max",
        kind: Kind::Count(1 << 10, 64 << 20),
        default: Some("8388608"),
        doc: "The longest line once the handshake is complete; below 6.2 MB the largest blocks cannot pass.",
    },
    Key {
        name: "line_budget_bytes",
        kind: Kind::Count(1 << 20, 1 << 40),
        default: Some("67108864"),
        doc: "Bytes of all lines in the making; when they are spent the longest one ends its connection.",
    },
    Key {
        name: "slips_max",
        kind: Kind::Count(1, 10_000),
        default: Some("20"),
        doc: "The slip at one time that ends the connection.",
    },
    Key {
        name: "handshake_timeout",
        kind: Kind::Span,
        default: Some("5s"),
        doc: "The whole handshake must be done within this.",
    },
    Key {
        name: "liveness_interval",
        kind: Kind::Span,
        default: Some("60s"),
        doc: "A peer that sends nothing for this long is asked whether it is there.",
    },
    Key {
        name: "request_timeout",
        kind: Kind::Span,
        default: Some("10s"),
        doc: "A question that is unanswered for this long is put to another peer.",
    },
    Key {
        name: "reconcile_interval",
        kind: Kind::Span,
        default: Some("60s"),
        doc: "How often waiting transactions and newest blocks are compared with each peer.",
    },
    Key {
        name: "blocks_in_flight",
        kind: Kind::Count(1, 10_000),
        default: Some("128"),
        doc: "Blocks asked for to catch up and not here yet, over all peers.",
    },
    Key {
        name: "address_interval",
        kind: Kind::Span,
        default: Some("10m"),
        doc: "How often addresses are told to each peer.",
    },
];

/// A network of its own, with the spec's defaults.
fn simulated(parameters: &NetworkParameters) -> Result<Config, ParametersError> {
    Ok(Config::new(parameters.build()?.genesis_hash()))
}

fn config(section: &Section, parameters: &NetworkParameters) -> anyhow::Result<Config> {
    Ok(Config {
        line_bytes_max: section.size("line_bytes_max"),
        line_budget_bytes: section.size("line_budget_bytes"),
        slips_max: section.count_u32("slips_max"),
        handshake_timeout: section.span("handshake_timeout"),
        liveness_interval: section.span("liveness_interval"),
        request_timeout: section.span("request_timeout"),
        reconcile_interval: section.span("reconcile_interval"),
        blocks_in_flight: section.size("blocks_in_flight"),
        address_interval: section.span("address_interval"),
        ..Config::new(parameters.build()?.genesis_hash())
    })
}
