//! Reads and writes frames: a varint length and a protobuf RPC (Mina spec, section 3.4).
//!
//! | message | fields |
//! |---|---|
//! | RPC | 1 subscriptions, 2 messages, 3 control |
//! | subscription | 1 whether it begins, 2 topic |
//! | message | 1 from, 2 data, 3 seqno, 4 topic, 5 signature, 6 key |
//! | control | 1 IHAVE {1 topic, 2 ids}, 2 IWANT {1 ids}, 3 GRAFT {1 topic}, 4 PRUNE {1 topic, 2 peers {1 id, 2 record}, 3 back-off in seconds} |
//!
//! A frame is checked as a whole before anything of it is believed, and walked from then on without an allocation.

mod read;
mod write;

pub use read::{Counted, IHave, Message, Offer, Prune, Rpc, Subscription, Wrong};
pub use write::{data_in, graft, ihave, iwant, message, prune, signed_bytes, subscriptions};

/// What stands before the signed fields (section 3.5).
pub const SIGNED_PREFIX: &[u8] = b"libp2p-pubsub:";

// Field numbers.
const SUBSCRIPTIONS: u32 = 1;
const MESSAGES: u32 = 2;
const CONTROL: u32 = 3;
const SUBSCRIBE: u32 = 1;
const SUBSCRIBED_TOPIC: u32 = 2;
const FROM: u32 = 1;
const DATA: u32 = 2;
const SEQNO: u32 = 3;
const TOPIC: u32 = 4;
const SIGNATURE: u32 = 5;
const KEY: u32 = 6;
const IHAVE: u32 = 1;
const IWANT: u32 = 2;
const GRAFT: u32 = 3;
const PRUNE: u32 = 4;
// IHAVE, GRAFT and PRUNE have their topic there.
const CONTROL_TOPIC: u32 = 1;
const IHAVE_IDS: u32 = 2;
const IWANT_IDS: u32 = 1;
const PRUNE_PEERS: u32 = 2;
const PRUNE_BACK_OFF: u32 = 3;
const PEER_ID: u32 = 1;
const PEER_RECORD: u32 = 2;
