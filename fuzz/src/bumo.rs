//! Breaks BUMO: every message beside a stock protobuf library, and the texts of keys and addresses.

#[path = "../../protocols/bumo/tests/wire/oracle.rs"]
mod oracle;
#[path = "../../protocols/bumo/tests/wire/pairs.rs"]
mod pairs;

use crate::targets::Seeds;
use oracle::Dice;
use pairs::{Pair, canonical, check, loose};
use polypeer_bumo::keys::{PrivateKey, PublicKey, read_address};
use polypeer_bumo::wire::{Envelope, Kind, Message as _};

/// What is hashed or signed is taken exactly as the other would write it, the rest as the other takes it. The first byte
/// says which message the others are; they are also the chance that another one is made by.
pub fn wire(input: &[u8]) {
    let (pair, message) = pick(input);
    check(&pair, message);
    let chance = message.iter().fold(0_u64, |seed, byte| seed.rotate_left(7) ^ u64::from(*byte));
    check(&pair, &(pair.any)(&mut Dice::new(chance)));
}

/// The decoder once, for what it takes in memory.
pub fn decode(input: &[u8]) {
    let (pair, message) = pick(input);
    drop((pair.ours)(message));
}

fn pairs() -> impl Iterator<Item = Pair> {
    loose().into_iter().chain(canonical())
}

fn pick(input: &[u8]) -> (Pair, &[u8]) {
    let (number, message) = input.split_first().unwrap_or((&0, &[]));
    let count = pairs().count();
    let pair = pairs().nth(usize::from(*number) % count).expect("a pair of each number");
    (pair, message)
}

/// A text that is read is written again the same.
pub fn keys(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(key) = PublicKey::parse(text) {
        assert_eq!(key.text(), text.to_ascii_lowercase());
        assert!(read_address(&key.address()).is_ok());
        assert!(!key.verify(text.as_bytes(), &[0xff; 64]));
    }
    if let Ok(key) = PrivateKey::parse(text) {
        assert_eq!(key.reveal(), text);
        assert!(key.public().verify(b"message", &key.sign(b"message")));
    }
    if let Ok(bytes) = read_address(text) {
        assert!(bytes.starts_with(&[0x01, 0x56]));
    }
}

macro_rules! fixtures {
    ($($name:literal)*) => {
        &[$(($name, include_str!(concat!("../../protocols/bumo/tests/fixtures/", $name, ".hex")))),*]
    };
}

/// What a real node sent, one of every shape.
const FIXTURES: &[(&str, &str)] = fixtures! {
    "getledgers_3_7" "hello_request_dialer" "hello_response_already_active" "hello_response_ok"
    "ledger_upgrade_notify_r0" "ledgers_2_2" "ledgers_with_tx" "pbft_commit_v0_s2_r2" "pbft_newview_v2"
    "pbft_prepare_v0_s2_r2" "pbft_preprepare_v0_s2_round2" "pbft_preprepare_v3_s4_upgrade" "pbft_viewchange_raw_v2_r0"
    "peers_empty" "peers_four" "ping_request" "transaction_pay_coin"
};

/// Messages that came in envelopes.
pub fn messages() -> Seeds {
    FIXTURES.iter().map(|(name, digits)| (*name, seed(digits.trim()))).collect()
}

fn seed(digits: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("digits");
    let payload: Vec<u8> = (0..digits.len()).step_by(2).map(byte).collect();
    let envelope = Envelope::decode(&payload).expect("a fixture");
    let name = match (envelope.kind().expect("a kind"), envelope.is_request) {
        (Kind::Ping, _) => "Ping",
        (Kind::Hello, true) => "Hello",
        (Kind::Hello, false) => "HelloResponse",
        (Kind::Peers, _) => "Peers",
        (Kind::Transaction, _) => "TransactionEnv",
        (Kind::Ledgers, true) => "GetLedgers",
        (Kind::Ledgers, false) => "Ledgers",
        (Kind::Pbft, _) => "PbftEnv",
        (Kind::LedgerUpgradeNotify, _) => "LedgerUpgradeNotify",
    };
    let number = pairs().position(|pair| pair.name == name).expect("a pair");
    [&[number as u8], envelope.data].concat()
}

/// A key of each scheme, its address, and a private key.
pub fn texts() -> Seeds {
    let public = "b00115764cd017e0da753271fa26cd529451a21b8253d001f0d43612e19ec632570a74ab166b";
    let private = "privbsGZFUoRv8aXZbSGd3bwzZWFn3L5QKq74RXAQYcmfXhhZ54CLr9z";
    let sm2 = "privC973KegP7ucsHw4uPGRdSCgYuywAtEr52CmG6wWiyXHmUwZh1fBs";
    let address = "buQmWJrdYJP5CPKTbkQUqscwvTGaU44dord8";
    [("public", public), ("private", private), ("sm2", sm2), ("address", address)]
        .map(|(name, text)| (name, text.as_bytes().to_vec()))
        .into()
}
