//! Replays the recorded conversation of two real nodes: our answers are theirs, byte for byte.

use crate::make;
use crate::stage::*;
use bytes::Bytes;
use polypeer_bumo::wire::{Envelope, Hello, Kind, Message as _, Peers, Ping};
use polypeer_bumo::{Config, frame};
use polypeer_engine::P2pConfig;

/// The payloads of a recorded side's WebSocket messages, unmasked.
fn payloads(name: &str) -> Vec<Bytes> {
    let path = format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
    let bytes = std::fs::read(path).expect("a fixture");
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("an HTTP head") + 4;
    let mut rest = &bytes[head..];
    let mut payloads = Vec::new();
    // It is cut where a segment ended.
    while let Some((payload, behind)) = message(rest) {
        payloads.push(payload);
        rest = behind;
    }
    payloads
}

fn message(bytes: &[u8]) -> Option<(Bytes, &[u8])> {
    assert_eq!(*bytes.first()?, 0x82, "binary, in one piece");
    let second = *bytes.get(1)?;
    let is_masked = second & 0x80 != 0;
    let (length, mut at) = match second & 0x7f {
        126 => (usize::from(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?])), 4),
        127 => panic!("none is that long"),
        length => (usize::from(length), 2),
    };
    let mask: [u8; 4] = if is_masked { bytes.get(at..at + 4)?.try_into().expect("four") } else { [0; 4] };
    at += if is_masked { 4 } else { 0 };
    let payload = bytes.get(at..at + length)?.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask);
    Some((payload.collect::<Vec<u8>>().into(), &bytes[at + length..]))
}

fn envelopes(payloads: &[Bytes]) -> Vec<Envelope<'_>> {
    payloads.iter().map(|payload| Envelope::decode(payload).expect("an envelope")).collect()
}

/// The node that was recorded, with nothing closed.
fn recorded(port: u16, number: usize) -> Setting {
    let config = Config::new(make::NETWORK, port, &make::node_address(number));
    let p2p = P2pConfig { listen: Some(address(&format!("127.0.0.1:{port}"))), ..holding(0).p2p };
    Setting { config, p2p, ..holding(0) }
}

#[test]
fn the_recordings_are_whole() {
    let kinds = |name: &str| {
        let payloads = payloads(name);
        let kind = |it: &Envelope<'_>| (it.kind().expect("a kind"), it.is_request, it.sequence);
        envelopes(&payloads).iter().map(kind).take(5).collect::<Vec<_>>()
    };
    use Kind::*;
    let dialler = [(Hello, true, 0), (Hello, false, 0), (Ping, true, 1), (Ping, false, 2)];
    assert_eq!(kinds("stream_dialer_to_acceptor.bin")[..4], dialler);
    let acceptor = [(Hello, true, 0), (Hello, false, 0), (Peers, true, 1), (Ping, false, 1), (Ping, true, 2)];
    assert_eq!(kinds("stream_acceptor_to_dialer.bin"), acceptor);
}

#[test]
fn in_the_acceptors_place_we_answer_as_it_did() {
    let said = payloads("stream_dialer_to_acceptor.bin");
    let theirs = payloads("stream_acceptor_to_dialer.bin");
    story_of(&recorded(36_031, 2), |stage| {
        let peer = stage.accept("127.0.0.1:59172");
        let mut ours = Vec::new();
        for payload in &said {
            stage.types(peer, &frame::frame_of(payload));
            ours.extend(stage.hears(peer));
        }
        stage.wait(millis(500));
        ours.extend(stage.hears(peer));
        assert_eq!((stage.is_open(peer), stage.slips(peer)), (true, 0));
        // Every answer is the same, in the same order.
        let answers: Vec<_> = ours.iter().filter(|it| !it.is_request).map(|it| it.payload.clone()).collect();
        let recorded: Vec<_> = theirs
            .iter()
            .filter(|payload| !Envelope::decode(payload).expect("an envelope").is_request)
            .cloned()
            .collect();
        assert_eq!(answers, recorded);
        // So are what else is said up to the first PING, its order and its numbers.
        let about = |kind, is_request, sequence| (kind, is_request, sequence);
        let first: Vec<_> = ours.iter().take(5).map(|it| about(it.kind, it.is_request, it.sequence)).collect();
        let their_first: Vec<_> = envelopes(&theirs)
            .iter()
            .take(5)
            .map(|it| about(it.kind().expect("a kind"), it.is_request, it.sequence))
            .collect();
        assert_eq!(first, their_first);
        // HELLO differs in what is drawn only.
        let theirs = envelopes(&theirs);
        let (our_hello, their_hello) = (Hello::decode(&ours[0].data), Hello::decode(theirs[0].data));
        let plain = |hello: Hello<'static>| Hello { node_rand: "", ..hello };
        let own = |hello: Result<Hello<'_>, _>| {
            let hello = hello.expect("a HELLO");
            assert!(hello.node_rand.starts_with("node-rand-17951722"), "{}", hello.node_rand);
            let hello = Hello { node_rand: "", ..hello };
            format!("{hello:?}")
        };
        let _ = plain;
        assert_eq!(own(our_hello), own(their_hello));
        // The dialler is not told of itself; today's node tells it.
        assert_eq!(Peers::decode(&ours[2].data), Ok(Peers::default()));
    });
}

#[test]
fn in_the_diallers_place_we_answer_as_it_did() {
    let said = payloads("stream_acceptor_to_dialer.bin");
    let theirs = payloads("stream_dialer_to_acceptor.bin");
    story_of(&recorded(36_011, 0), |stage| {
        let peer = stage.dial("127.0.0.1:36031");
        let mut ours = stage.hears(peer);
        for payload in &said {
            stage.types(peer, &frame::frame_of(payload));
            ours.extend(stage.hears(peer));
        }
        assert_eq!((stage.is_open(peer), stage.slips(peer)), (true, 0));
        let answers: Vec<_> = ours.iter().filter(|it| !it.is_request).map(|it| it.payload.clone()).collect();
        let recorded: Vec<_> = theirs
            .iter()
            .filter(|payload| !Envelope::decode(payload).expect("an envelope").is_request)
            .cloned()
            .collect();
        assert_eq!(answers, recorded);
        assert_eq!((ours[0].kind, ours[0].is_request, ours[0].sequence), (Kind::Hello, true, 0));
    });
}

#[test]
fn byte_by_byte_is_the_same() {
    let said = payloads("stream_dialer_to_acceptor.bin");
    let stream: Vec<u8> = said.iter().flat_map(|payload| frame::frame_of(payload).to_vec()).collect();
    story_of(&recorded(36_031, 2), |stage| {
        let peer = stage.accept("127.0.0.1:59172");
        stream.iter().for_each(|byte| stage.types(peer, &[*byte]));
        let heard = stage.hears(peer);
        let pong = heard.iter().find(|it| it.kind == Kind::Ping && !it.is_request).expect("an answer");
        assert!(Ping::decode(&pong.data).expect("a ping").nonce > 0);
        assert_eq!(stage.slips(peer), 0);
    });
}
