//! Lists what goes in and what comes out: the mesh's whole border with whoever runs it.

use crate::keys::PeerId;
use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt;
use core::net::IpAddr;
use polypeer_engine::{ConnectionId, Direction, Weight};

/// A message's name: Blake2b-256 over its data, keyed with its topic (Mina spec, section 3.3).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(pub [u8; 32]);

impl AsRef<[u8]> for MessageId {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A topic: its place in [`super::Settings::topics`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicId(pub u8);

/// What the stream that we opened to a peer was agreed to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// `/meshsub/1.0.0`: what it prunes has neither back-off nor peers.
    V1_0,
    /// `/meshsub/1.1.0`.
    V1_1,
}

/// What is known of a peer when its connection is ready.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// Who it is, as the handshake proved.
    pub id: PeerId,
    /// Who dialled. Peers that we dialled are harder to choose for an attacker, and so some of the mesh are of them.
    pub direction: Direction,
    /// Where it comes from, for the score of many peers at one address.
    pub ip: Option<IpAddr>,
}

/// What whoever understands messages says of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It goes on to the mesh.
    Accept,
    /// Nobody's fault, and of no use: old, not new to us, over our own capacity. It goes nowhere.
    Ignore,
    /// No honest peer sends it on: everyone who brought it pays.
    Reject,
}

/// What kind of frame is sent, for what a full queue does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Subscriptions, grafts and prunes: both sides must agree on them, so a peer that has no room for them is closed.
    Control,
    /// Messages. Dropped when there is no room; gossip brings them again.
    Message,
    /// What messages there are, and which of them are wanted. Dropped when there is no room.
    Gossip,
}

/// Somebody to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Who it is.
    pub id: PeerId,
    /// Its signed record as it came, if one came. Nothing in it is verified.
    pub record: Option<Bytes>,
}

/// What the mesh wants, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// A whole frame, for the stream that we opened to this peer.
    Send {
        /// To whom.
        peer: ConnectionId,
        /// Length included, shared by everyone who gets the same.
        frame: Bytes,
        /// What a full queue does with it.
        class: Class,
    },
    /// A new message, signed by its author. Answered with [`super::Mesh::judged`].
    Deliver {
        /// Names it.
        id: MessageId,
        /// Its topic.
        topic: TopicId,
        /// Its payload; shares the memory of what is sent on.
        data: Bytes,
        /// Who signed it. Nobody vouches for authors: a name costs nothing.
        author: PeerId,
        /// Who brought it.
        peer: ConnectionId,
    },
    /// Another peer brought a message that is not judged yet.
    Again {
        /// Which.
        id: MessageId,
        /// Who.
        peer: ConnectionId,
    },
    /// A message was not judged in time and goes nowhere. That is no peer's fault.
    Expired {
        /// Which.
        id: MessageId,
    },
    /// Sign this with the node's key. Answered with [`super::Mesh::signed`].
    Sign {
        /// Names the question.
        ticket: u64,
        /// `libp2p-pubsub:` and the message's fields 1 to 4.
        bytes: Bytes,
    },
    /// A message of our own is out.
    Published {
        /// The question whose answer it was.
        ticket: u64,
        /// Its name.
        id: MessageId,
        /// To how many peers it went at once. With none it waits to be asked for, and is gone after five heartbeats.
        peers: usize,
    },
    /// A peer did something wrong.
    Penalty {
        /// Who.
        peer: ConnectionId,
        /// What.
        fault: Fault,
    },
    /// Peers that would be of use: direct ones that are not connected, or what another peer offered with a prune.
    Connect {
        /// Whom.
        peers: Vec<Candidate>,
    },
}

/// Why a message of our own was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unpublished {
    /// The same data went through here within the last two minutes: peers would take it for a duplicate.
    Duplicate,
    /// Longer than any message.
    TooLong,
    /// No such topic.
    Topic,
    /// Too many wait for their signatures.
    Full,
}

/// What a peer did wrong. Where the reference node bears something, so does this one, up to an excess that no honest
/// peer reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A frame that is no RPC.
    Malformed,
    /// More fields, messages, identifiers or controls in one frame than any node puts there.
    TooMany,
    /// A message without author, number or signature.
    Unsigned,
    /// An author, number, signature or key that has not the form of one; or a key that is not the author's.
    BadAuthor,
    /// A signature that is wrong.
    BadSignature,
    /// Data beyond the longest message.
    TooLong,
    /// A message that was rejected.
    Rejected,
    /// A graft within the back-off that it was told.
    GraftInBackOff,
    /// A graft right after the prune.
    GraftFlood,
    /// Subscriptions, grafts, prunes or identifiers far beyond what heartbeats explain.
    ControlStorm,
}

impl Fault {
    /// Its name in snake case, as reasons and metrics show it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Malformed => "mesh_malformed",
            Self::TooMany => "mesh_too_many",
            Self::Unsigned => "mesh_unsigned",
            Self::BadAuthor => "mesh_bad_author",
            Self::BadSignature => "mesh_bad_signature",
            Self::TooLong => "mesh_too_long",
            Self::Rejected => "mesh_rejected",
            Self::GraftInBackOff => "mesh_graft_in_back_off",
            Self::GraftFlood => "mesh_graft_flood",
            Self::ControlStorm => "mesh_control_storm",
        }
    }

    /// What it should cost. What a restart, a race or another rule of counting explains is a slip.
    pub fn weight(self) -> Weight {
        match self {
            Self::Malformed | Self::TooMany | Self::TooLong => Weight::Breach,
            Self::Unsigned
            | Self::BadAuthor
            | Self::BadSignature
            | Self::Rejected
            | Self::GraftInBackOff
            | Self::GraftFlood
            | Self::ControlStorm => Weight::Slip,
        }
    }
}

/// What was counted since the start. Counters wrap never: they are 64 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// New messages that were handed on to be judged.
    pub delivered: u64,
    /// Messages that had come before.
    pub duplicates: u64,
    /// Messages of topics that we do not follow.
    pub unfollowed: u64,
    /// Messages dropped because too many were being judged.
    pub throttled: u64,
    /// Messages dropped for their author or signature.
    pub unsigned: u64,
    /// Messages accepted.
    pub accepted: u64,
    /// Messages rejected.
    pub rejected: u64,
    /// Messages sent on, one for each peer.
    pub forwarded: u64,
    /// Messages sent because they were asked for.
    pub answered: u64,
    /// Messages that we asked for.
    pub asked: u64,
    /// Controls that were over a limit and passed over.
    pub passed_over: u64,
}
