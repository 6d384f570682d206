//! Lists the keys that every node and every network has.

use super::{Key, Kind};

/// `[node]`: what the process has once.
pub static NODE: &[Key] = &[
    Key {
        name: "network",
        kind: Kind::Names,
        default: Some(""),
        doc: "Networks that `run` joins when the command line names none.",
    },
    Key {
        name: "data_dir",
        kind: Kind::Path,
        default: None,
        doc: "The data folder; $XDG_DATA_HOME/polypeer when unset.",
    },
    Key {
        name: "api",
        kind: Kind::Listen,
        default: Some("127.0.0.1:7330"),
        doc: "Where the HTTP API listens. Reading needs no token: keep it on loopback.",
    },
    Key { name: "metrics", kind: Kind::Listen, default: Some("127.0.0.1:7331"), doc: "Where /metrics is served." },
    Key {
        name: "log",
        kind: Kind::Text(1024),
        default: Some("info"),
        doc: "What is logged: error, warn, info, debug, trace, or filters such as \"polypeer_driver=debug\".",
    },
];

/// `[limits]`: what all networks share or hold to.
pub static LIMITS: &[Key] = &[
    Key {
        name: "spare_loopback",
        kind: Kind::Flag,
        default: Some("true"),
        doc: "Loopback peers are never banned or discouraged by the engine and count in no cap per address or group.",
    },
    Key {
        name: "in_peers_per_ip_max",
        kind: Kind::Count(1, 1_000_000),
        default: Some("16"),
        doc: "Inbound connections from one IPv4 address or IPv6 /64 on one network; as many are dialled there.",
    },
    Key {
        name: "in_peers_per_group_max",
        kind: Kind::Count(1, 1_000_000),
        default: Some("64"),
        doc: "Inbound connections from one network group, an IPv4 /16 or IPv6 /32, on one network.",
    },
    Key {
        name: "addresses_max",
        kind: Kind::Count(16, 2_000_000),
        default: Some("81920"),
        doc: "Entries of a network's address book, about 115 bytes for each that there is; the least useful leaves first.",
    },
    Key {
        name: "asmap",
        kind: Kind::Path,
        default: None,
        doc: "A file with the autonomous system of each prefix, `PREFIX NUMBER` a line: the book and the dialer spread over systems instead of IPv4 /16 and IPv6 /32.",
    },
    Key {
        name: "queue_bytes_max",
        kind: Kind::Count(1 << 20, 1 << 40),
        // What 16 AnYa peers that each drip a largest mempool hold: a machine with 1 GiB has as much to spare.
        default: Some("536870912"),
        doc: "Bytes of queues, unfinished frames, questions at the ledger and its answers, over all networks; when it is spent, of the connections above a fair share one that stands still ends, else the largest.",
    },
    Key {
        name: "upload_rate",
        kind: Kind::Count(0, 1 << 40),
        default: Some("0"),
        doc: "Bytes a second that each network sends, 0 for as many as peers take. History is served with what handshakes, keep-alives and new blocks and transactions leave.",
    },
];

/// `[tracker]`: what `polypeer tracker` needs besides its network's section.
pub static TRACKER: &[Key] = &[
    Key {
        name: "listen",
        kind: Kind::Socket,
        default: Some("0.0.0.0:7440"),
        doc: "Where the tracker accepts connections.",
    },
    Key {
        name: "interval",
        kind: Kind::Span,
        default: Some("30s"),
        doc: "Members are greeted this often; one that leaves three greetings in a row unanswered is dropped.",
    },
];

/// What every network has: the options of `run`, long names with `_`.
pub static NETWORK: &[Key] = &[
    Key {
        name: "listen",
        kind: Kind::Listen,
        default: None,
        doc: "Where peers are accepted; the network's port on every interface when unset, nowhere with \"none\".",
    },
    Key {
        name: "external",
        kind: Kind::Socket,
        default: None,
        doc: "Where others reach this node, when it knows better than its socket.",
    },
    Key {
        name: "add_peer",
        kind: Kind::Targets,
        default: Some(""),
        doc: "Peers that are dialled again whenever they are lost, besides discovery.",
    },
    Key { name: "connect", kind: Kind::Targets, default: Some(""), doc: "When not empty only these are dialled." },
    Key {
        name: "out_peers",
        kind: Kind::Count(0, 4096),
        default: Some("8"),
        doc: "Connections that are kept up by dialling.",
    },
    Key {
        name: "max_in_peers",
        kind: Kind::Count(0, 1_000_000),
        default: Some("117"),
        doc: "Connections that are accepted. A newcomer beyond them takes the place of a peer that is not protected, or is closed at once.",
    },
    Key {
        name: "no_dns_seed",
        kind: Kind::Flag,
        default: Some("false"),
        doc: "The network's seed names are not looked up.",
    },
    Key {
        name: "no_discovery",
        kind: Kind::Flag,
        default: Some("false"),
        doc: "Peers are not asked for addresses, and addresses of others are not dialled.",
    },
    Key {
        name: "produce",
        kind: Kind::Flag,
        default: Some("false"),
        doc: "Blocks are produced with `producer.key` of the data folder.",
    },
    Key {
        name: "record",
        kind: Kind::Path,
        default: None,
        doc: "Everything that happens to the engine is recorded here, for `polypeer replay`. It holds secrets of this node's chance: it is made 0600.",
    },
];
