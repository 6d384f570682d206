//! What is cut short, lacks a field, has one too many or one of another form.

use super::edit::{append, delimited, number, value, with, without};
use super::fixtures::{all, body, open};
use super::reread::reread;
use bytes::Bytes;
use polypeer_kaspa::wire::{Kind, WireError};

/// Bodies up to here are cut at every byte; longer ones repeat what the shorter have, and are cut at some.
const CUT_EVERYWHERE_MAX: usize = 16 << 10;

#[test]
fn an_envelope_cut_anywhere_is_refused_or_only_lacks_an_id() {
    for fixture in all() {
        let whole = fixture.envelope();
        for end in 0..fixture.payload.len() {
            match open(&fixture.payload[..end]) {
                Err(WireError::Truncated | WireError::NoPayload) => {}
                Ok(cut) => assert_eq!((&cut.body, cut.kind), (&whole.body, whole.kind), "{} at {end}", fixture.name),
                Err(wrong) => panic!("{} at {end}: {wrong}", fixture.name),
            }
        }
    }
}

#[test]
fn a_body_cut_anywhere_is_refused_or_a_shorter_message() {
    for fixture in all() {
        let envelope = fixture.envelope();
        let step = if envelope.body.len() > CUT_EVERYWHERE_MAX { 401 } else { 1 };
        for end in (0..envelope.body.len()).step_by(step) {
            let cut = envelope.body.slice(..end);
            if let Ok(again) = reread(envelope.kind, &cut) {
                assert_eq!(again, cut, "{} at {end}", fixture.name);
            }
        }
    }
}

#[test]
fn a_turned_bit_is_refused_or_another_message() {
    for fixture in all() {
        let envelope = fixture.envelope();
        if envelope.body.len() > CUT_EVERYWHERE_MAX {
            continue;
        }
        let step = (envelope.body.len() / 300).max(1);
        for at in (0..envelope.body.len()).step_by(step) {
            for bit in [0x01, 0x02, 0x80] {
                let mut bytes = envelope.body.to_vec();
                bytes[at] ^= bit;
                if let Ok(again) = reread(envelope.kind, &bytes.into()) {
                    assert_eq!(reread(envelope.kind, &again), Ok(again), "{} at {at}", fixture.name);
                }
            }
        }
    }
}

#[track_caller]
fn check(name: &str, change: impl Fn(&[u8]) -> Vec<u8>, expected: Result<(), WireError>) {
    let envelope = super::fixtures::one(name).envelope();
    let changed = Bytes::from(change(&envelope.body));
    assert_eq!(reread(envelope.kind, &changed).map(drop), expected, "{name}");
}

#[test]
fn what_is_required_is_missed() {
    let missing: [(&str, &[&[u32]]); 21] = [
        ("inv_relay_block_sink", &[&[1]]),
        ("transaction_not_found", &[&[1]]),
        ("request_block_locator", &[&[1]]),
        ("request_headers", &[&[1], &[2]]),
        ("request_antipast", &[&[1], &[2]]),
        ("block_with_txs", &[&[1], &[1, 3], &[1, 4], &[1, 5], &[1, 14], &[2, 5]]),
        ("block_empty", &[&[1], &[1, 3], &[1, 4], &[1, 5], &[1, 14], &[2, 5]]),
        ("ibd_block_with_txs", &[&[1], &[1, 14], &[2, 5]]),
        ("block_body_with_txs", &[&[1, 5]]),
        ("transaction_v0_1in_1out", &[&[2, 1], &[2, 1, 1], &[3, 2], &[5]]),
        ("transaction_v1_lane_payload", &[&[2, 1], &[2, 1, 1], &[3, 2], &[5]]),
        ("transaction_v0_2in_payload", &[&[2, 1], &[5]]),
        ("block_headers_batch", &[&[1, 3], &[1, 4], &[1, 5], &[1, 14]]),
        ("proof_chunk_level_0", &[&[1, 3], &[1, 4], &[1, 5], &[1, 14]]),
        ("pruning_points", &[&[1, 3], &[1, 14]]),
        ("v10_pruning_point_proof", &[&[1, 1, 3], &[1, 1, 14]]),
        ("trusted_data_chunk", &[&[1, 1], &[1, 2], &[1, 1, 3], &[1, 2, 3], &[1, 2, 6, 1]]),
        ("v10_trusted_data", &[&[1, 1], &[1, 2], &[1, 2, 3], &[2, 1], &[2, 2], &[2, 2, 3]]),
        ("block_with_trusted_data_full", &[&[1], &[1, 1], &[1, 1, 14], &[1, 2, 5]]),
        ("block_with_trusted_data_header_only", &[&[1], &[1, 1]]),
        ("utxo_chunk_full", &[&[1, 1], &[1, 1, 1], &[1, 2], &[1, 2, 2]]),
    ];
    for (name, paths) in missing {
        for path in paths {
            check(name, |body| without(body, path), Err(WireError::MissingField));
        }
    }
}

