//! Real bytes cut short and altered at every place: nothing panics, and what is read is just what is there.

use super::anew::anew;
use super::fixtures::*;
use polypeer_mina::binprot::{Binable, BinprotError};
use polypeer_mina::block::{Block, DUMMY_PROOF as TRANSACTION_DUMMY, Header, Proof, ProtocolState};
use polypeer_mina::command::{Commands, UserCommand, ZkappCommand};
use polypeer_mina::envelope::{EnvelopeError, Topic, open};

/// Cut after every byte it is refused as cut short, and with a byte more as too long.
#[track_caller]
fn check_cuts<'a, T: Binable<'a> + std::fmt::Debug>(name: &str, bytes: &'a [u8]) {
    for length in 0..bytes.len() {
        let wrong = T::decode(&bytes[..length]).map(drop);
        assert_eq!(wrong, Err(BinprotError::Truncated), "{name} cut at {length}");
    }
}

/// Altered it is refused, or read as what is there and nothing else: written anew it has the altered bytes, so that no
/// two messages are read as one.
fn check_altered(name: &str, bytes: &[u8], changes: &[u8], reread: impl Fn(&[u8]) -> Option<Vec<u8>>) {
    assert_eq!(reread(bytes).as_deref(), Some(bytes), "{name}");
    let mut altered = bytes.to_vec();
    for place in 0..bytes.len() {
        for change in changes {
            altered[place] ^= change;
            if let Some(again) = reread(&altered) {
                assert!(again == altered, "{name} at {place} by {change:#x}");
            }
            altered[place] ^= change;
        }
    }
}

fn reread<'a, T: Binable<'a>>(bytes: &'a [u8]) -> Option<Vec<u8>> {
    T::decode(bytes).ok().map(|value| anew(&value))
}

/// What changes a number's form, a sign, a bool, a constructor.
const CHANGES: &[u8] = &[0x01, 0x02, 0x80, 0xff];

#[test]
fn no_part_of_the_block_is_taken_for_it() {
    let bytes = file(BLOCK);
    check_cuts::<Block<'_>>(BLOCK, &bytes);
}

#[test]
fn the_altered_block_is_refused_or_read_as_it_is() {
    // Most of it is elements of the proof, of which one change says as much as many.
    check_altered(BLOCK, &file(BLOCK), &[0xff], |bytes| reread::<Block<'_>>(bytes));
}

#[test]
fn altered_states_are_refused_or_read_as_they_are() {
    for name in [MAINNET_STATE, DUMMY_STATE] {
        let bytes = file(name);
        check_cuts::<ProtocolState<'_>>(name, &bytes);
        check_altered(name, &bytes, CHANGES, |bytes| reread::<ProtocolState<'_>>(bytes));
    }
    let bytes = file(BLOCK);
    check_altered(BLOCK, &bytes[..1544], CHANGES, |bytes| reread::<ProtocolState<'_>>(bytes));
}

#[test]
fn altered_commands_are_refused_or_read_as_they_are() {
    for name in [PAYMENT, ZKAPP] {
        let bytes = file(name);
        check_cuts::<UserCommand<'_>>(name, &bytes);
        check_altered(name, &bytes, CHANGES, |bytes| reread::<UserCommand<'_>>(bytes));
    }
    for name in ZKAPPS {
        let bytes = file(name);
        let changes = if bytes.len() > 10_000 { &[0xff] } else { CHANGES };
        check_cuts::<ZkappCommand<'_>>(name, &bytes);
        check_altered(name, &bytes, changes, |bytes| reread::<ZkappCommand<'_>>(bytes));
    }
    let bytes = file(GOSSIPED_COMMANDS);
    let list = &bytes[9..bytes.len() - 1];
    check_cuts::<Commands<'_>>(GOSSIPED_COMMANDS, list);
    check_altered(GOSSIPED_COMMANDS, list, CHANGES, |bytes| reread::<Commands<'_>>(bytes));
}

#[test]
fn altered_proofs_are_refused_or_read_as_they_are() {
    let bytes = file(DUMMY_PROOF);
    check_cuts::<Proof<'_>>(DUMMY_PROOF, &bytes);
    check_altered(DUMMY_PROOF, &bytes, &[0x80], |bytes| reread::<Proof<'_>>(bytes));
    check_altered("the dummy of transactions", TRANSACTION_DUMMY, &[0x01], |bytes| reread::<Proof<'_>>(bytes));
}

/// Messages: the length in front makes every cut one.
#[test]
fn no_message_that_is_cut_short_or_goes_on_is_opened() {
    for (topic, name) in [
        (Topic::Consensus, GOSSIPED_BLOCK),
        (Topic::Block, GOSSIPED_HEADER),
        (Topic::Consensus, GOSSIPED_COMMANDS),
        (Topic::Transactions, GOSSIPED_COMMAND),
        (Topic::Consensus, GOSSIPED_NOTHING),
    ] {
        let mut bytes = file(name);
        for length in 0..bytes.len() {
            assert_eq!(open(topic, &bytes[..length]), Err(EnvelopeError::Length), "{name} cut at {length}");
        }
        bytes.push(0);
        assert_eq!(open(topic, &bytes), Err(EnvelopeError::Length), "{name}");
        // The length says so, but something follows the value.
        let longer = (bytes.len() - 8) as u64;
        bytes[..8].copy_from_slice(&longer.to_le_bytes());
        assert_eq!(open(topic, &bytes), Err(BinprotError::Trailing.into()), "{name}");
    }
}

#[test]
fn altered_headers_are_refused_or_read_as_they_are() {
    let bytes = file(GOSSIPED_HEADER);
    check_cuts::<Header<'_>>(GOSSIPED_HEADER, &bytes[8..]);
    check_altered(GOSSIPED_HEADER, &bytes[8..], &[0x01], |bytes| reread::<Header<'_>>(bytes));
}
