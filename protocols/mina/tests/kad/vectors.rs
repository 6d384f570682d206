//! Frames of the spec's vectors, byte for byte, and every one of them cut short and altered.

use crate::stage::{config, decode};
use polypeer_engine::Address;
use polypeer_mina::kad::{Contact, Kind, Message, PEERS_READ_MAX, provided};
use polypeer_mina::keys::PeerId;
use serde_json::Value;
use std::fs;

fn vectors(name: &str) -> Value {
    let path = [env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/vectors/", name].concat();
    let text = fs::read_to_string(&path).unwrap_or_else(|wrong| panic!("{path}: {wrong}"));
    serde_json::from_str(&text).expect("JSON")
}

fn frame(name: &str) -> Vec<u8> {
    const_hex::decode(vectors("message_vectors.json")[name].as_str().expect("a vector")).expect("hex")
}

fn author() -> PeerId {
    "12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5".parse().expect("a peer id")
}

#[test]
fn requests_and_answers_have_their_known_bytes() {
    let own = author().to_bytes();
    let find = Message::about(Kind::FindNode, &own);
    assert_eq!(find.encode(), frame("kad_find_node_self_frame"));
    assert_eq!(decode(&find.encode()), find);

    let answer = decode(&frame("kad_find_node_reply_frame"));
    let [Contact { peer, addresses, is_connected: true }] = &answer.closer[..] else { panic!("{answer:?}") };
    assert_eq!(addresses[..], ["198.51.100.7:8302".parse::<Address>().expect("an address")]);
    assert_ne!(*peer, author());
    assert_eq!((answer.kind, &answer.key[..]), (Kind::FindNode, &own[..]));
    assert_eq!(answer.encode(), frame("kad_find_node_reply_frame"));

    let providers = Message::about(Kind::GetProviders, &config().rendezvous);
    assert_eq!(providers.encode(), frame("kad_get_providers_rendezvous_devnet_frame"));
}

#[test]
fn the_rendezvous_of_every_known_chain_is_what_it_is_known_by() {
    let expected = vectors("expected.json");
    let chains = expected["psk"]["vectors"].as_array().expect("chains");
    assert_eq!(chains.len(), 4);
    for chain in chains {
        let id = chain["chain_id"].as_str().expect("an id");
        let multihash = provided(&format!("/coda/0.0.1/{id}"));
        assert_eq!(const_hex::encode(&multihash), chain["rendezvous_multihash"].as_str().expect("a hash"));
    }
}

#[test]
fn an_answer_need_not_say_anything() {
    let answer = decode(&[0x02, 0x08, 0x04]);
    assert_eq!(answer, Message::about(Kind::FindNode, &[]));
}

#[test]
fn vectors_cut_short_or_altered_never_panic_and_what_is_read_is_written_as_it_was_read() {
    for name in ["kad_find_node_self_frame", "kad_find_node_reply_frame", "kad_get_providers_rendezvous_devnet_frame"] {
        let message = &frame(name)[1..];
        for length in 0..message.len() {
            let _ = Message::decode(&message[..length]);
        }
        for at in 0..message.len() {
            for bit in 0..8 {
                let mut altered = message.to_vec();
                altered[at] ^= 1 << bit;
                if let Ok(read) = Message::decode(&altered) {
                    assert_eq!(decode(&read.encode()), read, "{name}, byte {at}");
                }
            }
        }
    }
}

#[test]
fn thousands_of_peers_in_one_answer_are_not_read() {
    let mut message = polypeer_engine::kit::protobuf::Writer::default();
    message.number(1, 4_u64);
    for number in 0..5_000_u64 {
        message.nested(8, |peer| peer.message(1, &crate::stage::peer(number).to_bytes()));
    }
    let read = Message::decode(&message.finish()).expect("a message");
    assert_eq!(read.closer.len(), PEERS_READ_MAX);
}

#[test]
fn keys_of_other_types_and_addresses_of_other_transports_are_left_out() {
    let mut message = polypeer_engine::kit::protobuf::Writer::default();
    message.number(1, 4_u64);
    let tcp = polypeer_mina::multiaddr::of_address("198.51.100.7:8302".parse().expect("an address"));
    // /ip4/198.51.100.7/udp/8302/quic-v1
    let quic = [&tcp[..5], &[0x91, 0x02], &tcp[6..], &[0xcd, 0x03]].concat();
    message.nested(8, |peer| {
        peer.message(1, &author().to_bytes());
        peer.message(2, &quic);
        peer.message(2, &tcp);
        peer.message(2, &tcp);
    });
    message.nested(8, |peer| peer.message(1, &[0x12, 0x20, 1, 2, 3]));
    let read = Message::decode(&message.finish()).expect("a message");
    assert_eq!(read.closer.len(), 1);
    assert_eq!(read.closer[0].addresses.len(), 1);
}