#[test]
fn what_is_absent_and_not_required_is_its_default() {
    let optional: [(&str, &[&[u32]]); 14] = [
        ("version", &[&[1], &[3], &[6], &[10]]),
        ("pong_nonce_max", &[&[1]]),
        ("reject_timeout", &[&[1]]),
        ("addresses_1000", &[&[1], &[1, 4]]),
        ("request_ibd_chain_block_locator_zoom", &[&[1], &[2]]),
        ("request_block_locator", &[&[2]]),
        ("block_locator_9", &[&[1]]),
        ("block_with_txs", &[&[1, 1], &[1, 6], &[1, 7], &[1, 9], &[1, 10], &[1, 13], &[2], &[2, 1], &[2, 8]]),
        ("transaction_v0_2in_payload", &[&[2], &[3], &[4], &[8], &[2, 2], &[3, 1], &[3, 2, 1]]),
        ("transaction_v0_storage_mass", &[&[9]]),
        ("trusted_data_chunk", &[&[1, 2, 1], &[1, 2, 2], &[1, 2, 4], &[1, 2, 6]]),
        ("utxo_chunk_full", &[&[1], &[1, 2, 1], &[1, 2, 3], &[1, 2, 4]]),
        ("utxo_chunk_last", &[&[1, 1, 2]]),
        ("smt_lane_chunk", &[&[1], &[1, 2], &[1, 3]]),
    ];
    for (name, paths) in optional {
        for path in paths {
            check(name, |body| without(body, path), Ok(()));
        }
    }
}

#[test]
fn arrays_have_their_length() {
    let arrays: [(&str, &[&[u32]]); 14] = [
        ("inv_relay_block_sink", &[&[1, 1]]),
        ("inv_transactions_many", &[&[1, 1]]),
        ("transaction_not_found", &[&[1, 1]]),
        ("request_block_locator", &[&[1, 1]]),
        ("request_headers", &[&[1, 1], &[2, 1]]),
        ("request_ibd_chain_block_locator_zoom", &[&[1, 1], &[2, 1]]),
        ("request_block_bodies", &[&[1, 1]]),
        ("ibd_chain_block_locator", &[&[1, 1]]),
        ("block_4_parents", &[&[1, 3, 1], &[1, 4, 1], &[1, 5, 1], &[1, 14, 1], &[1, 12, 1, 1]]),
        ("transaction_v0_1in_1out", &[&[2, 1, 1, 1]]),
        ("trusted_data_chunk", &[&[1, 2, 3, 1], &[1, 2, 4, 1], &[1, 2, 6, 1, 1]]),
        ("utxo_chunk_full", &[&[1, 1, 1, 1]]),
        ("smt_metadata", &[&[1]]),
        ("smt_lane_chunk", &[&[1, 1]]),
    ];
    for (name, paths) in arrays {
        for path in paths {
            for length in [0, 1, 20, 31, 33, 63, 65, 95, 97, 128] {
                check(name, |body| with(body, path, &vec![7; length]), Err(WireError::SliceLength));
            }
            check(name, |body| without(body, path), Err(WireError::SliceLength));
        }
    }
    for length in [0, 19, 21, 32] {
        let wrong = Err(WireError::SubnetworkLength);
        check("transaction_v1_native", |body| with(body, &[5, 1], &vec![7; length]), wrong);
        check("version", |body| append(body, &[], &delimited(9, &delimited(1, &vec![7; length]))), wrong);
        check("request_addresses", |body| append(body, &[], &delimited(2, &delimited(1, &vec![7; length]))), wrong);
    }
}

#[test]
fn unknown_fields_are_skipped_wherever_they_are() {
    // A varint, eight bytes, bytes, a group with all of these in it, four bytes, of numbers that nothing has.
    let unknown = [
        &[0x98, 0x06, 0xff, 0x01][..],
        &[0x99, 0x06, 1, 2, 3, 4, 5, 6, 7, 8],
        &[0x9a, 0x06, 2, 9, 9],
        &[
            0x9b, 0x06, 0x9b, 0x06, 0x9c, 0x06, 0x98, 0x06, 1, 0x9a, 0x06, 1, 9, 0x99, 0x06, 1, 2, 3, 4, 5, 6, 7, 8,
            0x9c, 0x06,
        ],
        &[0x9d, 0x06, 1, 2, 3, 4],
    ]
    .concat();
    for fixture in all() {
        let envelope = fixture.envelope();
        let longer = open(&[&unknown, &fixture.payload[..], &unknown].concat()).expect("skipped");
        assert_eq!(longer, envelope, "{}", fixture.name);
        let longer = Bytes::from([&unknown, &envelope.body[..], &unknown].concat());
        assert_eq!(reread(envelope.kind, &longer), Ok(envelope.body), "{}", fixture.name);
    }
    let nested: [(&str, &[&[u32]]); 7] = [
        ("block_with_txs", &[&[1], &[1, 3], &[1, 12], &[1, 12, 1], &[2], &[2, 5]]),
        ("transaction_v0_2in_payload", &[&[2], &[2, 1], &[2, 1, 1], &[3], &[3, 2]]),
        ("inv_transactions_many", &[&[1]]),
        ("addresses_1000", &[&[1]]),
        ("trusted_data_chunk", &[&[1], &[1, 2], &[1, 2, 6]]),
        ("utxo_chunk_full", &[&[1], &[1, 1], &[1, 2], &[1, 2, 2]]),
        ("smt_lane_chunk", &[&[1]]),
    ];
    for (name, paths) in nested {
        let envelope = super::fixtures::one(name).envelope();
        for path in paths {
            let longer = append(&envelope.body, path, &unknown).into();
            assert_eq!(reread(envelope.kind, &longer).as_ref(), Ok(&envelope.body), "{name} {path:?}");
        }
    }
}

