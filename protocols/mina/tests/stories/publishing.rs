//! Stories of what is our own: signed by asking, and told to every peer that subscribed. Mina spec, sections 3.5 and 4.2.

use crate::make;
use crate::stage::*;
use bytes::Bytes;
use ed25519_dalek::Verifier as _;
use polypeer_engine::{ConnectionId, Event};
use polypeer_mina::envelope::{self, Content, Topic};
use polypeer_mina::ledger::{Answer, Kind, Request};
use polypeer_mina::mesh::frame::{Rpc, signed_bytes};
use polypeer_mina::streams::MESH;

fn ours(kind: Kind) -> Answer {
    let payload = match kind {
        Kind::Block => make::fixture("v2-current/derived/block-devnet-357934.bin"),
        Kind::Transactions => {
            let payment = make::fixture("v2-current/derived/user-command-payment.bin");
            [&[1][..], &payment[..]].concat().into()
        }
        Kind::SnarkWork => Bytes::from_static(&[1]),
    };
    Answer::Publish { kind, payload }
}

// Seven peers: more than a mesh wants.
fn crowd(stage: &mut Stage) -> Vec<ConnectionId> {
    let peers: Vec<_> = (7..22).map(|key| stage.gossip(&format!("10.{key}.0.9:40000"), key).0).collect();
    stage.wait(seconds(2));
    peers.iter().for_each(|peer| drop(stage.hears(*peer, MESH)));
    peers
}

#[test]
fn what_is_our_own_goes_to_every_subscriber_signed_by_us() {
    for kind in Kind::ALL {
        story(|stage| {
            let peers = crowd(stage);
            stage.ledger_says(ours(kind));
            for peer in peers {
                let [frame] = stage.hears(peer, MESH).try_into().expect("one frame");
                let rpc = Rpc::decode(&frame).expect("it can be read");
                let [message] = rpc.messages().collect::<Vec<_>>().try_into().expect("one message");
                assert_eq!(message.from, Some(&make::peer_id(OURS).to_bytes()[..]));
                assert_eq!((message.seqno.map(<[u8]>::len), message.key), (Some(8), None));
                let signature = message.signature.and_then(|bytes| bytes.try_into().ok()).expect("64 bytes");
                let key = make::key(OURS).verifying_key();
                assert!(key.verify(&signed_bytes(&message), &signature).is_ok());
                let opened = envelope::open(Topic::Consensus, message.data.expect("data")).expect("it is well formed");
                let is_it = match opened.content {
                    Content::Block(_) => kind == Kind::Block,
                    Content::Transactions(_) => kind == Kind::Transactions,
                    Content::SnarkWork(_) => kind == Kind::SnarkWork,
                    Content::Header(_) => false,
                };
                assert!(is_it);
            }
            assert_eq!(stage.engine.protocol().lane(kind).published, 1);
        });
    }
}

#[test]
fn without_flood_publishing_it_goes_to_the_mesh() {
    let mut setting = setting();
    setting.config.flood_publish = false;
    story_of(&setting, |stage| {
        let peers = crowd(stage);
        stage.ledger_says(ours(Kind::Block));
        let told = peers.into_iter().filter(|peer| !stage.hears(*peer, MESH).is_empty()).count();
        assert!((5..=12).contains(&told), "{told}");
    });
}

#[test]
fn what_is_signed_is_what_the_ledger_was_asked_to_sign() {
    story(|stage| {
        stage.gossip("10.1.0.9:40000", 7);
        stage.ledger_says(ours(Kind::SnarkWork));
        let asked = stage.all_asked.iter().find_map(|request| match request {
            Request::Sign { bytes } => Some(bytes.clone()),
            _ => None,
        });
        assert!(asked.expect("it is asked").starts_with(b"libp2p-pubsub:"));
    });
}

#[test]
fn a_diff_that_is_published_again_is_another_message_and_a_block_is_not() {
    story(|stage| {
        let (peer, _) = stage.gossip("10.1.0.9:40000", 7);
        stage.hears(peer, MESH);
        stage.ledger_says(ours(Kind::Transactions));
        stage.ledger_says(ours(Kind::Transactions));
        let told = stage.is_told(peer);
        assert!(told.len() == 2 && told[0] != told[1], "the nonce differs");
        stage.ledger_says(ours(Kind::Block));
        stage.ledger_says(ours(Kind::Block));
        assert_eq!(stage.is_told(peer).len(), 1);
        let is_noted = |event: &Event| matches!(event, Event::Note(text) if text.contains("not published"));
        assert!(stage.events.iter().any(is_noted));
    });
}

#[test]
fn without_a_key_nothing_is_published() {
    let mut setting = setting();
    setting.ledger.signer = None;
    story_of(&setting, |stage| {
        let (peer, _) = stage.gossip("10.1.0.9:40000", 7);
        stage.hears(peer, MESH);
        stage.ledger_says(ours(Kind::Block));
        assert!(stage.is_told(peer).is_empty());
    });
}

#[test]
fn our_own_that_comes_back_is_known() {
    story(|stage| {
        let (peer, channel) = stage.gossip("10.1.0.9:40000", 7);
        stage.hears(peer, MESH);
        stage.ledger_says(ours(Kind::Block));
        let [frame] = stage.hears(peer, MESH).try_into().expect("one frame");
        stage.says(peer, channel, &frame);
        assert!(stage.all_asked.iter().all(|request| !matches!(request, Request::Block { .. })));
        assert!(stage.faults(peer).is_empty());
    });
}
