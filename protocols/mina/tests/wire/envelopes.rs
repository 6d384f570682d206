//! Messages are opened and sealed as the network has them, and every way to be wrong has its reason.

use super::fixtures::*;
use polypeer_mina::binprot::{Binable as _, BinprotError};
use polypeer_mina::envelope::{
    BLOCK_BYTES_MAX, Content, DIFF_BYTES_MAX, EnvelopeError, Topic, open, seal_bare, seal_block, seal_snark_work,
    seal_transactions,
};
use polypeer_mina::snark::SnarkDiff;

#[test]
fn the_messages_are_opened_and_sealed_to_the_same_bytes() {
    let expected = expected();
    for (name, topic, file_name) in [
        ("gossip_v0_new_state", Topic::Consensus, GOSSIPED_BLOCK),
        ("gossip_v1_block_header", Topic::Block, GOSSIPED_HEADER),
        ("gossip_v0_transaction_pool_diff", Topic::Consensus, GOSSIPED_COMMANDS),
        ("gossip_v1_tx", Topic::Transactions, GOSSIPED_COMMAND),
        ("gossip_v0_snark_pool_diff_empty", Topic::Consensus, GOSSIPED_NOTHING),
    ] {
        let (known, data) = (&expected[name], file(file_name));
        let opened = open(topic, &data).unwrap_or_else(|wrong| panic!("{name}: {wrong}"));
        let value = &data[opened.value.clone()];
        assert_eq!(opened.nonce.map(i64::cast_unsigned), known.get("nonce").map(number), "{name}");
        let sealed = match (opened.content, opened.nonce) {
            (Content::Block(_), _) => seal_block(value),
            (Content::Transactions(_), Some(nonce)) => seal_transactions(value, nonce),
            (Content::SnarkWork(_), Some(nonce)) => seal_snark_work(value, nonce),
            _ => seal_bare(value),
        };
        assert_eq!(sealed, data, "{name}");
        if let Some(topic_name) = known.get("topic") {
            assert_eq!(Topic::from_name(text(topic_name)), Some(topic));
        }
        // The message's id, under which relays know it.
        let key = topic.name().as_bytes();
        let id = blake2b_simd::Params::new().hash_length(32).key(key).hash(&data);
        assert_eq!(id.as_bytes(), digits(&known["message_id"]).as_ref() as &[u8], "{name}");
    }
    assert_eq!(Topic::from_name("coda/blocks/0.0.1"), None);
}

#[test]
fn what_is_in_a_message_is_what_was_cut_out_of_the_block() {
    let (data, bytes) = (file(GOSSIPED_BLOCK), file(BLOCK));
    let opened = open(Topic::Consensus, &data).expect("a block");
    assert_eq!((opened.content, opened.value), (Content::Block(block(&bytes)), 9..data.len()));
    let data = file(GOSSIPED_HEADER);
    let opened = open(Topic::Block, &data).expect("a header");
    assert_eq!(opened.content, Content::Header(block(&bytes).header));
    let data = file(GOSSIPED_COMMANDS);
    let Content::Transactions(commands) = open(Topic::Consensus, &data).expect("a diff").content else {
        panic!("commands");
    };
    let parts: Vec<&[u8]> = commands.iter().map(|command| command.bytes()).collect();
    assert_eq!(parts, [file(PAYMENT), file(ZKAPP)]);
}

/// A value, with the length in front that makes it right.
fn framed(rest: &[u8]) -> Vec<u8> {
    seal_bare(rest).to_vec()
}

#[track_caller]
fn check(topic: Topic, data: &[u8], expected: EnvelopeError, is_fault: bool) {
    let wrong = open(topic, data).map(drop).expect_err("it is wrong");
    assert_eq!((wrong, wrong.is_fault()), (expected, is_fault));
}

