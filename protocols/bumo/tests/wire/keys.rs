//! Keys, addresses and their texts (section 4.1 of the BUMO spec).

use super::fixtures::hex;
use polypeer_bumo::keys::{KeyError, PrivateKey, PublicKey, ReadyKey, Scheme, address_of, read_address};

const PRIVATE: &str = "privbsGZFUoRv8aXZbSGd3bwzZWFn3L5QKq74RXAQYcmfXhhZ54CLr9z";
const PUBLIC: &str = "b00115764cd017e0da753271fa26cd529451a21b8253d001f0d43612e19ec632570a74ab166b";
const ADDRESS: &str = "buQmWJrdYJP5CPKTbkQUqscwvTGaU44dord8";

const SM2_PRIVATE: &str = "privC973KegP7ucsHw4uPGRdSCgYuywAtEr52CmG6wWiyXHmUwZh1fBs";
const SM2_PUBLIC: &str = "b0020402f2cb1a2e4b2193c5bd0617bf83e2ec4db2cab2791e71737a629b6bb146ac92a9499d9ff9742cae49a7856f2b\
    8389ac9ab0094e96fba366757485a02eb815e35c5bf394";
const SM2_ADDRESS: &str = "buRHchQTBRucwX2EWDSofBJN5FbeTwQ4ePE6";

#[test]
fn texts_of_an_ed25519_key() {
    let key = PrivateKey::parse(PRIVATE).expect("a key");
    assert_eq!(key.reveal(), PRIVATE);
    let secret = hex("11ec18b7cffacfb46c57e027bd63f6558a78ec4ee4e929c07c6d9c68eb42c218");
    assert_eq!(
        PrivateKey::new(Scheme::Ed25519, secret.try_into().expect("32 bytes")).expect("a key").reveal(),
        PRIVATE
    );
    let public = key.public();
    assert_eq!(public.raw(), hex("15764cd017e0da753271fa26cd529451a21b8253d001f0d43612e19ec632570a"));
    assert_eq!((public.text().as_str(), public.address().as_str()), (PUBLIC, ADDRESS));
    assert_eq!(PublicKey::parse(PUBLIC), Ok(public));
    assert_eq!(PublicKey::parse(&PUBLIC.to_uppercase()), Ok(public));
    assert_eq!(format!("{key:?}"), format!("PrivateKey of {ADDRESS}"));
}

#[test]
fn texts_of_an_sm2_key() {
    let key = PrivateKey::parse(SM2_PRIVATE).expect("a key");
    assert_eq!(key.reveal(), SM2_PRIVATE);
    let public = key.public();
    assert_eq!((public.text().as_str(), public.address().as_str()), (SM2_PUBLIC, SM2_ADDRESS));
    assert_eq!(PublicKey::parse(SM2_PUBLIC), Ok(public));
    let mut signature = key.sign(b"message");
    assert!(public.verify(b"message", &signature));
    assert!(!public.verify(b"massage", &signature));
    assert!(!public.verify(b"message", &signature[..63]));
    signature[40] ^= 1;
    assert!(!public.verify(b"message", &signature));
}

#[test]
fn addresses_of_what_is_no_key() {
    let told = [
        "buQtxgoaDrVJGtoPT66YnA2S84yE8FbBqQDJ",
        "buQiQgRerQM1fUM3GkqUftpNxGzNg2AdJBpe",
        "buQqzdS9YSnokDjvzg4YaNatcFQfkgXqk6ss",
        "buQcHGxxpPDBcPKys8cD5NY1CAiyAfFBjgtg",
    ];
    for (raw, address) in ["1", "2", "3", "4"].iter().zip(told) {
        assert_eq!(address_of(Scheme::Ed25519, raw.as_bytes()), address);
        assert!(read_address(address).is_ok());
    }
}

#[test]
fn an_address_gives_its_bytes() {
    let bytes = read_address(ADDRESS).expect("an address");
    assert!(bytes.starts_with(&[0x01, 0x56, 1]));
    assert!(read_address(SM2_ADDRESS).expect("an address").starts_with(&[0x01, 0x56, 2]));
}

