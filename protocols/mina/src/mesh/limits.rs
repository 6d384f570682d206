//! Bounds everything that a peer can make the mesh hold or do, each with its reason.

use core::time::Duration;

/// The longest message, in bytes of data (Mina spec, section 3.2).
pub const MESSAGE_BYTES_MAX: usize = 33_554_432;
/// Topics of a closed set: the four of the network, and as many for its next generations. A peer's are a bit each.
pub const TOPICS_MAX: usize = 16;

/// Subscriptions in one frame: a Go node says all of its topics at once, and there are fewer than ten.
pub const SUBSCRIPTIONS_MAX: usize = 128;
/// Messages in one frame: as many as one IWANT can ask for.
pub const MESSAGES_MAX: usize = IDS_ASKED_MAX;
/// Identifiers in one frame: IHAVEs of all four topics, each of them full.
pub const IDS_MAX: usize = 4 * IDS_ASKED_MAX;
/// IHAVE, IWANT, GRAFT and PRUNE in one frame: one of each for every topic.
pub const CONTROLS_MAX: usize = 4 * TOPICS_MAX;
/// Peers of one PRUNE that are looked at (section 3.2).
pub const PRUNED_PEERS_MAX: usize = 16;
/// The longest signed record that is passed on: a few addresses, a key and a signature.
pub const RECORD_BYTES_MAX: usize = 4 << 10;
/// Unknown fields in one frame. Later versions of the protocol have a handful.
pub const UNKNOWN_MAX: usize = 1024;

/// Messages that are being judged (section 3.2).
pub const PENDING_MAX: usize = 150;
/// And their bytes: two of the longest, or 150 of the usual ones, blocks among them.
pub const PENDING_BYTES_MAX: usize = 2 * MESSAGE_BYTES_MAX;
/// How long judging may take (section 3.2).
pub const JUDGED_WITHIN: Duration = Duration::from_secs(5 * 60);
/// Peers that are remembered to have brought one message that is being judged: more than the connections of section 9.
pub const BRINGERS_MAX: usize = 64;

/// Accepted messages that are remembered, 48 bytes each: 2,000 a second for the 120 s, which is ten times what the
/// network makes. Beyond that the oldest leave early.
pub const ACCEPTED_MAX: usize = 1 << 18;
/// Refused ones. They are apart, so that whoever signs rubbish cannot make us forget what went round.
pub const REFUSED_MAX: usize = 1 << 16;
/// Messages that can be asked for. Those of five heartbeats at ten times the network's rate.
pub const CACHE_MAX: usize = 1 << 16;
/// And their bytes: two of the longest.
pub const CACHE_BYTES_MAX: usize = 2 * MESSAGE_BYTES_MAX;
/// Peers whose retransmissions of one message are counted; others get no more of it.
pub const TAKERS_MAX: usize = 64;

/// Identifiers that are asked of one peer, or answered, between two heartbeats (section 3.2).
pub const IDS_ASKED_MAX: usize = 5_000;
/// IHAVEs of one peer that are looked at between two heartbeats (section 3.2).
pub const IHAVES_MAX: u32 = 10;
/// How often one peer gets the same message by asking (section 3.2).
pub const RETRANSMISSIONS_MAX: u8 = 3;
/// Bytes that one peer gets by asking between two heartbeats: the longest message, so that small questions cannot fill
/// queues without end.
pub const ANSWER_BYTES_MAX: usize = MESSAGE_BYTES_MAX;
/// Identifiers that we asked for and that have not come. Beyond that the oldest are forgotten and may be asked for again.
pub const WANTED_MAX: usize = 8_192;
/// Of how many peers one message is asked at once: two may withhold it.
pub const ASKED_AT_ONCE_MAX: usize = 3;

/// The longest back-off that is believed. Whoever names more is left alone for this long, and then tried again.
pub const BACK_OFF_MAX: Duration = Duration::from_secs(60 * 60);
/// Back-offs of one topic. Beyond that the one that ends first is forgotten: it matters least.
pub const BACK_OFFS_MAX: usize = 4_096;

/// Subscriptions, grafts, prunes, IHAVEs and IWANTs of one peer between two heartbeats that make a slip, beyond as many
/// that do not. A peer that rejoins all of its topics every heartbeat has less.
pub const STORM: u32 = 128;

/// Own messages that wait for a signature, which takes milliseconds.
pub const UNSIGNED_MAX: usize = 256;
/// Keys of authors that are kept ready: the network's producers, and those whose pools are busy. 200 bytes each.
pub const AUTHORS_MAX: usize = 1_024;
/// Peers that are gone and whose bad scores are remembered.
pub const RETAINED_MAX: usize = 4_096;
/// Messages whose deliveries are still counted for scores.
pub const DELIVERIES_MAX: usize = 4_096;
