//! Lists the targets: what each runs, what it is begun with, and how much of it a short run does.

#[cfg(feature = "node")]
use crate::{address_book, api, as_map, recording, settings, websocket};
use crate::{
    anya, bumo, files, hello, journal, kaspa, ledger_bytes, mina, mina_mesh, mina_streams, records, simulation,
};

/// Real inputs, each with a name.
pub type Seeds = Vec<(&'static str, Vec<u8>)>;

/// One target.
#[derive(Debug)]
pub struct Target {
    /// Its name, as cargo-fuzz has it too.
    pub name: &'static str,
    /// Runs one input; panics when something is wrong.
    pub run: fn(&[u8]),
    /// Decodes once and lets go: it may take twice the input and 64 KiB of memory, no more. Nothing where what is
    /// decoded does not come from a peer.
    pub weigh: Option<fn(&[u8])>,
    /// The longest input that is made, in bytes.
    pub length_max: usize,
    /// Inputs of a short run: a million, but where that takes longer than a minute of one core.
    pub inputs: u64,
}

/// Enough for a few messages of every kind.
const SHORT: usize = 1 << 10;
/// A session of some hundred steps.
const LONG: usize = 4 << 10;
const MILLION: u64 = 1_000_000;

const fn target(
    name: &'static str,
    run: fn(&[u8]),
    weigh: Option<fn(&[u8])>,
    length_max: usize,
    inputs: u64,
) -> Target {
    Target { name, run, weigh, length_max, inputs }
}

/// All targets.
pub static TARGETS: &[Target] = &[
    #[cfg(feature = "node")]
    target("address_book", address_book::book, None, SHORT, MILLION),
    target("anya_framer", anya::framer, Some(anya::framer_once), SHORT, MILLION),
    target("anya_messages", anya::messages, Some(anya::decode), SHORT, MILLION),
    target("anya_session", anya::session, None, LONG, MILLION / 10),
    #[cfg(feature = "node")]
    target("api", api::api, None, SHORT, MILLION),
    #[cfg(feature = "node")]
    target("as_map", as_map::map, None, SHORT, MILLION),
    target("bumo_keys", bumo::keys, None, 256, MILLION / 10),
    target("bumo_wire", bumo::wire, Some(bumo::decode), SHORT, MILLION),
    #[cfg(feature = "node")]
    target("config", settings::config, None, SHORT, MILLION / 10),
    target("hello_framer", hello::framer, Some(hello::framer_once), SHORT, MILLION),
    target("hello_messages", hello::messages, Some(hello::decode), SHORT, MILLION),
    target("hello_session", hello::session, None, LONG, MILLION / 10),
    target("journal", journal::entries, None, SHORT, MILLION),
    target("kaspa_framer", kaspa::framer, Some(kaspa::framer_once), SHORT, MILLION),
    target("kaspa_gzip", kaspa::gzip, None, SHORT, MILLION / 10),
    target("kaspa_messages", kaspa::messages, Some(kaspa::decode), SHORT, MILLION),
    target("ledger_bytes", ledger_bytes::blocks, Some(ledger_bytes::decode), SHORT, MILLION),
    target("ledger_file", files::ledger_file, None, 64, MILLION / 1_000),
    target("mina_kad", mina_streams::kad, Some(mina_streams::decode_kad), SHORT, MILLION),
    target("mina_mesh", mina_mesh::frames, Some(mina_mesh::decode), SHORT, MILLION),
    target("mina_mesh_session", mina_mesh::session, None, LONG, MILLION),
    target("mina_rpc", mina_streams::rpc, Some(mina_streams::decode_rpc), SHORT, MILLION),
    target("mina_rpc_framer", mina_streams::framer, Some(mina_streams::framer_once), SHORT, MILLION),
    target("mina_texts", mina::texts, None, 128, MILLION / 10),
    target("mina_wire", mina::wire, Some(mina::decode), LONG, MILLION),
    target("peer_store", files::peer_store, None, 64, MILLION / 200),
    #[cfg(feature = "node")]
    target("recording", recording::replayed, None, SHORT, MILLION / 10),
    target("records", records::records, None, SHORT, MILLION),
    target("simulation", simulation::simulation, None, LONG, MILLION),
    target("tracker_session", hello::tracker_session, None, LONG, MILLION / 10),
    #[cfg(feature = "node")]
    target("websocket_reader", websocket::reader, Some(websocket::reader_once), SHORT, MILLION),
];

/// The target with this name, or a text that lists them.
pub fn find(name: &str) -> Result<&'static Target, String> {
    TARGETS.iter().find(|target| target.name == name).ok_or_else(|| {
        let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
        format!("no target `{name}`; there are {}", names.join(", "))
    })
}

/// What targets are begun with, by name; the others begin with noise. `seeds/` holds it as files.
pub static SEEDS: &[(&str, fn() -> Seeds)] = &[
    #[cfg(feature = "node")]
    ("address_book", address_book::written),
    ("anya_framer", || with_head(anya::frames())),
    ("anya_messages", || anya::frames().into_iter().map(|(name, frame)| (name, frame[36..].to_vec())).collect()),
    #[cfg(feature = "node")]
    ("api", api::requests),
    #[cfg(feature = "node")]
    ("as_map", as_map::written),
    ("bumo_keys", bumo::texts),
    ("bumo_wire", bumo::messages),
    #[cfg(feature = "node")]
    ("config", settings::written),
    ("hello_framer", || with_head(hello::lines())),
    ("hello_messages", || without_end(hello::lines())),
    ("journal", journal::payloads),
    ("kaspa_framer", || with_head(kaspa::frames())),
    ("kaspa_gzip", kaspa::members),
    ("kaspa_messages", kaspa::payloads),
    ("ledger_bytes", || vec![("block", crate::ledger::block(9).1.to_vec()), ("transaction", vec![7; 153])]),
    ("mina_kad", mina_streams::kad_messages),
    ("mina_mesh", mina_mesh::spoken),
    ("mina_mesh_session", mina_mesh::told),
    ("mina_rpc", mina_streams::rpc_messages),
    ("mina_rpc_framer", || with_head(mina_streams::rpc_stream())),
    ("mina_texts", mina::written),
    ("mina_wire", mina::values),
    #[cfg(feature = "node")]
    ("recording", journal::recordings),
    ("records", records::kept),
    ("simulation", simulation::written),
    #[cfg(feature = "node")]
    ("websocket_reader", websocket::streams),
];

// A framer's input says first how the stream is cut.
fn with_head(seeds: Seeds) -> Seeds {
    seeds.into_iter().map(|(name, stream)| (name, [&[0xff, 1, 3, 1, 40, 2][..], &stream].concat())).collect()
}

fn without_end(seeds: Seeds) -> Seeds {
    seeds.into_iter().map(|(name, line)| (name, line[..line.len() - 1].to_vec())).collect()
}