/// A text with one character changed to any other is none.
#[test]
fn a_changed_character_is_found() {
    let check = |text: &str, read: &dyn Fn(&str) -> bool| {
        assert!(read(text), "{text}");
        for place in 0..text.len() {
            for other in ["1", "b", "B", "z", "0", "O", " ", "é", ""] {
                let changed = format!("{}{other}{}", &text[..place], &text[place + 1..]);
                if !changed.eq_ignore_ascii_case(text) {
                    assert!(!read(&changed), "{changed}");
                }
            }
        }
        assert!(!read(&format!("{text}1")) && !read(&format!("1{text}")) && !read(&text.repeat(1000)));
    };
    check(ADDRESS, &|text| read_address(text).is_ok());
    check(SM2_ADDRESS, &|text| read_address(text).is_ok());
    check(PRIVATE, &|text| PrivateKey::parse(text).is_ok());
    check(PUBLIC, &|text| PublicKey::parse(text).is_ok());
    check(SM2_PUBLIC, &|text| PublicKey::parse(text).is_ok());
}

#[test]
fn each_thing_that_a_text_is_not() {
    assert_eq!(read_address(PRIVATE), Err(KeyError::Prefix));
    assert_eq!(read_address("0"), Err(KeyError::Text));
    assert_eq!(read_address(""), Err(KeyError::Length));
    assert_eq!(PublicKey::parse("b0"), Err(KeyError::Length));
    assert_eq!(PublicKey::parse("b001157"), Err(KeyError::Length));
    assert_eq!(PublicKey::parse(&PUBLIC.replace("b001", "b003")), Err(KeyError::Scheme));
    assert_eq!(PublicKey::parse(&PUBLIC.replace("b001", "b101")), Err(KeyError::Prefix));
    assert_eq!(PublicKey::parse(&PUBLIC.replace("166b", "166c")), Err(KeyError::Checksum));
    assert!(matches!(PrivateKey::new(Scheme::Sm2, [0; 32]), Err(KeyError::Secret)));
    assert!(matches!(PrivateKey::new(Scheme::Sm2, [0xff; 32]), Err(KeyError::Secret)));
    assert!(PrivateKey::new(Scheme::Ed25519, [0xff; 32]).is_ok());
}

/// The order of the group, little-endian: what `s` is counted modulo.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// What the original takes and the common strict rule does not: `s` that is not reduced.
#[test]
fn signatures_are_judged_as_the_original_judges_them() {
    let key = PrivateKey::parse(PRIVATE).expect("a key");
    let signature = key.sign(b"message");
    let mut larger = signature;
    let mut carry = 0;
    for (byte, add) in larger[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        (*byte, carry) = (sum as u8, sum >> 8);
    }
    let ready = ReadyKey::new(key.public());
    assert!(key.public().verify(b"message", &larger) && ready.verify(b"message", &larger));
    assert!(ready.verify(b"message", &signature) && !ready.verify(b"massage", &signature));
    assert!(!ready.verify(b"message", &signature[..63]) && !ready.verify(b"message", &[7; 64]));
    let strict = ed25519_dalek::VerifyingKey::from_bytes(key.public().raw().try_into().expect("32 bytes"));
    let strict = strict.expect("a key");
    assert!(strict.verify_strict(b"message", &ed25519_dalek::Signature::from_bytes(&larger)).is_err());
    assert!(strict.verify_strict(b"message", &ed25519_dalek::Signature::from_bytes(&signature)).is_ok());
    // But not one with a bit that no reduced number comes near to.
    larger[63] |= 0x20;
    assert!(!key.public().verify(b"message", &larger) && !ready.verify(b"message", &larger));
}

#[test]
fn a_key_that_is_on_no_curve_verifies_nothing() {
    let key = PrivateKey::parse(PRIVATE).expect("a key");
    let signature = key.sign(b"message");
    let verifies =
        |key: &PublicKey| key.verify(b"message", &signature) || ReadyKey::new(*key).verify(b"message", &signature);
    let nowhere = (0..=255).map(|byte| PublicKey::Ed25519([byte; 32])).find(verifies);
    assert_eq!(nowhere, None);
    assert!(!verifies(&PublicKey::Sm2([4; 65])));
    let sm2 = PrivateKey::new(Scheme::Sm2, [7; 32]).expect("a key");
    let (ready, signature) = (ReadyKey::new(sm2.public()), sm2.sign(b"message"));
    assert!(ready.verify(b"message", &signature) && !ready.verify(b"massage", &signature));
    assert!(!PublicKey::Sm2([0; 65]).verify(b"message", &[0; 64]));
}