#[test]
fn fields_of_another_form_are_refused() {
    for fixture in all() {
        let envelope = fixture.envelope();
        if envelope.body.is_empty() {
            continue;
        }
        let first = u32::from(envelope.body[0] >> 3);
        let is_number = envelope.body[0] & 7 == 0;
        let other = if is_number { delimited(first, &[1]) } else { number(&[], &[], first, 1) };
        let wrong = append(&envelope.body, &[], &other).into();
        assert_eq!(reread(envelope.kind, &wrong), Err(WireError::WireType), "{}", fixture.name);
        let fixed = [&envelope.body[..], &[(first << 3 | 5) as u8, 0, 0, 0, 0]].concat().into();
        assert_eq!(reread(envelope.kind, &fixed), Err(WireError::WireType), "{}", fixture.name);
    }
    check("block_with_txs", |body| append(body, &[], &[0x10, 1]), Err(WireError::WireType));
    check(
        "block_with_trusted_data_full",
        |body| append(body, &[], &[0x10, 1, 0x12, 2, 1, 0x81]),
        Err(WireError::Truncated),
    );
    check("block_with_trusted_data_full", |body| append(body, &[], &[0x10, 1, 0x1a, 2, 1, 1]), Ok(()));
    check("block_with_trusted_data_full", |body| append(body, &[], &[0x15, 1, 1, 1, 1]), Err(WireError::WireType));
}

#[test]
fn a_single_message_that_comes_twice_is_refused() {
    let twice: [(&str, &[u32]); 12] = [
        ("inv_relay_block_sink", &[1]),
        ("request_headers", &[2]),
        ("request_block_locator", &[1]),
        ("block_with_txs", &[1]),
        ("block_with_txs", &[1, 3]),
        ("block_with_txs", &[1, 14]),
        ("transaction_v1_native", &[5]),
        ("transaction_v1_native", &[2, 1]),
        ("transaction_v1_native", &[2, 1, 1]),
        ("transaction_v1_native", &[3, 2]),
        ("trusted_data_chunk", &[1, 1]),
        ("utxo_chunk_full", &[1, 2]),
    ];
    for (name, path) in twice {
        let (last, above) = path.split_last().expect("a path");
        let again = |body: &[u8]| append(body, above, &delimited(*last, value(body, path)));
        check(name, again, Err(WireError::Repeated));
    }
}

#[test]
fn of_a_scalar_the_last_counts() {
    let locator = body("request_block_locator");
    let changed = number(&number(&locator, &[], 2, 5), &[], 2, 9).into();
    assert_eq!(reread(Kind::RequestBlockLocator, &changed), Ok(locator));
}

#[test]
fn broken_protobuf_is_told_apart() {
    for (bytes, wrong) in [
        (&[0x80][..], WireError::Truncated),
        (&[0x08, 0x80], WireError::Truncated),
        (&[0x0a, 5, 1], WireError::Truncated),
        (&[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], WireError::Truncated),
        (&[0x0d, 1, 2, 3], WireError::Truncated),
        (&[0x09, 1, 2, 3, 4, 5, 6, 7], WireError::Truncated),
        (&[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02], WireError::Varint),
        (&[0x08, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00], WireError::Varint),
        (&[0x00, 1], WireError::Key),
        (&[0x0e], WireError::Key),
        (&[0x0f], WireError::Key),
        (&[0x80, 0x80, 0x80, 0x80, 0x10, 1], WireError::Key),
        (&[0x0c], WireError::Group),
        (&[0x0b, 0x14], WireError::Group),
        (&[0x0b], WireError::Truncated),
    ] {
        let body = Bytes::copy_from_slice(bytes);
        assert_eq!(reread(Kind::Verack, &body), Err(wrong), "{bytes:x?}");
        // Behind a payload, because field 1 is one.
        assert_eq!(open(&[&[0x9a, 1, 0][..], bytes].concat()).map(drop), Err(wrong), "{bytes:x?}");
        assert!(wrong.is_silent());
    }
    let deep = |depth: usize| Bytes::from([vec![0x0b; depth], vec![0x0c; depth]].concat());
    assert_eq!(reread(Kind::Verack, &deep(100)), Ok(Bytes::new()));
    assert_eq!(reread(Kind::Verack, &deep(101)), Err(WireError::Group));
    assert_eq!(reread(Kind::Reject, &vec![0x0a, 2, 0xff, 0xfe].into()), Err(WireError::Utf8));
}
