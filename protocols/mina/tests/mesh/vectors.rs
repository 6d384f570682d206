//! The vectors of the spec, byte for byte, and each of them cut and altered at every byte.

use crate::stage::{self, Said, Stage, body, connection, framed};
use bytes::Bytes;
use polypeer_engine::Frame;
use polypeer_mina::keys::PeerId;
use polypeer_mina::mesh::frame::{self, Message, Rpc};
use polypeer_mina::mesh::{CONSENSUS, MessageId, Output, Settings, TopicId};
use serde_json::Value;

const VECTORS: &str = include_str!("../fixtures/vectors/message_vectors.json");

fn vectors() -> Value {
    serde_json::from_str(VECTORS).expect("JSON")
}

fn bytes(value: &Value) -> Bytes {
    const_hex::decode(value.as_str().expect("text")).expect("hex").into()
}

fn id(text: &str) -> MessageId {
    MessageId(const_hex::decode_to_array(text).expect("32 bytes"))
}

#[test]
fn every_control_frame_is_written_and_read_byte_for_byte() {
    let vectors = vectors();
    let hello = id("890fd5f147a0975e404a12b48b3d4ed8fef151dc870f462e870b2e40e1489a7b");
    let topic = || CONSENSUS.to_owned();
    for (vector, ours, said) in [
        ("subscribe_frame", frame::subscriptions([(CONSENSUS, true)].into_iter()), Said::Subscribe(topic(), true)),
        ("graft_frame", frame::graft(CONSENSUS), Said::Graft(topic())),
        ("prune_backoff60_frame", frame::prune(CONSENSUS, Some(60), &[]), Said::Prune(topic(), Some(60), 0)),
        ("ihave_frame", frame::ihave(CONSENSUS, &[hello]), Said::IHave([hello].into())),
        ("iwant_frame", frame::iwant(&[hello]), Said::IWant([hello].into())),
    ] {
        assert_eq!(ours, bytes(&vectors[vector]), "{vector}");
        assert_eq!(stage::read(&ours), [said], "{vector}");
    }
}

#[test]
fn the_signed_message_is_read_verified_named_and_sent_on_byte_for_byte() {
    let vector = &vectors()["messages"][0];
    let frame = bytes(&vector["rpc_frame"]);
    let rpc = Rpc::decode(&frame).expect("a frame");
    let message = rpc.messages().next().expect("a message");
    assert!(message.is_canonical && rpc.is_one_message());
    assert_eq!(frame::signed_bytes(&message), bytes(&vector["signed_bytes"]));
    let (again, data) = frame::message(&message);
    assert_eq!((&again, &again[data]), (&frame, &b"hello world"[..]));
    assert_eq!(body(body(&again).get(1..).expect("one field")), bytes(&vector["message_pb"]));
    let author: PeerId = vector["peer_id"].as_str().expect("text").parse().expect("a name");
    assert_eq!(PeerId::from_bytes(message.from.expect("an author")), Some(author));

    let mut stage = Stage::new();
    stage.crowd(3);
    stage.say(connection(1), &frame);
    let expected = id(vector["message_id"].as_str().expect("text"));
    let data = Bytes::from_static(b"hello world");
    let delivered = Output::Deliver { id: expected, topic: TopicId(0), data, author, peer: connection(1) };
    assert_eq!(stage.outputs(), [delivered]);
    stage.mesh.judged(stage.now, expected, polypeer_mina::mesh::Verdict::Accept, &mut stage.out);
    for output in stage.outputs() {
        let Output::Send { frame: sent, .. } = output else { panic!("{output:?}") };
        assert_eq!(sent, frame);
    }
    assert_eq!(stage.mesh.counts().forwarded, 2);
}

#[test]
fn the_signature_of_the_vector_is_made_of_its_seed() {
    let vector = &vectors()["messages"][0];
    let seed = const_hex::decode_to_array(vector["identity_seed"].as_str().expect("text")).expect("32 bytes");
    let key = ed25519_dalek::SigningKey::from_bytes(&seed);
    let signature = ed25519_dalek::Signer::sign(&key, &bytes(&vector["signed_bytes"]));
    assert_eq!(signature.to_bytes()[..], bytes(&vector["signature"])[..]);
}

