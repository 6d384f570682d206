//! Shows what a node knows, as the API's answers have it.

use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::ToSchema;

/// The node, in a few lines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// What the node is called: `polypeer` and its process.
    pub node: String,
    /// The version of the program.
    pub version: String,
    /// Its networks.
    pub networks: Vec<Network>,
    /// The number of the newest event, 0 before the first: from where `/events` can be followed without a gap.
    #[serde(default)]
    pub last_event: u64,
}

/// One network, in a few lines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Network {
    /// Its name.
    pub name: String,
    /// The protocol that it speaks.
    pub protocol: String,
    /// What its transactions are signed for; nothing when its ledger knows no such thing.
    pub network_id: Option<String>,
    /// Where it listens.
    pub listen: Option<String>,
    /// The height of the tip.
    pub height: u64,
    /// The hash of the tip; nothing when it holds no blocks.
    pub tip: Option<String>,
    /// Blocks that it holds, where they form a graph; not there where they form a chain.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub blocks: Option<u64>,
    /// The first block with what is not executed here: from there on the node only follows. Not there while it knows
    /// everything.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub follow_only: Option<u64>,
    /// Whether it is catching up with its peers.
    pub syncing: bool,
    /// How many peers it has.
    pub peers: PeerCount,
    /// How many transactions wait.
    pub mempool: u64,
    /// A tracker's members; not there for a node.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub members: Option<u64>,
    /// How near it is to an eclipse, 0 to 100; `/risk` says what that is made of.
    #[serde(default)]
    pub eclipse_risk: u8,
}

/// How many peers there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PeerCount {
    /// They dialled us.
    pub inbound: usize,
    /// We dialled them.
    pub outbound: usize,
}

/// A peer; names and units are those of Bitcoin Core's `getpeerinfo`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Peer {
    /// The connection's number, never used again.
    pub id: u64,
    /// The peer's end: IP address and port.
    pub addr: String,
    /// Our end.
    pub addrbind: String,
    /// `ipv4` or `ipv6`.
    pub network: String,
    /// The network group by which caps and diversity count it; not there where groups mean nothing, as on this machine.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub group: Option<String>,
    /// Whether it dialled us.
    pub inbound: bool,
    /// `inbound`, `outbound-full-relay`, `manual` for one that the operator named, whoever dialled, or `feeler` for one
    /// that only proves an address.
    pub connection_type: String,
    /// When the connection stood, in seconds since 1970.
    pub conntime: u64,
    /// When bytes were last sent, in seconds since 1970; 0 before the first.
    pub lastsend: u64,
    /// When the last whole frame came, in seconds since 1970.
    pub lastrecv: u64,
    /// Bytes sent.
    pub bytessent: u64,
    /// Bytes received.
    pub bytesrecv: u64,
    /// The last round trip, in seconds; nothing before the first.
    pub pingtime: Option<f64>,
    /// The peer's clock less ours, in seconds; nothing when the protocol does not tell.
    pub timeoffset: Option<i64>,
    /// What it calls its software.
    pub subver: String,
    /// The address of its node key, as it claims; not there where nodes have none. Nothing proves it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub node_address: Option<String>,
    /// The height that it was last known to have; nothing when it did not say.
    pub synced_blocks: Option<u64>,
    /// Whether its handshake is finished.
    pub ready: bool,
    /// Frames sent.
    pub framessent: u64,
    /// Frames received.
    pub framesrecv: u64,
    /// Faults that still count.
    pub slips: usize,
    /// The quickest answer, in seconds; nothing before the first.
    #[serde(default)]
    pub minping: Option<f64>,
    /// When it was last the first to bring a valid block, in seconds since 1970; 0 before that.
    #[serde(default)]
    pub last_block: u64,
    /// When it was last the first to bring a valid transaction, in seconds since 1970; 0 before that.
    #[serde(default)]
    pub last_transaction: u64,
}

/// A block. Which fields beyond the first six it has depends on the network's ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Block {
    /// Its hash.
    pub hash: String,
    /// How many blocks are below it.
    pub height: u64,
    /// The hashes of the blocks before it.
    pub parents: Vec<String>,
    /// Milliseconds since 1970.
    pub time: u64,
    /// The identifiers of its transactions.
    pub transactions: Vec<String>,
    /// Its bytes.
    pub hex: String,
    /// The hash of the one block before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// Who made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub producer: Option<String>,
    /// The work of the chain up to it, as a decimal number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub work: Option<String>,
    /// Whether it is in the main chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub main: Option<bool>,
}

/// A transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Transaction {
    /// Its identifier.
    pub id: String,
    /// Its bytes.
    pub hex: String,
    /// The main chain's block that it is in; nothing while it waits.
    pub block: Option<String>,
    /// The height of that block.
    pub height: Option<u64>,
}

/// The transactions that wait.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Mempool {
    /// How many there are.
    pub count: u64,
    /// Their identifiers, at most 10,000.
    pub transactions: Vec<String>,
}

/// An account at the tip.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Account {
    /// Its public key.
    pub key: String,
    /// What it has.
    pub balance: u64,
    /// How many transactions of its own are in the chain.
    pub sequence: u64,
    /// The first sequence from there that no waiting transaction has.
    pub next: u64,
}

