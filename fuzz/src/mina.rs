//! Breaks Mina: blocks, commands and work with their envelopes, and the texts of hashes and keys.

use crate::targets::Seeds;
use polypeer_mina::binprot::{Binable, Reader, Writer};
use polypeer_mina::block::{Block, Body, Header, Proof, ProtocolState};
use polypeer_mina::command::{Commands, UserCommand, transaction_id};
use polypeer_mina::envelope::{Content, Topic, open};
use polypeer_mina::hash::text::{self, Kind};
use polypeer_mina::snark::{LedgerProof, SnarkDiff};

/// What is read is written again, copied and anew, to the same bytes. The first byte says what the others are.
pub fn wire(input: &[u8]) {
    let (kind, bytes) = input.split_first().unwrap_or((&0, &[]));
    match kind % KINDS {
        0 => check::<Block<'_>>(bytes),
        1 => check::<Header<'_>>(bytes),
        2 => check::<ProtocolState<'_>>(bytes),
        3 => check::<Proof<'_>>(bytes),
        4 => check::<Body<'_>>(bytes),
        5 => check::<Commands<'_>>(bytes),
        6 => check::<SnarkDiff<'_>>(bytes),
        7 => check::<LedgerProof<'_>>(bytes),
        8 => command(bytes),
        _ => Topic::ALL.into_iter().for_each(|topic| envelope(topic, bytes)),
    }
}

const KINDS: u8 = 10;

fn check<'a, T: Binable<'a>>(bytes: &'a [u8]) {
    if let Ok(value) = T::decode(bytes) {
        assert_eq!(value.encode(), bytes);
        assert_eq!(anew(&value), bytes);
    }
}

fn anew<'a>(value: &impl Binable<'a>) -> Vec<u8> {
    let mut writer = Writer::anew();
    value.write(&mut writer);
    writer.finish().to_vec()
}

// A command has an id if it decodes, and then only.
fn command(bytes: &[u8]) {
    check::<UserCommand<'_>>(bytes);
    assert_eq!(transaction_id(bytes).map(drop), UserCommand::decode(bytes).map(drop));
}

// What is opened lies where it is said to lie.
fn envelope(topic: Topic, data: &[u8]) {
    let Ok(opened) = open(topic, data) else { return };
    let again = match &opened.content {
        Content::Block(block) => anew(block),
        Content::Header(header) => anew(header),
        Content::Transactions(commands) => anew(commands),
        Content::SnarkWork(diff) => anew(diff),
    };
    assert_eq!(again, data[opened.value.clone()]);
    assert_eq!(opened.nonce.is_some(), topic == Topic::Consensus && data[8] != 0);
}

/// The decoders once, for what they take in memory.
pub fn decode(input: &[u8]) {
    let (kind, bytes) = input.split_first().unwrap_or((&0, &[]));
    let topic = Topic::ALL[usize::from(*kind) % Topic::ALL.len()];
    drop(open(topic, bytes));
    let _ = Block::read(&mut Reader::new(bytes));
    let _ = UserCommand::decode(bytes);
}

/// A text that is read is written again the same.
pub fn texts(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    for kind in [Kind::State, Kind::Ledger, Kind::EpochSeed, Kind::Token, Kind::Transaction] {
        if let Ok(bytes) = kind.read(text) {
            assert_eq!(kind.write(&bytes), text);
        }
    }
    if let Ok(key) = text::read_public_key(text) {
        assert_eq!(text::public_key(&key), text);
    }
    if let Ok(signature) = text::read_signature(text) {
        assert_eq!(text::signature(&signature), text);
    }
}

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("../../protocols/mina/tests/fixtures/v2-current/", $name))
    };
}

/// Real values, each with the byte that says what it is; the block is too long to be changed often.
pub fn values() -> Seeds {
    let seeds: [(&str, u8, &[u8]); 7] = [
        ("state", 2, fixture!("derived/protocol-state-mainnet-359606.bin")),
        ("body", 4, &fixture!("derived/block-devnet-357934.bin")[12_719..]),
        ("payment", 8, fixture!("derived/user-command-payment.bin")),
        ("zkapp", 8, fixture!("derived/user-command-zkapp.bin")),
        ("commands", 9, fixture!("derived/gossip-v0-transaction-pool-diff.bin")),
        ("command", 9, fixture!("derived/gossip-v1-tx.bin")),
        ("work", 9, fixture!("derived/gossip-v0-snark-pool-diff-empty.bin")),
    ];
    seeds.map(|(name, kind, bytes)| (name, [&[kind], bytes].concat())).into()
}

/// A text of each form.
pub fn written() -> Seeds {
    [
        ("state", "3NK56ZbCS31qb8SvCtCCYza4beRDtKgXA2JL6s3evKouG2KkKtiy"),
        ("ledger", "jwNw4qb6tnNhpQNxiMLem9WumxZTwmbSx3fYXW4FP3hZRkoQJSE"),
        ("transaction", "5JvQ6xQeGgCTe2d4KpCsJ97yK61mNRZHixJxPbKTppY1qSGgtj6t"),
        ("key", "B62qiy32p8kAKnny8ZFwoMhYpBppM1DWVCqAPBYNcXnsAHhnfAAuXgg"),
    ]
    .map(|(name, text)| (name, text.as_bytes().to_vec()))
    .into()
}
