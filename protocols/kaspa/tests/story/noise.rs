//! Rejects, and what is no message at all (Kaspa spec, sections 2.1 and 4.8).

use crate::make;
use crate::stage::*;
use bytes::{BufMut, Bytes, BytesMut};
use polypeer_engine::{Close, ConnectionId, Event, Frame, Reason};
use polypeer_kaspa::wire::{self, Kind, Nonce, Reject, Version};
use std::time::Duration;

const PEER: &str = "10.0.0.9:40000";

fn framed(flag: u8, payload: &[u8]) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_u8(flag);
    frame.put_u32(payload.len() as u32);
    frame.put_slice(payload);
    frame.freeze()
}

fn reject(stage: &mut Stage, peer: ConnectionId, reason: &str) {
    stage.says(peer, Kind::Reject, &Reject { reason: reason.into() }.encode());
}

/// The connection ended at once, nothing was said to it, and people are told why.
fn is_noted(stage: &mut Stage, peer: ConnectionId, reason: &str) {
    stage.hears_nothing(peer);
    assert_eq!(stage.closed.get(&peer), Some(&Close::Now));
    let why = format!("rejected us: {reason}");
    assert!(stage.reasons(PEER).contains(&Reason::Closed(why.clone())), "{:?}", stage.reasons(PEER));
    let is_why = |event: &Event| matches!(event, Event::Reason(record) if record.reason == Reason::Closed(why.clone()));
    assert!(stage.events.iter().any(is_why), "the event feed has it");
    assert_eq!(stage.severity(PEER), None);
}

#[test]
fn a_reject_ends_the_connection_and_its_reason_is_shown() {
    story(|stage| {
        let peer = stage.guest(PEER);
        reject(stage, peer, "cannot find full block ab");
        is_noted(stage, peer, "cannot find full block ab");
        assert!(stage.notes().iter().any(|note| note.ends_with("rejected us: cannot find full block ab")));
    });
    // During the handshake too.
    story(|stage| {
        let peer = stage.accept(PEER);
        stage.hears(peer);
        reject(stage, peer, "peer is banned");
        is_noted(stage, peer, "peer is banned");
    });
    story(|stage| {
        let peer = stage.dial(PEER);
        let version = stage.new_version();
        stage.says(peer, Kind::Version, &version.encode());
        stage.says(peer, Kind::Verack, &[]);
        stage.hears(peer);
        reject(stage, peer, "Network mismatch - local: a, remote: b");
        is_noted(stage, peer, "Network mismatch - local: a, remote: b");
    });
}

#[test]
fn two_reasons_say_nothing_about_us() {
    for reason in ["LOOPBACK_CONNECTION", "DUPLICATE_CONNECTION"] {
        story(|stage| {
            let peer = stage.guest(PEER);
            let notes = stage.notes().len();
            reject(stage, peer, reason);
            is_noted(stage, peer, reason);
            assert_eq!(stage.notes().len(), notes);
        });
    }
}

/// It is shown to people: it begins no line of theirs and fills no page.
#[test]
fn a_reason_is_cut_and_has_no_control_characters() {
    story(|stage| {
        let peer = stage.guest(PEER);
        reject(stage, peer, &format!("a\n\r\u{1b}[31mb{}", "é".repeat(3_000)));
        is_noted(stage, peer, &format!("a[31mb{}", "é".repeat(250)));
    });
    story(|stage| {
        let peer = stage.guest(PEER);
        reject(stage, peer, "");
        is_noted(stage, peer, "");
    });
}

#[test]
fn what_has_no_payload_that_is_known_ends_the_connection_in_silence() {
    let mut unknown = vec![0xc2, 0x0c, 0x00];
    unknown.extend_from_slice(&[0xa8, 0x06, 0x07]);
    for payload in [&[][..], &unknown, &[0xb0, 0x06, 0x07]] {
        story(|stage| {
            let peer = stage.guest(PEER);
            stage.types(peer, &framed(0, payload));
            stage.is_cut(peer);
        });
        story(|stage| {
            let peer = stage.accept(PEER);
            stage.types(peer, &framed(0, payload));
            stage.is_cut(peer);
        });
    }
}

#[test]
fn what_nobody_listens_for_ends_the_connection_in_silence() {
    let kinds = [Kind::Block, Kind::BlockLocator, Kind::IbdBlock, Kind::IbdBlockLocator, Kind::BlockWithTrustedData];
    for kind in kinds {
        story(|stage| {
            let peer = stage.guest(PEER);
            stage.says(peer, kind, &[]);
            stage.is_cut(peer);
        });
    }
}

