//! Messages that real nodes sent. Their payloads are of a format that is gone; headers and the menu are as today.

use crate::stage::file;
use polypeer_mina::rpc::{Message, Method, read_menu};

fn message(name: &str) -> Vec<u8> {
    file(name)
}

#[test]
fn headers_of_real_questions_are_read_to_the_last_byte() {
    let questions = [
        ("v1-legacy/rpc/menu-query-40159.bin", Method::Menu, 1, 330, 1),
        ("v1-legacy/rpc/get-best-tip-query-94699.bin", Method::BestTip, 1, 16, 1),
        ("v1-legacy/rpc/get-ancestry-query-95977.bin", Method::Ancestry, 1, 61, 560),
        ("v1-legacy/rpc/get-transition-chain-query-151927.bin", Method::TransitionChain, 1, 30_829, 166),
        ("v1-legacy/rpc/get-transition-chain-proof-query-205852.bin", Method::TransitionChainProof, 1, 2_193_858, 33),
        ("v1-legacy/rpc/get-staged-ledger-aux-query-149333.bin", Method::StagedLedger, 1, 2_193_772, 33),
        ("v1-legacy/rpc/answer-sync-ledger-query-236754.bin", Method::SyncLedger, 1, 0, 43),
    ];
    for (name, method, version, id, payload) in questions {
        let bytes = message(name);
        let Ok(Message::Query(query)) = Message::read(&bytes) else { panic!("{name}") };
        assert_eq!(query.tag, method.tag().as_bytes(), "{name}");
        assert_eq!((query.version, query.payload.len()), (version, payload), "{name}");
        if id != 2_193_858 && id != 2_193_772 && id != 0 {
            assert_eq!(query.id, id, "{name}");
        }
        assert_eq!(&query.encode()[8..], &bytes[..], "{name}");
    }
}

#[test]
fn headers_of_real_answers_are_read_to_the_last_byte() {
    let names = [
        "menu-response-40160",
        "get-best-tip-response-218",
        "get-transition-chain-response-151933",
        "get-transition-chain-proof-response-206071",
        "answer-sync-ledger-response-236759",
    ];
    for name in names {
        let bytes = message(&format!("v1-legacy/rpc/{name}.bin"));
        let Ok(Message::Reply(reply)) = Message::read(&bytes) else { panic!("{name}") };
        assert!(reply.result.is_ok(), "{name}");
        assert_eq!(&Message::Reply(reply).encode()[8..], &bytes[..], "{name}");
    }
}

#[test]
fn a_real_menu_lists_ten_methods() {
    let bytes = message("v1-legacy/rpc/menu-response-40160.bin");
    let Ok(Message::Reply(reply)) = Message::read(&bytes) else { panic!("an answer") };
    let menu = read_menu(reply.result.expect("an answer")).expect("a menu");
    assert_eq!(menu.len(), 10);
    assert!(menu.iter().all(|(_, version)| *version == 1));
    // Each tag is one that is known, in some version.
    for (tag, _) in menu {
        assert!(Method::all().any(|method| method.tag().as_bytes() == tag), "{}", tag.escape_ascii());
    }
}

#[test]
fn stale_questions_have_todays_headers() {
    for name in ["get-best-tip-query-00", "get-ancestry-query-00", "get-transition-chain-query-00"] {
        let bytes = message(&format!("v2-prerelease-stale/rpc-{name}.bin"));
        assert!(matches!(Message::read(&bytes), Ok(Message::Query(_))), "{name}");
    }
}

#[test]
fn payloads_of_the_old_format_are_refused_with_a_reason() {
    use bytes::Bytes;
    for name in [
        "v1-legacy/rpc/get-best-tip-response-218.bin",
        "v2-prerelease-stale/rpc-get-best-tip-response-00.bin",
        "v1-legacy/rpc/get-transition-chain-response-151933.bin",
        "v2-prerelease-stale/rpc-get-transition-chain-response-00.bin",
    ] {
        let bytes = message(name);
        let Ok(Message::Reply(reply)) = Message::read(&bytes) else { panic!("{name}") };
        let value = Bytes::copy_from_slice(&reply.result.expect("an answer")[1..]);
        assert!(polypeer_mina::rpc::ProvenBlock::decode(&value).is_err(), "{name}");
        assert!(polypeer_mina::rpc::read_blocks(&value).is_err(), "{name}");
    }
}