/// Section 3.3, and the names of the fixture's block and header.
#[test]
fn every_known_name_of_a_message_is_made() {
    let long = "0123456789".repeat(10);
    for (topic, data, name) in [
        (CONSENSUS, &b""[..], "13eaedda56f0f215fc704552ac5f523ded88adace40bd47899889254ba2fe88b"),
        (CONSENSUS, b"hello world", "890fd5f147a0975e404a12b48b3d4ed8fef151dc870f462e870b2e40e1489a7b"),
        (&long, b"hello world", "a5c067b96f14c079116b0b504f61b3199f8bcdfe550711950ebf580215eda23a"),
    ] {
        let topics = [polypeer_mina::mesh::Topic { name: topic.to_owned(), level: 0 }].into();
        let mut stage = Stage::with(Settings { topics, ..Settings::default() });
        let peer = stage.connect(1);
        stage.say(peer, &stage::signed(5, 1, topic, data));
        assert_eq!(stage.delivered(), [id(name)]);
    }
}

fn all() -> Vec<(String, Bytes)> {
    let vectors = vectors();
    let frames = ["subscribe_frame", "graft_frame", "prune_backoff60_frame", "ihave_frame", "iwant_frame"];
    let mut all: Vec<(String, Bytes)> =
        frames.iter().map(|name| ((*name).to_owned(), bytes(&vectors[*name]))).collect();
    all.push(("publish".to_owned(), bytes(&vectors["messages"][0]["rpc_frame"])));
    all
}

#[test]
fn a_vector_that_is_cut_anywhere_is_refused() {
    for (name, frame) in all() {
        for length in 0..frame.len() {
            assert!(Rpc::decode(&frame[..length]).is_err(), "{name} cut at {length}");
        }
    }
}

/// Cut behind a length that is right: it may say less, never something else.
#[test]
fn a_body_that_is_cut_anywhere_harms_nobody() {
    for (name, frame) in all() {
        for length in 0..body(&frame).len() {
            let mut stage = Stage::new();
            stage.crowd(1);
            stage.say(connection(1), &framed(&body(&frame)[..length]));
            assert_eq!(stage.delivered(), [], "{name} cut at {length}");
        }
    }
}

#[test]
fn no_byte_of_the_signed_message_can_be_altered_unseen() {
    let whole = bytes(&vectors()["messages"][0]["rpc_frame"]);
    let original = Rpc::decode(&whole).expect("a frame").messages().next().expect("a message");
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut altered = whole.to_vec();
            altered[at] ^= 1 << bit;
            let altered = Bytes::from(altered);
            let mut stage = Stage::new();
            stage.crowd(2);
            stage.mesh.receive(stage.now, connection(1), Frame::from(&altered), &mut stage.out);
            assert_eq!(stage.delivered(), [], "bit {bit} of byte {at}");
            // It was refused with a reason, or is a message of another topic or none.
            let is_refused = !stage.faults().is_empty();
            let says_the_same = |message: Message<'_>| message.topic == original.topic;
            let is_same_topic = Rpc::decode(&altered).is_ok_and(|rpc| rpc.messages().any(says_the_same));
            assert!(is_refused || !is_same_topic, "bit {bit} of byte {at} went unseen");
        }
    }
}

#[test]
fn control_frames_that_are_altered_anywhere_harm_nobody() {
    for (_, whole) in all() {
        for at in 0..whole.len() {
            for change in [1, 2, 0x10, 0x80, 0xff] {
                let mut altered = whole.to_vec();
                altered[at] ^= change;
                let mut stage = Stage::new();
                stage.crowd(2);
                stage.say(connection(1), &altered.into());
                stage.beats(2);
                assert!(stage.mesh.held().iter().all(|held| *held <= 2), "{:?}", stage.mesh.held());
            }
        }
    }
}