/// An answer goes by its number, whatever it is.
#[test]
fn an_answer_to_nothing_ends_the_connection_in_silence() {
    for kind in [Kind::Ping, Kind::InvRelayBlock, Kind::BlockHeaders, Kind::RequestAddresses] {
        story(|stage| {
            let peer = stage.guest(PEER);
            stage.answers(peer, kind, &[], 5);
            stage.is_cut(peer);
        });
    }
}

#[test]
fn gzip_is_understood_and_a_bomb_is_not() {
    story(|stage| {
        let peer = stage.accept(PEER);
        let version = stage.new_version();
        for (kind, body) in
            [(Kind::Version, version.encode()), (Kind::Verack, Bytes::new()), (Kind::Ready, Bytes::new())]
        {
            stage.types(peer, &wire::pack_gzip(kind, &body, 0, 0));
        }
        stage.is_well(peer);
        stage.types(peer, &wire::pack_gzip(Kind::Ping, &Nonce(3).encode(), 0, 0));
        assert_eq!(Nonce::decode(&stage.hears_one(peer, Kind::Pong).body), Ok(Nonce(3)));
        stage.types(peer, &wire::pack_gzip(Kind::Ping, &vec![0; 4 << 20], 0, 0));
        stage.is_cut(peer);
    });
}

#[test]
fn bytes_that_no_frame_begins_with_end_the_connection() {
    for bytes in [&[2][..], &[0xff, 0, 0, 0, 0], &[0, 0x7f, 0, 0, 0], b"GET / HTTP/1.1\r\n"] {
        story(|stage| {
            let peer = stage.guest(PEER);
            stage.types(peer, bytes);
            stage.is_cut(peer);
        });
    }
}

#[test]
fn a_frame_longer_than_its_phase_or_kind_allows_ends_the_connection() {
    story(|stage| {
        let peer = stage.guest(PEER);
        // 8 MiB and one of something that may be long, before a byte of it has come.
        stage.types(peer, &[0, 0, 0x80, 0, 1, 0xca, 2]);
        stage.is_cut(peer);
    });
    story(|stage| {
        let peer = stage.guest(PEER);
        // A Ping of 1 MiB.
        stage.types(peer, &[0, 0, 0x10, 0, 0, 0x82, 1]);
        stage.is_cut(peer);
    });
}

/// Every message of a real node, cut short everywhere: the frame is whole, what is in it is not.
#[test]
fn every_fixture_cut_short_at_every_byte_has_a_stated_outcome() {
    let mut stage = Stage::new(holding(200));
    let honest = stage.guest("10.0.0.8:40000");
    let manifest: serde_json::Value = serde_json::from_slice(&make::fixture("manifest.json")).expect("a list");
    let (mut cut, mut told, mut borne, mut number) = (0, 0, 0, 0_u32);
    for facts in manifest.as_array().expect("a list").iter().filter(|facts| facts["response_id"].is_u64()) {
        let payload = make::fixture(facts["file"].as_str().expect("a name"));
        // Long ones are cut everywhere in front, and here and there behind.
        let cuts = (0..payload.len()).filter(|at| *at < 400 || at % 997 == 0);
        for at in cuts {
            let frame = framed(0, &payload[..at]);
            let is_message = wire::unpack(Frame::from(&frame)).is_ok();
            number += 1;
            let [_, b, c, d] = number.to_be_bytes();
            let version = Version { protocol_version: 11, ..stage.new_version() };
            let peer = stage.guest_as(&format!("10.{}.{c}.{d}:4000", b + 1), &version);
            stage.types(peer, &frame);
            let is_open = stage.is_open(peer);
            let is_told = stage.hears(peer).iter().any(|envelope| envelope.kind == Kind::Reject);
            assert!(
                is_message || !is_open && !is_told,
                "{} at {at}: what cannot be read ends in silence",
                facts["file"]
            );
            match (is_open, is_told) {
                (true, false) => borne += 1,
                (false, true) => told += 1,
                (false, false) => cut += 1,
                (true, true) => panic!("a Reject ends the connection"),
            }
            if is_open {
                stage.hang_up(peer);
            }
            stage.digests.clear();
            stage.events.clear();
            stage.saved.clear();
        }
    }
    assert!(cut > 10 * (told + borne), "{cut} in silence, {told} told, {borne} borne");
    stage.now = stage.now.after(Duration::from_millis(1));
    stage.is_well(honest);
    assert_eq!(stage.slips(honest), 0);
    stage.ends();
}
