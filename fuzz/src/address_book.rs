//! Breaks address books as `polypeer addresses import` reads them.

use crate::api;
use polypeer::book_file::{self, BookFileError};

/// Any bytes are a book or an error with its place. A book is written to the same entries again, and a node takes all
/// that the file may hold.
pub fn book(input: &[u8]) {
    let entries = match book_file::parse(input) {
        Ok(entries) => entries,
        Err(BookFileError::Damaged(error)) => {
            assert!(error.line() <= 1 + input.iter().filter(|byte| **byte == b'\n').count());
            assert!(error.to_string().contains(" at line "), "{error}");
            return;
        }
        Err(BookFileError::Version(_)) => return,
        Err(error) => panic!("nothing else is wrong with so few bytes: {error}"),
    };
    let text = book_file::text(&entries).expect("entries have an encoding");
    assert_eq!(book_file::parse(text.as_bytes()).expect("what is written reads"), entries);
    assert!(api::imports(&entries), "the file's rules are looser than the node's");
}

/// Books as people and programs write them.
pub fn written() -> Vec<(&'static str, Vec<u8>)> {
    let full = r#"{"version":1,"addresses":[
{"address":"10.0.0.1:7000","proven":true,"source":"10.0.0.9","last_tried":1767225600000,"tried":true,"last_seen":1767225600000,"last_success":1767225600000,"failures":0},
{"address":"[2001:db8::1]:7000","proven":false,"source":null,"last_tried":null,"tried":false,"last_seen":null,"last_success":null,"failures":3}
]}
"#;
    let short =
        r#"{"version":1,"addresses":[{"address":"10.0.0.1:7000","proven":false,"source":null,"last_tried":null}]}"#;
    vec![("full", full.into()), ("short", short.into()), ("empty", br#"{"version":1,"addresses":[]}"#.to_vec())]
}
