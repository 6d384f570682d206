//! Numbers, strings and options are written as a stock codec writes them, and read only in that form.

use binprot::{BinProtRead as _, BinProtWrite, Nat0};
use polypeer_mina::binprot::{Binable, BinprotError, Fp, Fq, OneOrTwo, Reader, Text, Writer};
use proptest::prelude::*;

fn theirs(value: &impl BinProtWrite) -> Vec<u8> {
    let mut bytes = Vec::new();
    value.binprot_write(&mut bytes).expect("memory takes it");
    bytes
}

fn nat0(value: u64) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.nat0(value);
    writer.finish().to_vec()
}

#[track_caller]
fn check_int(value: i64) {
    let bytes = value.encode();
    assert_eq!(bytes, theirs(&value), "{value}");
    assert_eq!(i64::decode(&bytes), Ok(value));
    assert_eq!(u64::decode(&bytes), Ok(value.cast_unsigned()));
    let narrow = i32::try_from(value).map(i32::cast_unsigned).map_err(|_| BinprotError::Range);
    assert_eq!(u32::decode(&bytes), narrow);
}

#[track_caller]
fn check_nat0(value: u64) {
    let bytes = nat0(value);
    assert_eq!(bytes, theirs(&Nat0(value)), "{value}");
    assert_eq!(Reader::new(&bytes).nat0(), Ok(value));
}

#[test]
fn numbers_change_their_form_where_the_stock_codec_changes_it() {
    for power in 0..63 {
        for near in [-2, -1, 0, 1, 2] {
            check_int((1_i64 << power) + near);
            check_int(-(1_i64 << power) + near);
            check_nat0((1_u64 << power).wrapping_add_signed(near));
        }
    }
    [i64::MIN, i64::MAX].into_iter().for_each(check_int);
    check_nat0(u64::MAX);
}

proptest! {
    #[test]
    fn any_number_is_written_as_the_stock_codec_writes_it(value: i64) {
        check_int(value);
        check_nat0(value.cast_unsigned());
    }

    /// The stock codec takes what is longer than need be and writes it shorter; here it is refused.
    #[test]
    fn any_bytes_are_read_as_the_stock_codec_reads_them_if_they_are_shortest(bytes in prop::collection::vec(any::<u8>(), 0..10)) {
        let mut rest = &bytes[..];
        let theirs = i64::binprot_read(&mut rest).ok().map(|value| (value, bytes.len() - rest.len()));
        let mut reader = Reader::new(&bytes);
        let ours = reader.int();
        match ours {
            Ok(value) => prop_assert_eq!(theirs, Some((value, bytes.len() - reader.rest().len()))),
            Err(BinprotError::NotMinimal) => {
                let (value, length) = theirs.expect("they read it");
                prop_assert!(value.encode().len() < length);
            }
            // The reference has no number that begins so, and none below 0 in one byte that is not; the stock codec takes
            // both.
            Err(BinprotError::Number) => prop_assert!(theirs.is_none() || bytes[0] >= 0x80),
            Err(_) => prop_assert!(theirs.is_none()),
        }
    }

    #[test]
    fn strings_and_options_are_written_as_the_stock_codec_writes_them(text in "[ -~]{0,300}", number: i64) {
        let ours = Text::<1_000>::of(text.as_bytes()).expect("short");
        let bytes = theirs(&text);
        prop_assert_eq!(ours.encode(), &bytes);
        prop_assert_eq!(Text::<1_000>::decode(&bytes), Ok(ours));
        for option in [None, Some(number)] {
            let bytes = theirs(&option);
            prop_assert_eq!(option.encode(), &bytes);
            prop_assert_eq!(Option::<i64>::decode(&bytes), Ok(option));
        }
    }
}

