//! Frames of the spec's vectors, byte for byte.

use crate::stage::{file, query};
use polypeer_mina::rpc::{
    Message, Method, NOTHING, Reply, RpcError, handshake, heartbeat, is_handshake, read_menu, read_peers, write_menu,
    write_peers,
};
use serde_json::Value;

fn frame(name: &str) -> Vec<u8> {
    let expected: Value = serde_json::from_slice(&file("vectors/expected.json")).expect("JSON");
    const_hex::decode(expected["rpc_frames"][name].as_str().expect("a vector")).expect("hex")
}

#[test]
fn every_known_frame_is_written_as_it_is_known() {
    assert_eq!(handshake(), frame("handshake"));
    assert_eq!(heartbeat(), frame("heartbeat"));
    assert_eq!(query(Method::BestTip, 0, &NOTHING), frame("get_best_tip_v2_query_id0"));
    assert_eq!(Message::Reply(Reply { id: 0, result: Ok(&NOTHING) }).encode(), frame("ok_none_id0"));
    let menu = frame("menu_query");
    let Message::Query(asked) = Message::decode(&menu).expect("a question") else { panic!("a question") };
    assert_eq!(Method::of(asked.tag, asked.version), Some(Method::Menu));
    assert_eq!(asked.encode(), menu);
}

#[test]
fn every_frame_is_read_as_it_was_written() {
    let errors = [
        RpcError::BadBytes(b"bad"),
        RpcError::Closed,
        RpcError::Write(b"late"),
        RpcError::Uncaught(b"Failure"),
        RpcError::Unimplemented { tag: b"get_some_initial_peers", version: -3 },
        RpcError::UnknownId(u64::MAX),
    ];
    for error in errors {
        let message = Message::Reply(Reply { id: 1 << 40, result: Err(error) });
        assert_eq!(Message::decode(&message.encode()), Ok(message));
    }
    assert_eq!(Message::decode(&heartbeat()), Ok(Message::Heartbeat));
}

#[test]
fn an_unknown_method_is_read_in_both_forms_of_its_version() {
    // With the constructor's name in front, as OCaml writes it, and without.
    let named = [0x02, 0x07, 0x01, 0x04, 0x01, b'x', 0xf1, 0x1d, 0x86, 0x94, 0x02];
    let plain = [0x02, 0x07, 0x01, 0x04, 0x01, b'x', 0x02];
    let error = RpcError::Unimplemented { tag: b"x", version: 2 };
    let wanted = Message::Reply(Reply { id: 7, result: Err(error) });
    assert_eq!([Message::read(&named), Message::read(&plain)], [Ok(wanted), Ok(wanted)]);
    assert_eq!(&wanted.encode()[8..], named);
}

#[test]
fn what_went_wrong_is_read_out_of_nested_expressions() {
    // ((monitor.ml.Error) (Failure boom))
    let nested =
        [&[0x02, 0x00, 0x01, 0x03, 0x01, 0x02, 0x01, 0x01, 0x00, 0x01][..], b"a", &[0x01, 0x01, 0x00, 0x01], b"b"];
    let nested = nested.concat();
    let Ok(Message::Reply(reply)) = Message::read(&nested) else { panic!("a reply") };
    assert_eq!(reply.result, Err(RpcError::Uncaught(b"a")));
    // A list in a list in a list, without end: refused, not followed.
    let endless = [&[0x02, 0x00, 0x01, 0x03][..], &[0x01, 0x01].repeat(100_000)].concat();
    assert!(Message::read(&endless).is_err());
}

#[test]
fn handshakes_of_this_version_are_taken_and_others_not() {
    assert!(is_handshake(&handshake()));
    let of = |numbers: &[u8]| [&(numbers.len() as u64).to_le_bytes()[..], numbers].concat();
    let magic = [0xfd, 0x52, 0x50, 0x43, 0x00];
    assert!(is_handshake(&of(&[&[0x03], &magic[..], &[0x01, 0x02]].concat())), "a later node lists more");
    let wrong: [Vec<u8>; 6] = [
        [&[0x02], &magic[..], &[0x02]].concat(),
        [&[0x01], &magic[..]].concat(),
        [&[0x02, 0xfd, 0x52, 0x50, 0x44, 0x00], &[0x01][..]].concat(),
        [&[0x02], &magic[..], &[0x01, 0x00]].concat(),
        vec![0x00],
        vec![],
    ];
    for numbers in wrong {
        assert!(!is_handshake(&of(&numbers)), "{numbers:?}");
    }
}

#[test]
fn menus_and_peers_are_read_as_they_were_written() {
    let methods = [("get_best_tip", 2), ("Get_transition_knowledge", 1)];
    let menu = write_menu(methods.into_iter());
    let read: Vec<(&[u8], i64)> = methods.iter().map(|(tag, version)| (tag.as_bytes(), *version)).collect();
    assert_eq!(read_menu(&menu), Ok(read));
    let peers: Vec<_> = ["/ip4/192.0.2.1/tcp/8302", "/ip6/2001:db8::1/tcp/10003"]
        .map(|text| text.parse::<polypeer_mina::multiaddr::Multiaddr>().expect("an address").address().expect("an IP"))
        .into_iter()
        .map(|address| polypeer_mina::rpc::InitialPeer {
            address,
            peer: "12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5".parse().expect("an id"),
        })
        .collect();
    assert_eq!(read_peers(&write_peers(&peers)), Ok(peers));
    assert_eq!(read_peers(&[0]), Ok(vec![]));
}

#[test]
fn every_method_is_found_by_its_tag_and_version_and_by_no_other() {
    for method in Method::all() {
        assert_eq!(Method::of(method.tag().as_bytes(), method.version()), Some(method));
        assert_eq!(Method::of(method.tag().to_ascii_uppercase().as_bytes(), method.version()), None);
        assert_eq!(Method::of(method.tag().as_bytes(), 99), None);
    }
    assert_eq!(Method::all().count(), 15);
}
