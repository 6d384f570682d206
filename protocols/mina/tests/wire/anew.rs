//! Everything that is current is decoded to its last byte, taken apart and written anew, item by item, to the same bytes.

use super::fixtures::*;
use polypeer_mina::binprot::{Binable, Writer};
use polypeer_mina::block::{Block, DUMMY_PROOF as TRANSACTION_DUMMY, Header, Proof, ProtocolState};
use polypeer_mina::command::{Commands, UserCommand, ZkappCommand};
use polypeer_mina::snark::SnarkDiff;

/// Written without copying any part.
pub(crate) fn anew<'a, T: Binable<'a>>(value: &T) -> Vec<u8> {
    let mut writer = Writer::anew();
    value.write(&mut writer);
    writer.finish().to_vec()
}

#[track_caller]
fn check<'a, T: Binable<'a>>(name: &str, bytes: &'a [u8]) {
    let value = T::decode(bytes).unwrap_or_else(|wrong| panic!("{name}: {wrong}"));
    assert!(anew(&value) == bytes, "{name} anew");
    assert!(value.encode() == bytes, "{name} again");
}

#[test]
fn the_block_is_written_again() {
    check::<Block<'_>>(BLOCK, &file(BLOCK));
    // The same from the message that an archive is sent: a tag, the block, nothing, the state hash.
    let breadcrumb = file("v2-current/archive-breadcrumb-devnet-357934.bin");
    assert_eq!(breadcrumb[1..14_680], file(BLOCK));
}

#[test]
fn the_header_is_written_again() {
    check::<Header<'_>>(GOSSIPED_HEADER, &file(GOSSIPED_HEADER)[8..]);
}

#[test]
fn states_are_written_again() {
    for name in [MAINNET_STATE, DUMMY_STATE] {
        check::<ProtocolState<'_>>(name, &file(name));
    }
}

#[test]
fn proofs_are_written_again() {
    check::<Proof<'_>>(DUMMY_PROOF, &file(DUMMY_PROOF));
    check::<Proof<'_>>("the dummy of transactions", TRANSACTION_DUMMY);
}

#[test]
fn commands_are_written_again() {
    for name in [PAYMENT, ZKAPP] {
        check::<UserCommand<'_>>(name, &file(name));
    }
    for name in ZKAPPS {
        check::<ZkappCommand<'_>>(name, &file(name));
    }
}

#[test]
fn diffs_are_written_again() {
    let commands = file(GOSSIPED_COMMANDS);
    check::<Commands<'_>>(GOSSIPED_COMMANDS, &commands[9..commands.len() - 1]);
    check::<Commands<'_>>(GOSSIPED_COMMAND, &file(GOSSIPED_COMMAND)[8..]);
    check::<SnarkDiff<'_>>(GOSSIPED_NOTHING, &file(GOSSIPED_NOTHING)[9..10]);
}
