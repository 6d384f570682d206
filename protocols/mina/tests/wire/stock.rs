//! The layouts are those that a stock codec reads too: it decodes the same bytes to the same values.

use super::fixtures::*;
use super::oracle;
use polypeer_mina::binprot::Binable as _;
use polypeer_mina::block::{DUMMY_PROOF as TRANSACTION_DUMMY, Proof};
use polypeer_mina::command::{UserCommand, ZkappCommand};

#[test]
fn a_stock_codec_reads_the_block_and_writes_it_again() {
    let bytes = file(BLOCK);
    let theirs: oracle::Block = oracle::decode(&bytes).expect("a block");
    assert_eq!(oracle::encode(&theirs), bytes);
    let (state, ours) = (&theirs.0.0, block(&bytes).header.state);
    assert_eq!(state.0.0, ours.previous.0);
    assert_eq!(state.2.5.0, ours.body.blockchain.body_reference);
    assert_eq!(state.3.0.cast_unsigned(), ours.body.consensus.blockchain_length);
    assert!(state.3.3.iter().map(|density| density.cast_unsigned()).eq(ours.body.consensus.sub_window_densities.0));
    assert_eq!(state.3.5.cast_unsigned(), ours.body.consensus.total_currency);
    assert_eq!(state.4.5.cast_unsigned(), ours.body.constants.genesis_timestamp);
}

#[test]
fn a_stock_codec_reads_proofs_and_commands() {
    for bytes in [file(DUMMY_PROOF), TRANSACTION_DUMMY.to_vec()] {
        let theirs: oracle::Proof = oracle::decode(&bytes).expect("a proof");
        assert_eq!(oracle::encode(&theirs), bytes);
        let ours: Proof<'_> = decoded(&bytes);
        let lr = ours.wrap.bulletproof.lr.iter().map(|((x, _), _)| x.0);
        assert!(theirs.3.3.0.iter().map(|((x, _), _)| x.0).eq(lr));
    }
    for name in ZKAPPS {
        let bytes = file(name);
        let theirs: oracle::Zkapp = oracle::decode(&bytes).expect("a command");
        assert_eq!(oracle::encode(&theirs), bytes, "{name}");
        let ours: ZkappCommand<'_> = decoded(&bytes);
        assert_eq!((theirs.0.1.cast_unsigned(), theirs.1.len()), (ours.fee_payer.fee, ours.calls.len()));
    }
}

/// Altered bytes that we read they read too, and as the same.
#[test]
fn what_is_read_here_is_read_there() {
    for name in [PAYMENT, ZKAPP] {
        let mut bytes = file(name);
        for place in 0..bytes.len() {
            for change in [0x01, 0x02, 0x80, 0xff] {
                bytes[place] ^= change;
                if UserCommand::decode(&bytes).is_ok() {
                    let theirs = oracle::decode::<oracle::Command>(&bytes);
                    assert_eq!(theirs.as_ref().map(oracle::encode).as_ref(), Some(&bytes), "{name} at {place}");
                }
                bytes[place] ^= change;
            }
        }
    }
}