#[test]
fn a_length_that_is_off_by_one_is_a_fault() {
    let data = file(GOSSIPED_NOTHING);
    for length in [2_u64, 4, 0, u64::MAX] {
        let wrong = [&length.to_le_bytes(), &data[8..]].concat();
        check(Topic::Consensus, &wrong, EnvelopeError::Length, true);
    }
    check(Topic::Consensus, &[], EnvelopeError::Length, true);
    check(Topic::Consensus, &[0; 8], BinprotError::Truncated.into(), true);
}

#[test]
fn a_tag_that_nothing_has_is_a_fault() {
    for tag in 3..=u8::MAX {
        check(Topic::Consensus, &framed(&[tag, 1, 5]), EnvelopeError::Tag, true);
    }
}

#[test]
fn bytes_behind_the_value_are_a_fault() {
    check(Topic::Consensus, &framed(&[1, 1, 5, 0]), BinprotError::Trailing.into(), true);
    check(Topic::SnarkWork, &framed(&[1, 5]), BinprotError::Trailing.into(), true);
    check(Topic::Consensus, &framed(&[1, 1]), BinprotError::Truncated.into(), true);
}

#[test]
fn a_bool_of_2_and_an_element_above_the_modulus_are_faults() {
    let known = file(GOSSIPED_COMMAND);
    let command = &file(PAYMENT)[1..];
    let payer = 8 + 2 + (1 + 4);
    assert_eq!(known[payer..payer + 4], [0xb9, 0x62, 0x35, 0x72], "the payer's key: {command:02x?}");
    let mut data = known.clone();
    data[payer + 32] = 2;
    check(Topic::Transactions, &data, BinprotError::Bool.into(), true);
    let mut data = known.clone();
    data[payer..payer + 32].fill(0xff);
    check(Topic::Transactions, &data, BinprotError::Element.into(), true);
    let mut data = known;
    data[9] = 2;
    check(Topic::Transactions, &data, BinprotError::Constructor.into(), true);
}

/// The reference reads such a number and sends on the bytes that came, so whoever sends them to us is not to blame.
#[test]
fn a_number_that_is_longer_than_need_be_is_no_fault() {
    check(Topic::Consensus, &framed(&[1, 1, 0xfe, 5, 0]), BinprotError::NotMinimal.into(), false);
}

#[test]
fn what_is_over_our_limits_is_no_fault() {
    let check_at = |topic: Topic, tag: Option<u8>, bytes_max: usize| {
        let at = |length: usize| {
            let mut rest = vec![0x80; length - 8];
            tag.into_iter().for_each(|tag| rest[0] = tag);
            framed(&rest)
        };
        let below = open(topic, &at(bytes_max)).map(drop).expect_err("it is nothing");
        assert!(matches!(below, EnvelopeError::Content(_)), "{below:?}");
        check(topic, &at(bytes_max + 1), EnvelopeError::TooLarge, false);
    };
    check_at(Topic::Consensus, Some(0), BLOCK_BYTES_MAX);
    check_at(Topic::Consensus, Some(1), DIFF_BYTES_MAX);
    check_at(Topic::Consensus, Some(2), DIFF_BYTES_MAX);
    check_at(Topic::Block, None, BLOCK_BYTES_MAX);
    check_at(Topic::Transactions, None, DIFF_BYTES_MAX);
    check_at(Topic::SnarkWork, None, DIFF_BYTES_MAX);
}

/// A diff that is told again has another nonce, so another id.
#[test]
fn a_nonce_makes_another_message() {
    let diff = SnarkDiff::Empty.encode();
    assert_eq!(seal_snark_work(&diff, 5), file(GOSSIPED_NOTHING));
    for nonce in [i64::MIN, -1, 0, 6, i64::MAX] {
        let data = seal_snark_work(&diff, nonce);
        let opened = open(Topic::Consensus, &data).expect("a diff");
        assert_eq!((opened.nonce, opened.content), (Some(nonce), Content::SnarkWork(SnarkDiff::Empty)));
    }
}
