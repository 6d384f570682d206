//! Makes what stories need: the vectors, the fixtures' messages, keys of peers, signed gossip.

use bytes::Bytes;
use ed25519_dalek::{Signer as _, SigningKey};
use polypeer_engine::kit::protobuf::Writer;
use polypeer_mina::hash::text;
use polypeer_mina::identify::Identify;
use polypeer_mina::keys::PeerId;
use polypeer_mina::ledger::Hash;
use polypeer_mina::streams::STREAMS;

/// The topic of everything.
pub(crate) const TOPIC: &str = "coda/consensus-messages/0.0.1";
/// The fixtures' network, and a minute after the fixture block's slot began.
pub(crate) const CHAIN: &str = "29936104443aaf264a7f0192ac64b1c7173198c1ed404c1bcff5e562e05eb7f6";
pub(crate) const CLOCK_MS: u64 = 1_729_191_060_000 + 60_000;

fn path(name: &str) -> String {
    format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// A fixture's bytes.
pub(crate) fn fixture(name: &str) -> Bytes {
    std::fs::read(path(name)).unwrap_or_else(|error| panic!("{name}: {error}")).into()
}

/// A frame of the message vectors.
pub(crate) fn vector(name: &str) -> Bytes {
    let vectors: serde_json::Value =
        serde_json::from_slice(&fixture("vectors/message_vectors.json")).expect("the vectors are JSON");
    let text = vectors[name].as_str().unwrap_or_else(|| panic!("{name}"));
    const_hex::decode(text).expect("hex").into()
}

/// A field of the one signed message of the vectors.
pub(crate) fn signed_vector(field: &str) -> Bytes {
    let vectors: serde_json::Value =
        serde_json::from_slice(&fixture("vectors/message_vectors.json")).expect("the vectors are JSON");
    const_hex::decode(vectors["messages"][0][field].as_str().expect("a field")).expect("hex").into()
}

/// The network's genesis.
pub(crate) fn genesis() -> Hash {
    text::read_state_hash("3NL93SipJfAMNDBRfQ8Uo8LPovC74mnJZfZYB5SK7mTtkL72dsPx").expect("a hash")
}

/// The fixture's block, as it is gossiped.
pub(crate) fn block() -> Bytes {
    fixture("v2-current/derived/gossip-v0-new-state-357934.bin")
}

/// The fixtures' two commands, as they are gossiped.
pub(crate) fn transactions() -> Bytes {
    fixture("v2-current/derived/gossip-v0-transaction-pool-diff.bin")
}

/// The same two with this nonce: another message.
pub(crate) fn transactions_with(nonce: u8) -> Bytes {
    let mut data = transactions().to_vec();
    *data.last_mut().expect("a nonce") = nonce;
    data.into()
}

/// No work, as it is gossiped.
pub(crate) fn snark_work() -> Bytes {
    fixture("v2-current/derived/gossip-v0-snark-pool-diff-empty.bin")
}

/// The key that the vectors' messages are signed with is number 1.
pub(crate) fn key(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[number; 32])
}

pub(crate) fn peer_id(number: u8) -> PeerId {
    PeerId::of_key(key(number).verifying_key().to_bytes())
}

/// A message that this author signed, in a frame of its own.
pub(crate) fn gossip(author: u8, seqno: u64, data: &[u8]) -> Bytes {
    gossip_on(TOPIC, author, seqno, data)
}

/// The same on a topic of one's own.
pub(crate) fn gossip_on(topic: &str, author: u8, seqno: u64, data: &[u8]) -> Bytes {
    let mut fields = Writer::default();
    fields.message(1, &peer_id(author).to_bytes());
    fields.message(2, data);
    fields.message(3, &seqno.to_be_bytes());
    fields.message(4, topic.as_bytes());
    let fields = fields.finish();
    let signature = key(author).sign(&[b"libp2p-pubsub:", &fields[..]].concat());
    let mut message = Writer::default();
    message.raw(&fields);
    message.message(5, &signature.to_bytes());
    let message = message.finish();
    let mut rpc = Writer::default();
    rpc.message(2, &message);
    framed(&rpc.finish())
}

/// A message behind its varint length.
pub(crate) fn framed(message: &[u8]) -> Bytes {
    let mut framed = Writer::default();
    framed.varint(message.len() as u64);
    framed.raw(message);
    framed.finish().into()
}

/// What the peer with this key says of itself.
pub(crate) fn identify(number: u8, protocols: &[&str], addresses: &[&[u8]]) -> Bytes {
    Identify {
        public_key: Some(peer_id(number)),
        addresses: addresses.to_vec(),
        protocols: protocols.to_vec(),
        observed: None,
        protocol_version: "ipfs/0.1.0",
        agent: "example/0.1",
    }
    .encode()
}

/// The names of these kinds of streams.
pub(crate) fn names(kinds: &[u16]) -> Vec<&'static str> {
    STREAMS.iter().filter(|stream| kinds.contains(&stream.kind)).map(|stream| stream.protocol).collect()
}

/// The fixture block's state hash.
pub(crate) fn state_hash() -> [u8; 32] {
    let hash = text::read_state_hash("3NK56ZbCS31qb8SvCtCCYza4beRDtKgXA2JL6s3evKouG2KkKtiy");
    hash.expect("a hash").0
}
