//! Lists what a peer can do wrong, and what each fault costs.
//!
//! The reference node keeps a score of trust for each IP address, from which a fault takes and to which what is useful
//! adds; at -1 the address is banned for 24 hours (Mina spec, section 3.6). Here a fault has a weight instead:
//!
//! | there | here |
//! |---|---|
//! | banned at once | [`Weight::Attack`], where whoever sent it must have known: the cheap rules, which every node checks before it sends on; [`Weight::Breach`], where an honest relay that cannot verify proofs may have been used |
//! | mismatched protocol version, -0.25 | five slips at once: four of those end it, as there |
//! | decode error on a connection, -0.05 | [`Weight::Slip`]: twenty at one time end it, as there |
//! | asked for something unknown, useless gossip | paid for from the peer's account of our time |
//! | served a request, useful gossip | paid back to it |
//!
//! A slip fades in an hour instead of half a day, since nothing that is useful takes one back.

use crate::kad;
use crate::mesh;
use crate::relay::GossipFault;
use crate::rpc;
use polypeer_engine::Weight;

/// What was wrong with the bytes of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamFault {
    /// Longer than its kind allows, or not wanted at all.
    TooLong,
    /// A length that is no number.
    BadLength,
    /// A frame that was begun and did not become whole in time.
    TooSlow,
    /// The longest frame in the making when memory for those was spent.
    OverBudget,
}

/// What a peer can do wrong. A variant's doc says when it is borne; all others end the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misbehavior {
    /// The transport proved no key of this network's kind.
    NoIdentity,
    /// It is this node itself.
    Itself,
    /// Somebody else than who was named with the address.
    OtherPeer,
    /// Connections beside one that stands, again and again; borne.
    Duplicate,
    /// It does not say who it is.
    NoIdentify,
    /// It took too long to be ready.
    NotReady,
    /// It did not answer a ping.
    NoPong,
    /// Nothing came for too long.
    Silent,
    /// It broke a rule of the transport.
    Transport,
    /// Bytes that are no frame; borne, and the stream ends.
    Stream(StreamFault),
    /// More streams of one kind than anyone needs; borne, and the stream ends.
    TooManyStreams,
    /// An identify message that does not decode; borne.
    MalformedIdentify,
    /// An identify message with another key than the one proven; borne.
    OtherKey,
    /// Pings without end; borne.
    TooManyPings,
    /// Another echo than what was sent; borne.
    WrongPong,
    /// A document about its state that is none; borne.
    MalformedStatus,
    /// A document about others that is none; borne.
    MalformedExchange,
    /// A document about others that is too long; borne.
    TooManyAddresses,
    /// Something about gossip.
    Mesh(mesh::Fault),
    /// A message that no honest peer sends on.
    Gossip(GossipFault),
    /// Something about Kademlia.
    Kad(kad::Fault),
    /// Something about questions and answers.
    Rpc(rpc::Fault),
    /// An answer to a question of ours that does not decode; borne.
    MalformedAnswer,
    /// Blocks that were asked for and are none, or others; borne, and not asked again for a while.
    OtherBlocks,
    /// A best tip that its proof does not lead to.
    UnprovenTip,
    /// Work wanted that it had no credit for; borne.
    TooMuchWork,
}

impl polypeer_engine::Misbehavior for Misbehavior {
    fn name(&self) -> &'static str {
        match self {
            Self::NoIdentity => "no_identity",
            Self::Itself => "itself",
            Self::OtherPeer => "other_peer",
            Self::Duplicate => "duplicate_connection",
            Self::NoIdentify => "no_identify",
            Self::NotReady => "not_ready",
            Self::NoPong => "no_pong",
            Self::Silent => "silent",
            Self::Transport => "transport",
            Self::Stream(StreamFault::TooLong) => "frame_too_long",
            Self::Stream(StreamFault::BadLength) => "bad_length",
            Self::Stream(StreamFault::TooSlow) => "frame_too_slow",
            Self::Stream(StreamFault::OverBudget) => "frame_over_budget",
            Self::TooManyStreams => "too_many_streams",
            Self::MalformedIdentify => "malformed_identify",
            Self::OtherKey => "other_key",
            Self::TooManyPings => "too_many_pings",
            Self::WrongPong => "wrong_pong",
            Self::MalformedStatus => "malformed_status",
            Self::MalformedExchange => "malformed_exchange",
            Self::TooManyAddresses => "too_many_addresses",
            Self::Mesh(fault) => fault.name(),
            Self::Gossip(fault) => fault.name(),
            Self::Kad(fault) => fault.name(),
            Self::Rpc(fault) => fault.name(),
            Self::MalformedAnswer => "malformed_answer",
            Self::OtherBlocks => "other_blocks",
            Self::UnprovenTip => "unproven_tip",
            Self::TooMuchWork => "too_much_work",
        }
    }

    fn weight(&self) -> Weight {
        match self {
            Self::Mesh(fault) => fault.weight(),
            Self::Gossip(fault) => fault.weight(),
            Self::Kad(fault) => fault.weight(),
            Self::Rpc(fault) => fault.weight(),
            Self::Transport | Self::UnprovenTip => Weight::Breach,
            // Nobody's fault, or borne.
            Self::NoIdentity
            | Self::Itself
            | Self::OtherPeer
            | Self::Duplicate
            | Self::NoIdentify
            | Self::NotReady
            | Self::NoPong
            | Self::Silent
            | Self::Stream(_)
            | Self::TooManyStreams
            | Self::MalformedIdentify
            | Self::OtherKey
            | Self::TooManyPings
            | Self::WrongPong
            | Self::MalformedStatus
            | Self::MalformedExchange
            | Self::TooManyAddresses
            | Self::MalformedAnswer
            | Self::OtherBlocks
            | Self::TooMuchWork => Weight::Slip,
        }
    }
}
