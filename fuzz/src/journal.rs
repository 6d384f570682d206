//! Breaks recordings: their entries.

use polypeer_engine::journal::{Head, Started, Stepped, entry, put, take};
use polypeer_engine::kit::chain::Answer;
use polypeer_hello::tracker;

/// Damage is found, and what reads as an entry is written to the same bytes again.
pub fn entries(input: &[u8]) {
    let Some((flag, bytes)) = input.split_first() else { return };
    let framed;
    let mut rest = if flag & 1 == 0 {
        bytes
    } else {
        framed = wrap(bytes);
        &framed
    };
    while let Ok((payload, length)) = entry(rest) {
        assert!(length >= 8 && length == payload.len() + 8);
        if let Ok(stepped) = take::<Stepped<Answer>>(payload) {
            let mut again = Vec::new();
            put(&stepped, &mut again).expect("it was an entry before");
            let (payload, _) = entry(&again).expect("what is written reads");
            assert_eq!(take::<Stepped<Answer>>(payload), Ok(stepped));
        }
        if let Ok(head) = Head::read(payload) {
            let mut again = Vec::new();
            put(&head, &mut again).expect("it was an entry before");
            let (payload, _) = entry(&again).expect("what is written reads");
            assert_eq!(Head::read(payload), Ok(head));
        }
        let _ = take::<Started<polypeer_anya::Config>>(payload);
        let _ = take::<Started<polypeer_hello::Config>>(payload);
        let _ = take::<Started<tracker::Config>>(payload);
        rest = &rest[length..];
    }
}

// The bytes as the payload of a whole entry, so that what is inside is reached.
fn wrap(bytes: &[u8]) -> Vec<u8> {
    let mut out = (bytes.len() as u32).to_be_bytes().to_vec();
    out.extend_from_slice(&blake3::hash(bytes).as_bytes()[..4]);
    out.extend_from_slice(bytes);
    out
}
