//! What a real node wrote is written the same.

use super::fixtures::{Fixture, all, body, conversation, framed, open};
use super::reread::reread;
use bytes::Bytes;
use polypeer_engine::Frame;
use polypeer_kaspa::wire::*;

#[track_caller]
fn check(name: &str, payload: &Bytes) {
    let envelope = open(payload).unwrap_or_else(|wrong| panic!("{name}: {wrong}"));
    let again = reread(envelope.kind, &envelope.body).unwrap_or_else(|wrong| panic!("{name}: {wrong}"));
    assert_eq!(again, envelope.body, "{name}");
    let frame = pack(envelope.kind, &again, envelope.request_id, envelope.response_id);
    assert_eq!(frame.slice(PREFIX_BYTES..), payload, "{name}");
}

#[test]
fn every_fixture_is_written_as_it_came() {
    let fixtures = all();
    assert_eq!(fixtures.len(), 71);
    for Fixture { name, payload, facts } in &fixtures {
        check(name, payload);
        let envelope = open(payload).expect("checked");
        assert!(facts["kind"].as_str().expect("a kind").eq_ignore_ascii_case(envelope.kind.name()), "{name}");
        assert_eq!(facts["request_id"], envelope.request_id, "{name}");
        assert_eq!(facts["response_id"], envelope.response_id, "{name}");
    }
}

#[test]
fn every_message_of_the_conversations_is_written_as_it_came() {
    for (name, count) in [("conversation_headers_proof.bin", 1282), ("conversation_catch_up.bin", 862)] {
        let messages = conversation(name);
        assert_eq!(messages.len(), count);
        messages.iter().for_each(|payload| check(name, payload));
    }
}

#[test]
fn kinds_have_the_numbers_and_the_names_of_the_texts() {
    assert_eq!(Kind::ALL.len(), 67 - 14);
    for kind in Kind::ALL {
        assert_eq!(Kind::from_number(kind.number()), Some(*kind));
        assert!(kind.bytes_max() <= SYNCING_BYTES_MAX, "{}", kind.name());
    }
    assert_eq!(Kind::ALL.iter().filter(|kind| kind.number() > 67).count(), 0);
    for unused in [0, 4, 7, 8, 9, 11, 18, 23, 24, 28, 29, 32, 38, 39, 62, 68, 101, 102, 200, 1001] {
        assert_eq!(Kind::from_number(unused), None);
    }
    let reason = body("reject_unexpected_type");
    let text = format!(
        "expected message type/s Payload::{} but got Some({})",
        Kind::RequestHeaders.name(),
        Kind::RequestNextHeaders.name()
    );
    assert_eq!(Reject::decode(&reason).expect("a reject").reason, text);
}

#[test]
fn a_body_is_a_slice_of_its_frame() {
    for fixture in all() {
        let frame = framed(0, &fixture.payload);
        let body = unpack(Frame::from(&frame)).expect("a fixture").body;
        assert!(body.is_empty() || frame.as_ptr_range().contains(&body.as_ptr()), "{}", fixture.name);
    }
}
