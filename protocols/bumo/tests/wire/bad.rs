//! Encodings that mean the same and are not the one that is hashed and signed, and encodings that mean nothing.

use super::fixtures::{hex, one};
use super::oracle;
use polypeer_bumo::wire::{
    AssetKey, Body, ConsensusValue, DEPTH_MAX, Envelope, Hello, LedgerUpgrade, Message, NewView, Pbft, PbftEnv, Peers,
    Ping, SetMetadata, Signature, Transaction, TransactionEnv, Validation, Vote, WireError,
};
use prost::Message as _;

fn refused<'a, T: Message<'a> + std::fmt::Debug>(bytes: &'a [u8]) -> WireError {
    T::decode(bytes).expect_err("refused")
}

/// One row for each way, with the right form beside it.
#[test]
fn a_signed_message_has_one_form() {
    use WireError::NotCanonical;
    let right = hex("0801 1002 220120".replace(' ', "").as_str());
    assert!(Vote::decode(&right).is_ok());
    let rows = [
        ("0801 1002 220120 2801", NotCanonical, "an unknown field behind"),
        ("0801 1002 220120 a20600", NotCanonical, "an unknown field with a large number"),
        ("1002 0801 220120", NotCanonical, "out of order"),
        ("0801 0801 1002 220120", NotCanonical, "the same field twice"),
        ("0801 1002 220120 220120", NotCanonical, "the same bytes twice"),
        ("0800 1002 220120", NotCanonical, "a number that is its default"),
        ("0801 1002 2200", NotCanonical, "bytes that are their default"),
        ("088100 1002 220120", NotCanonical, "a number that is not minimal"),
        ("08ff808080808080808000 1002", NotCanonical, "a number that is not minimal, at its longest"),
        ("0801 1002 22810020", NotCanonical, "a length that is not minimal"),
        ("888000 01 1002 220120", NotCanonical, "a key that is not minimal"),
        ("0a0101 1002 220120", NotCanonical, "a number packed"),
        ("0901000000000000000000", NotCanonical, "a number of fixed length"),
        ("0801 1002 220220", WireError::Truncated, "bytes that end early"),
        ("0801 10", WireError::Truncated, "a key alone"),
        ("0801 1080", WireError::Truncated, "half a number"),
        ("08ffffffffffffffffff02", WireError::Varint, "a number of 65 bits"),
        ("08ffffffffffffffffffff01", WireError::Varint, "a number of 77 bits"),
        ("0801 1002 22ffffffffffffffffff01", WireError::Truncated, "a length beyond memory"),
    ];
    for (digits, error, what) in rows {
        assert_eq!(refused::<Vote<'_>>(&hex(&digits.replace(' ', ""))), error, "{what}");
    }
}

#[test]
fn strings_are_utf8_in_signed_and_other_messages() {
    assert_eq!(refused::<Signature<'_>>(&hex("0a02c328")), WireError::Utf8);
    assert_eq!(refused::<LedgerUpgrade<'_>>(&hex("1201ff")), WireError::Utf8);
    assert_eq!(refused::<Hello<'_>>(&hex("2202c328")), WireError::Utf8);
    assert_eq!(refused::<polypeer_bumo::wire::Log<'_>>(&hex("1201ff")), WireError::Utf8);
}

#[test]
fn numbers_keep_to_their_types() {
    // 2^31, which a stock reader cuts to a negative number and writes otherwise.
    assert_eq!(refused::<AssetKey<'_>>(&hex("188080808008")), WireError::NotCanonical);
    assert_eq!(AssetKey::decode(&hex("18ffffffffffffffffff01")).map(|key| key.kind), Ok(-1));
    assert_eq!(AssetKey::decode(&hex("18ffffffff07")).map(|key| key.kind), Ok(i32::MAX));
    assert_eq!(refused::<AssetKey<'_>>(&hex("18ffffffff0f")), WireError::NotCanonical);
    assert_eq!(SetMetadata::decode(&hex("2001")).map(|one| one.delete_flag), Ok(true));
    assert_eq!(refused::<SetMetadata<'_>>(&hex("2002")), WireError::NotCanonical);
}

#[test]
fn lists_of_numbers_are_packed() {
    let right = hex("0a03000102");
    let read = Validation::decode(&right).expect("a list");
    assert_eq!(read.expire_tx_ids.iter().collect::<Vec<_>>(), [0, 1, 2]);
    assert!(read.error_tx_ids.is_empty());
    assert_eq!(refused::<Validation<'_>>(&hex("0800")), WireError::NotCanonical);
    assert_eq!(refused::<Validation<'_>>(&hex("08010802")), WireError::NotCanonical);
    assert_eq!(refused::<Validation<'_>>(&hex("0a00")), WireError::NotCanonical);
    assert_eq!(refused::<Validation<'_>>(&hex("0a028100")), WireError::NotCanonical);
    assert_eq!(refused::<Validation<'_>>(&hex("0a0181")), WireError::Truncated);
    assert_eq!(refused::<Validation<'_>>(&hex("0a01010a0102")), WireError::NotCanonical);
}

#[test]
fn an_empty_message_that_is_present_stays() {
    for digits in ["0a00", "", "3a00"] {
        let bytes = hex(digits);
        let value = ConsensusValue::decode(&bytes).expect("a value");
        assert_eq!(value.encode(), bytes);
    }
    assert!(ConsensusValue::decode(&hex("0a00")).expect("a value").txset.is_some());
    assert!(ConsensusValue::decode(&[]).expect("a value").txset.is_none());
}

#[test]
fn a_list_is_in_one_piece() {
    let transaction = "0a0161 3a020807 3a020808 4001".replace(' ', "");
    assert!(Transaction::decode(&hex(&transaction)).is_ok());
    let apart = "0a0161 3a020807 4001 3a020808".replace(' ', "");
    assert_eq!(refused::<Transaction<'_>>(&hex(&apart)), WireError::NotCanonical);
}

/// A message inside is held to the same, however deep.
#[test]
fn what_is_not_canonical_deep_inside_is_found() {
    let fixture = one("pbft_viewchange_raw_v5_prepared_r0");
    let mut bytes = fixture.data().to_vec();
    assert!(PbftEnv::decode(&bytes).is_ok());
    // The chain's number of the last inner prepare, present with its default: two bytes more for four lengths around.
    let last = innermost(&bytes);
    bytes.splice(last..last, [0x48, 0x00]);
    assert!(PbftEnv::decode(&bytes).is_err());
}

// The place behind the last inner pbft.
fn innermost(data: &[u8]) -> usize {
    let Body::RawViewChange(raw) = PbftEnv::decode(data).expect("one").pbft.expect("one").message.body else {
        panic!("a view change")
    };
    let prepare = raw.prepared_set.expect("a set").prepares.iter().last().expect("a prepare");
    let pbft = prepare.open().expect("one").pbft.expect("one").bytes;
    pbft.as_ptr() as usize - data.as_ptr() as usize + pbft.len()
}

#[test]
fn a_transaction_in_a_value_is_held_to_it_when_it_is_asked_for() {
    let bytes = hex("0a04 1202 4801".replace(' ', "").as_str());
    let value = ConsensusValue::decode(&bytes).expect("a value whose transactions nobody looked at");
    assert_eq!(value.check_transactions(), Err(WireError::NotCanonical));
    assert_eq!(TransactionEnv::decode(value.transactions().next().expect("one")), Err(WireError::NotCanonical));
}

/// What is not signed may come as a newer node sends it, or a careless one.
#[test]
fn other_messages_may_have_any_form() {
    assert_eq!(Ping::decode(&hex("088100")), Ok(Ping { nonce: 1 }));
    assert_eq!(Ping::decode(&hex("08010802")), Ok(Ping { nonce: 2 }));
    assert_eq!(Ping::decode(&hex("0800")), Ok(Ping::default()));
    assert_eq!(
        Ping::decode(&hex("5005 5a0161 5d00000000 590000000000000000 5b 0801 5c 0803".replace(' ', "").as_str())),
        Ok(Ping { nonce: 3 })
    );
    let bytes = hex("2201ff08011005");
    let envelope = Envelope::decode(&bytes).expect("out of order");
    assert_eq!((envelope.number, envelope.is_request, envelope.data), (1, true, &[0xff][..]));
    for (digits, error) in [
        ("ff", WireError::Truncated),
        ("00", WireError::Key),
        ("0a01", WireError::Form),
        ("0e", WireError::Key),
        ("0c", WireError::Key),
        ("5b", WireError::Truncated),
        ("5b64", WireError::Key),
        ("5d0000", WireError::Truncated),
        ("8080808080808080808002", WireError::Varint),
    ] {
        assert!(Ping::decode(&hex(digits)).is_err(), "{digits}: {error}");
    }
    assert_eq!(refused::<Ping>(&hex("0a0161")), WireError::Form);
    assert_eq!(refused::<Peers<'_>>(&hex("0801")), WireError::Form);
    assert_eq!(refused::<Envelope<'_>>(&hex("2001")), WireError::Form);
}

#[test]
fn groups_are_skipped_to_a_depth() {
    let groups = |depth: usize| [vec![0x5b; depth], vec![0x5c; depth]].concat();
    assert_eq!(Ping::decode(&groups(100)), Ok(Ping::default()));
    assert_eq!(Ping::decode(&groups(101)), Err(WireError::TooDeep));
    assert!(Ping::decode(&vec![0x5b; 10_000_000]).is_err());
}

/// New views in new views, as deep as told.
fn nested(levels: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..levels {
        // Outwards: a pbft holds a new view, an envelope the pbft, a new view the envelope.
        for key in [0x3a, 0x0a, 0x2a] {
            bytes = wrapped(key, &bytes);
        }
    }
    bytes
}

fn wrapped(key: u8, inner: &[u8]) -> Vec<u8> {
    let mut outer = vec![key];
    let mut length = inner.len();
    while length > 0x7f {
        outer.push(length as u8 | 0x80);
        length >>= 7;
    }
    outer.push(length as u8);
    [&outer, inner].concat()
}

/// As deep as a stock reader goes, and not one deeper.
#[test]
fn messages_are_nested_to_a_depth() {
    assert_eq!(DEPTH_MAX, 100);
    // A pbft with a new view, then 33 times three messages: 100 inside.
    let pbft = wrapped(0x3a, &nested(33));
    assert!(Pbft::decode(&pbft).is_ok());
    assert!(oracle::Pbft::decode(pbft.as_slice()).is_ok());
    let envelope = wrapped(0x0a, &pbft);
    assert_eq!(refused::<PbftEnv<'_>>(&envelope), WireError::TooDeep);
    assert!(oracle::PbftEnv::decode(envelope.as_slice()).is_err());
    assert_eq!(refused::<NewView<'_>>(&nested(2_000)), WireError::TooDeep);
    let endless = [&[0x3a, 0x80, 0x80, 0x80, 0x04][..], &vec![0x2a; 8 << 20]].concat();
    assert!(Pbft::decode(&endless).is_err());
}
