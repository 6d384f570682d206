//! What was captured before the current format is refused, each with its reason.

use super::fixtures::*;
use polypeer_mina::binprot::{Binable as _, BinprotError};
use polypeer_mina::block::{Block, ProtocolState};
use polypeer_mina::command::Commands;
use polypeer_mina::envelope::{EnvelopeError, Topic, open};
use polypeer_mina::snark::SnarkDiff;

/// With the length in front that a message has now, the old value as what it would be by its tag.
fn framed(value: &[u8]) -> Vec<u8> {
    [&(value.len() as u64).to_le_bytes(), value].concat()
}

/// As it was captured, every old message has a length that does not match.
#[test]
fn old_messages_have_no_envelope_of_today() {
    let mut count = 0;
    for name in ["v1-legacy/gossip", "v2-prerelease-stale"] {
        for (file, bytes) in folder(name).into_iter().filter(|(file, _)| file.ends_with(".bin")) {
            for topic in Topic::ALL {
                assert_eq!(open(topic, &bytes), Err(EnvelopeError::Length), "{file}");
            }
            count += 1;
        }
    }
    assert_eq!(count, 23);
}

/// In an envelope of today they are refused for what is in them.
#[test]
fn old_values_do_not_decode() {
    for (name, expected) in EXPECTED {
        let bytes = file(name);
        let refused = open(Topic::Consensus, &framed(&bytes)).map(drop).expect_err("it is old");
        assert_eq!(refused, EnvelopeError::Content(*expected), "{name}");
        assert!(refused.is_fault(), "{name}");
        // Without the tag, as each kind of value there is.
        for value in [&bytes[..], &bytes[1..]] {
            assert!(Block::decode(value).is_err(), "{name}");
            assert!(ProtocolState::decode(value).is_err(), "{name}");
            assert!(Commands::decode(value).is_err(), "{name}");
            assert!(SnarkDiff::decode(value).is_err(), "{name}");
        }
    }
}

/// What a version byte, or the missing constructor of a slot, is taken for first.
const EXPECTED: &[(&str, BinprotError)] = &[
    ("v1-legacy/gossip/external-transition-1.bin", BinprotError::Trailing),
    ("v1-legacy/gossip/external-transition-sandbox-1.bin", BinprotError::Trailing),
    ("v1-legacy/gossip/snark-pool-diff-1.bin", BinprotError::Constructor),
    ("v1-legacy/gossip/snark-pool-diff-10.bin", BinprotError::Constructor),
    ("v1-legacy/gossip/tx-pool-diff-1.bin", BinprotError::Trailing),
    ("v1-legacy/gossip/tx-pool-diff-2.bin", BinprotError::Trailing),
    ("v1-legacy/gossip/tx-pool-diff-3.bin", BinprotError::Trailing),
    ("v2-prerelease-stale/gossip-new_state.bin", BinprotError::Number),
    ("v2-prerelease-stale/gossip-snark_pool_diff.bin", BinprotError::Number),
    ("v2-prerelease-stale/gossip-transaction_pool_diff.bin", BinprotError::Constructor),
];