/// An entry of the address book.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KnownAddress {
    /// IP address and port.
    pub address: String,
    /// Whether a handshake with it was finished once.
    pub proven: bool,
    /// The IP address of who named it; nothing when the operator did.
    pub source: Option<String>,
    /// Milliseconds since 1970 of the last dial; nothing before the first.
    pub last_tried: Option<u64>,
    /// Whether it holds a place among those that answered.
    #[serde(default)]
    pub tried: bool,
    /// Milliseconds since 1970 at which it was last named or reached, to within four hours.
    #[serde(default)]
    pub last_seen: Option<u64>,
    /// Milliseconds since 1970 of the last finished handshake; nothing before the first.
    #[serde(default)]
    pub last_success: Option<u64>,
    /// Dials that failed since then.
    #[serde(default)]
    pub failures: u32,
}

/// The address book by network group: an IPv4 /16, an IPv6 /32, or an autonomous system where there is a map of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BookGroups {
    /// How many entries the book has.
    pub entries: u64,
    /// Of them, those with which a handshake was finished once.
    pub proven: u64,
    /// Of them, those that hold a place among those that answered.
    pub tried: u64,
    /// Entries that were counted. All of them in a small book; of a large one a sample, from which the rest follows.
    pub counted: u64,
    /// Groups that were found.
    pub distinct: u64,
    /// Entries for which groups mean nothing, as on this machine.
    pub ungrouped: u64,
    /// The largest groups, largest first, at most 100.
    pub groups: Vec<BookGroup>,
}

/// A network group in the address book.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BookGroup {
    /// Its name.
    pub group: String,
    /// How many entries are in it.
    pub entries: u64,
    /// Of them, those that hold a place among those that answered.
    pub tried: u64,
}

/// What became of addresses that were taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Imported {
    /// Entries by which the book grew.
    pub taken: u64,
}

/// An IP address that is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ban {
    /// The IP address.
    pub address: String,
    /// Milliseconds since 1970 at which it ends.
    pub until: u64,
    /// The fault's name, or `operator`.
    pub reason: String,
    /// `banned`, or `discouraged` for one that is only the last choice.
    pub severity: String,
}

/// Why something was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Why {
    /// Milliseconds since 1970.
    pub time: u64,
    /// Whom it is about: an IP address, with a port where one was meant.
    pub peer: String,
    /// The connection, where there was one.
    pub connection: Option<u64>,
    /// What was done, in one word.
    pub what: String,
    /// The reason, for people.
    pub text: String,
    /// How often, for a refusal that was repeated within a minute; else 1.
    #[serde(default = "once")]
    pub times: u32,
}

fn once() -> u32 {
    1
}

/// How near a network is to an eclipse: whether all that it hears could come from one hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Risk {
    /// 0 to 100: the points of the findings together, at most 49 while a peer that the operator named is connected.
    pub score: u8,
    /// `low` below 25, `notable` below 50, `high` from there.
    pub level: String,
    /// Connected peers that the operator named.
    pub reserved: usize,
    /// What the score is made of, heaviest first.
    pub findings: Vec<Finding>,
}

/// One thing that makes an eclipse easier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Finding {
    /// Its name.
    pub name: String,
    /// How much it adds to the score.
    pub points: u8,
    /// What it is, for people.
    pub text: String,
}

/// Something that happened; numbered over the whole node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Happened {
    /// Its number. One that is missing was lost.
    pub sequence: u64,
    /// Milliseconds since 1970.
    pub time: u64,
    /// The network.
    pub network: String,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum What {
    /// A peer finished its handshake.
    PeerReady {
        /// Its connection.
        connection: u64,
        /// Where it is.
        address: String,
        /// What it says of itself.
        about: String,
    },
    /// A connection is gone.
    PeerGone {
        /// Its connection.
        connection: u64,
        /// Where it was.
        address: String,
        /// Why, in one word.
        cause: String,
    },
    /// A choice was made.
    Reason {
        /// Which, and why.
        why: Why,
    },
    /// The protocol has something to say.
    Note {
        /// What.
        text: String,
    },
    /// The main chain has a new end, durably.
    Tip {
        /// Its hash.
        hash: String,
        /// Its height.
        height: u64,
    },
    /// Events were lost between the one before and this one.
    Gap {
        /// How many.
        lost: u64,
    },
}

impl What {
    /// The word that the event stream names it with.
    pub fn word(&self) -> &'static str {
        match self {
            Self::PeerReady { .. } => "peer_ready",
            Self::PeerGone { .. } => "peer_gone",
            Self::Reason { .. } => "reason",
            Self::Note { .. } => "note",
            Self::Tip { .. } => "tip",
            Self::Gap { .. } => "gap",
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PeerReady { connection, address, about } if about.is_empty() => {
                write!(f, "peer {connection} at {address} is ready")
            }
            Self::PeerReady { connection, address, about } => {
                write!(f, "peer {connection} at {address} is ready: {about}")
            }
            Self::PeerGone { connection, address, cause } => {
                write!(f, "peer {connection} at {address} is gone: {cause}")
            }
            Self::Reason { why } => write!(f, "{} {}: {}", why.peer, why.what, why.text),
            Self::Note { text } => f.write_str(text),
            Self::Tip { hash, height } => write!(f, "tip {height} {hash}"),
            Self::Gap { lost } => write!(f, "{lost} events were lost"),
        }
    }
}