/// The table of the spec.
#[test]
fn the_specs_examples_hold() {
    assert_eq!(u32::MAX.encode(), [0xff, 0xff].as_slice(), "the signed number of the same bits");
    assert_eq!((1_u64 << 63).encode()[0], 0xfc);
    assert_eq!(u64::decode(&(1_u64 << 63).encode()), Ok(1 << 63));
    assert_eq!(OneOrTwo::One(true).encode(), [0x8d, 0xa4, 0x78, 0x00, 1].as_slice());
    assert_eq!(OneOrTwo::Two(true, false).encode(), [0xd9, 0x4a, 0x80, 0x00, 1, 0].as_slice());
    assert_eq!(OneOrTwo::<bool>::decode(&[0xd9, 0x4a, 0x80, 0x01, 1, 0]), Err(BinprotError::Constructor));
    // The hash of a name, as the spec defines it.
    for (name, value) in [("One", OneOrTwo::One(true)), ("Two", OneOrTwo::Two(true, true))] {
        let hash =
            name.bytes().fold(0_u32, |hash, byte| hash.wrapping_mul(223).wrapping_add(byte.into()) & 0x7fff_ffff);
        assert_eq!(value.encode()[..4], (2 * hash + 1).to_le_bytes(), "{name}");
    }
}

#[test]
fn what_is_longer_than_need_be_is_refused() {
    for bytes in [&[0xfe, 0x7f, 0][..], &[0xfe, 0x80, 0xff], &[0xfd, 0, 0x10, 0, 0], &[0xfc, 1, 0, 0, 0, 0, 0, 0, 0]] {
        assert_eq!(i64::decode(bytes), Err(BinprotError::NotMinimal), "{bytes:?}");
    }
    for bytes in [&[0xfe, 0x7f, 0][..], &[0xfd, 0xff, 0xff, 0, 0], &[0xfc, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]] {
        assert_eq!(Reader::new(bytes).nat0(), Err(BinprotError::NotMinimal), "{bytes:?}");
    }
    for first in 0x80..=0xfb {
        assert_eq!(i64::decode(&[first, 0, 0]), Err(BinprotError::Number));
        assert_eq!(Reader::new(&[first, 0, 0]).nat0(), Err(BinprotError::Number));
    }
    assert_eq!(i64::decode(&[0xff, 0x01]), Err(BinprotError::Number), "not below 0");
    assert_eq!(Reader::new(&[0xff, 0x80]).nat0(), Err(BinprotError::Number), "no length is below 0");
}

#[test]
fn bools_units_and_options_have_two_forms_at_most() {
    for byte in 0..=u8::MAX {
        assert_eq!(bool::decode(&[byte]).ok(), [false, true].get(usize::from(byte)).copied());
        assert_eq!(<()>::decode(&[byte]).is_ok(), byte == 0);
        let bytes = if byte == 1 { vec![1, 0] } else { vec![byte] };
        let option = Option::<()>::decode(&bytes);
        assert_eq!(option.is_ok(), byte < 2);
    }
}

/// The moduli, and what is next to them. The two fields differ in the middle of the number only.
#[test]
fn elements_are_below_their_modulus() {
    let base = "01000000ed302d991bf94c09fc98462200000000000000000000000000000040";
    let scalar = "0100000021eb468cdda89409fc98462200000000000000000000000000000040";
    let bytes = |digits: &str| -> [u8; 32] { const_hex::decode(digits).expect("digits").try_into().expect("32") };
    let below = |mut bytes: [u8; 32]| {
        bytes[0] -= 1;
        bytes
    };
    assert_eq!(Fp::decode(&bytes(base)), Err(BinprotError::Element));
    assert_eq!(Fp::decode(&below(bytes(base))), Ok(Fp(below(bytes(base)))));
    assert_eq!(Fq::decode(&bytes(scalar)), Err(BinprotError::Element));
    assert_eq!(Fq::decode(&below(bytes(scalar))), Ok(Fq(below(bytes(scalar)))));
    assert!(Fq::decode(&bytes(base)).is_ok(), "the scalar field is the larger one");
    assert_eq!(Fp::decode(&[0xff; 32]), Err(BinprotError::Element));
    assert_eq!(Fp::decode(&[0; 31]), Err(BinprotError::Truncated));
}
