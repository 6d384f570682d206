//! Checks lines and messages: every form, every limit, every split.

use bytes::BytesMut;
use polypeer_engine::kit::chain::Hash;
use polypeer_engine::{Framed, Framer, Misbehavior as _, Phase};
use polypeer_hello::Misbehavior;
use polypeer_hello::wire::{self, GetList, Hello, Lines, List, Message, Method, Question, decode};
use proptest::prelude::*;
use serde_json::{Value, json};

const H: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

fn hash() -> Hash {
    let bytes: Vec<u8> = (0..32).map(|at| (at % 16) * 0x11).collect();
    Hash(bytes.try_into().expect("32 bytes"))
}

fn read(message: &Value) -> Result<Message, Misbehavior> {
    decode(format!("{message}\n").as_bytes())
}

/// Each form that is right, and what it means.
fn right() -> Vec<(Value, Message)> {
    let plain = Hello { block_count: 1, time: 2, port: 3, ..Hello::default() };
    let full = Hello {
        genesis: Some(hash()),
        agent: Some("a\"é".to_owned()),
        nonce: Some(0x0011_2233_4455_6677),
        ..plain.clone()
    };
    let list = List { from: 1, latest: 4, parent: hash(), hashes: vec![hash(), Hash([9; 32])] };
    vec![
        (json!({"HELLO": {"block_count": 1, "time": 2, "port": 3}}), Message::Hello(plain)),
        (
            json!({"HELLO": {"nonce": "0011223344556677", "agent": "a\"é", "genesis": H, "port": 3, "time": 2, "block_count": 1}}),
            Message::Hello(full),
        ),
        (json!({"HEY": {"block_count": 9_007_199_254_740_991_u64}}), Message::Hey { block_count: (1 << 53) - 1 }),
        (json!({"GETADDR": null}), Message::GetAddr(None)),
        (json!({"GETADDR": 65535}), Message::GetAddr(Some(65535))),
        (json!({"GETADDR": 0}), Message::GetAddr(Some(0))),
        (json!({"ADDR": []}), Message::Addr(vec![])),
        (
            json!({"ADDR": ["1.2.3.4:5", "[2001:db8::1]:65535", "[::ffff:9.8.7.6]:5", "127.0.0.1:1"]}),
            Message::Addr(
                ["1.2.3.4:5", "[2001:db8::1]:65535", "9.8.7.6:5", "127.0.0.1:1"]
                    .map(|a| a.parse().expect("one"))
                    .to_vec(),
            ),
        ),
        (
            json!({"ADDR": ["1.2.3.4:0", "0.0.0.0:5", "224.0.0.1:5", "[::]:5", "[ff02::1]:5", "[::ffff:0.0.0.0]:5"]}),
            Message::Addr(vec![]),
        ),
        (json!({"BROADCASTBLOCK": {"number": 7}}), Message::BroadcastBlock { number: 7, hash: None }),
        (
            json!({"BROADCASTBLOCK": {"number": 7, "hash": H}}),
            Message::BroadcastBlock { number: 7, hash: Some(hash()) },
        ),
        (json!({"GETBLOCK": {"number": 0}}), Message::GetBlock(Question::Number(0))),
        (json!({"GETBLOCK": {"hash": H, "more": 1}}), Message::GetBlock(Question::Hash(hash()))),
        (json!({"GETBLOCK": {"transaction": H}}), Message::GetBlock(Question::Transaction(hash()))),
        (
            json!({"GETLISTOFBLOCKS": {"from": 1, "latest": 2}}),
            Message::GetList(GetList { from: 1, latest: 2, transactions: vec![] }),
        ),
        (
            json!({"GETLISTOFBLOCKS": {"from": 3, "latest": 2, "transactions": [H]}}),
            Message::GetList(GetList { from: 3, latest: 2, transactions: vec![hash()] }),
        ),
        (
            json!({"LISTOFBLOCKS": {"from": 1, "latest": 4, "parent": H, "hashes": [H, "09".repeat(32)]}}),
            Message::List(list),
        ),
        (json!({"BLOCK": {"number": 5, "data": "00ff"}}), Message::Block { number: 5, data: vec![0, 255].into() }),
        (json!({"BLOCK": {"number": 5, "data": ""}}), Message::Block { number: 5, data: vec![].into() }),
        (json!({"PUSHTRANSACTION": ["", "a1"]}), Message::PushTransaction(vec![vec![].into(), vec![0xa1].into()])),
        (json!({"BROADCASTTRANSACTION": {"id": H}}), Message::BroadcastTransaction(hash())),
        (json!({"NOTFOUND": {"number": 5}}), Message::NotFound(Question::Number(5))),
        (json!({"NOTFOUND": {"hash": H}}), Message::NotFound(Question::Hash(hash()))),
        (json!({"NOTFOUND": {"transaction": H}}), Message::NotFound(Question::Transaction(hash()))),
        (json!({"REJECT": {"method": "", "reason": ""}}), Message::Reject),
        (json!({"REJECT": {"method": "x".repeat(32), "reason": " ".repeat(128), "x": 1}}), Message::Reject),
    ]
}

type Wrong = Vec<(&'static str, Value)>;

/// Payloads of the wrong form, by method.
fn wrong() -> Wrong {
    let addresses = NO_ADDRESSES.map(|address| ("ADDR", json!(["1.2.3.4:5", address])));
    [wrong_hellos(), wrong_small_ones(), wrong_questions_and_lists(), wrong_data(), addresses.to_vec()].concat()
}

fn wrong_hellos() -> Wrong {
    let hello = |key: &str, value: Value| {
        let mut payload = json!({"block_count": 1, "time": 2, "port": 3});
        payload[key] = value;
        payload
    };
    let without = |key: &str| {
        let mut payload = json!({"block_count": 1, "time": 2, "port": 3});
        payload.as_object_mut().expect("an object").remove(key);
        payload
    };
    vec![
        ("HELLO", without("block_count")),
        ("HELLO", without("time")),
        ("HELLO", without("port")),
        ("HELLO", json!([])),
        ("HELLO", json!(null)),
        ("HELLO", hello("block_count", json!(9_007_199_254_740_992_u64))),
        ("HELLO", hello("block_count", json!(-1))),
        ("HELLO", hello("block_count", json!(1.0))),
        ("HELLO", hello("block_count", json!("1"))),
        ("HELLO", hello("time", json!(null))),
        ("HELLO", hello("port", json!(65536))),
        ("HELLO", hello("genesis", json!(null))),
        ("HELLO", hello("genesis", json!(H[1..]))),
        ("HELLO", hello("genesis", json!(H.to_uppercase()))),
        ("HELLO", hello("agent", json!("x".repeat(129)))),
        ("HELLO", hello("agent", json!("é".repeat(65)))),
        ("HELLO", hello("agent", json!(7))),
        ("HELLO", hello("nonce", json!("0".repeat(15)))),
        ("HELLO", hello("nonce", json!(7))),
    ]
}

fn wrong_small_ones() -> Wrong {
    vec![
        ("HEY", json!({})),
        ("HEY", json!(1)),
        ("HEY", json!({"block_count": [1]})),
        ("GETADDR", json!(65536)),
        ("GETADDR", json!("7444")),
        ("GETADDR", json!({})),
        ("GETADDR", json!(false)),
        ("ADDR", json!({})),
        ("ADDR", json!([7])),
        ("ADDR", json!(vec!["1.2.3.4:5"; 1001])),
        ("BROADCASTBLOCK", json!({"hash": H})),
        ("BROADCASTBLOCK", json!({"number": 1, "hash": null})),
        ("BROADCASTBLOCK", json!({"number": 1, "hash": "00"})),
        ("BROADCASTTRANSACTION", json!({})),
        ("BROADCASTTRANSACTION", json!({"id": "00"})),
        ("BROADCASTTRANSACTION", json!(H)),
        ("NOTFOUND", json!({})),
        ("NOTFOUND", json!({"number": 1, "hash": H})),
    ]
}

fn wrong_questions_and_lists() -> Wrong {
    let list = |from: u64, latest: u64, parent: Value, hashes: Value| json!({"from": from, "latest": latest, "parent": parent, "hashes": hashes});
    vec![
        ("GETBLOCK", json!({})),
        ("GETBLOCK", json!({"number": 1, "hash": H})),
        ("GETBLOCK", json!({"transaction": H, "hash": H})),
        ("GETBLOCK", json!({"number": 1, "hash": H, "transaction": H})),
        ("GETBLOCK", json!({"hash": 7})),
        ("GETBLOCK", json!({"number": H})),
        ("GETLISTOFBLOCKS", json!({"from": 1})),
        ("GETLISTOFBLOCKS", json!({"latest": 1})),
        ("GETLISTOFBLOCKS", json!({"from": 1, "latest": 1, "transactions": null})),
        ("GETLISTOFBLOCKS", json!({"from": 1, "latest": 1, "transactions": vec![H; 1001]})),
        ("GETLISTOFBLOCKS", json!({"from": 1, "latest": 1, "transactions": [H, "00"]})),
        ("LISTOFBLOCKS", list(0, 0, json!(H), json!([H]))),
        ("LISTOFBLOCKS", list(5, 4, json!(H), json!([]))),
        ("LISTOFBLOCKS", list(0, 1, json!(null), json!([H]))),
        ("LISTOFBLOCKS", list(0, 20_000, json!(H), json!(vec![H; 10_001]))),
        ("LISTOFBLOCKS", list(0, 1, json!(H), json!(H))),
        ("LISTOFBLOCKS", json!({"from": 0, "latest": 0, "parent": H})),
    ]
}

fn wrong_data() -> Wrong {
    vec![
        ("BLOCK", json!({"number": 1})),
        ("BLOCK", json!({"data": "00"})),
        ("BLOCK", json!({"number": 1, "data": "0"})),
        ("BLOCK", json!({"number": 1, "data": "0G"})),
        ("BLOCK", json!({"number": 1, "data": "AA"})),
        ("BLOCK", json!({"number": 1, "data": [0]})),
        ("BLOCK", json!({"number": 1, "data": "00".repeat(3_060_134)})),
        ("PUSHTRANSACTION", json!([])),
        ("PUSHTRANSACTION", json!("00")),
        ("PUSHTRANSACTION", json!([0])),
        ("PUSHTRANSACTION", json!(["0"])),
        ("PUSHTRANSACTION", json!(vec!["00"; 1001])),
    ]
}

/// Entries of an ADDR that reject the message.
#[rustfmt::skip]
const NO_ADDRESSES: [&str; 25] = [
    "", ":", ":5", "1.2.3.4", "1.2.3.4:", "1.2.3.4:x", "1.2.3.4:65536", "1.2.3.4:+5", "1.2.3.4:05", "1.2.3.4:5 ",
    "1.2.3:5", "01.2.3.4:5", "256.2.3.4:5", "example.org:5", "::1:5", "[::1]", "[::1]:", "[1.2.3.4]:5", "[::1%1]:5",
    "[::1:5", "::1]:5", "[::g]:5", " 1.2.3.4:5", "1.2.3.4:-5", "1.2.3.4:5:6",
];

#[test]
fn every_right_form_is_read() {
    for (value, message) in right() {
        assert_eq!(read(&value).as_ref(), Ok(&message), "{value}");
        assert_eq!(value.as_object().and_then(|entry| entry.keys().next()).map(String::as_str), Some(message.method()));
    }
}

#[test]
fn every_wrong_form_is_a_slip_that_names_its_method() {
    for (method, payload) in wrong() {
        let refused = read(&json!({method: payload})).expect_err("a wrong form");
        assert_eq!(refused, Misbehavior::WrongForm(Method::from(method)), "{method}: {payload}");
    }
}

#[test]
fn unlisted_keys_are_passed_over() {
    for (value, message) in right() {
        let mut more = value.clone();
        let Some(Value::Object(payload)) = more.as_object_mut().and_then(|entry| entry.values_mut().next()) else {
            continue;
        };
        payload.insert("aaa".to_owned(), json!([{"number": "x", "b": [1.5, null, "}"]}, -1e9]));
        payload.insert("zzz".to_owned(), json!({"deep": {"er": [[[]]]}}));
        assert_eq!(read(&more), Ok(message), "{more}");
    }
}

#[test]
fn methods_keys_and_values_are_compared_after_unescaping() {
    let line = br#"{"\u0048E\u0059":{"block\u005fcount":5}}"#;
    assert_eq!(decode(line), Ok(Message::Hey { block_count: 5 }));
    let line = br#"{"ADDR":["1.2.3.4\u003a5"]}"#;
    assert_eq!(decode(line), Ok(Message::Addr(vec!["1.2.3.4:5".parse().expect("one")])));
    let line = format!(r#"{{"BROADCASTTRANSACTION":{{"id":"\u0030{}"}}}}"#, &H[1..]);
    assert_eq!(decode(line.as_bytes()), Ok(Message::BroadcastTransaction(hash())));
    for other in ["hey", "Hey", "HEY ", " HEY", "HEY\\u0000"] {
        let line = format!("{{\"{other}\":{{\"block_count\":5}}}}");
        assert!(matches!(decode(line.as_bytes()), Err(Misbehavior::UnknownMethod(_))), "{other}");
    }
}

#[test]
fn the_offending_key_is_cut_and_made_printable() {
    let named = |key: &str| {
        let refused = read(&json!({key: 1})).expect_err("unknown");
        assert!(matches!(refused, Misbehavior::UnknownMethod(_)));
        let farewell = refused.farewell().expect("it is answered");
        let reject: Value = serde_json::from_slice(&farewell).expect("JSON");
        assert_eq!(decode(&farewell), Ok(Message::Reject), "what we send has the form that we take");
        reject["REJECT"]["method"].as_str().expect("text").to_owned()
    };
    assert_eq!(named("FOO"), "FOO");
    assert_eq!(named(""), "");
    assert_eq!(named(&"x".repeat(33)), "x".repeat(32));
    assert_eq!(named("a\n\u{7f}é😀\"\\~ "), "a????\"\\~ ");
    assert_eq!(named(&"é".repeat(40)), "?".repeat(32));
}

#[test]
fn a_malformed_reject_is_never_answered() {
    let payloads = [
        json!(null),
        json!({}),
        json!({"method": "x"}),
        json!({"reason": "x"}),
        json!({"method": 1, "reason": ""}),
        json!({"method": "x".repeat(33), "reason": ""}),
        json!({"method": "", "reason": "x".repeat(129)}),
        json!({"method": "é", "reason": ""}),
        json!({"method": "", "reason": "\n"}),
    ];
    for payload in payloads {
        let refused = read(&json!({"REJECT": payload})).expect_err("malformed");
        assert_eq!((refused, refused.farewell()), (Misbehavior::MalformedReject, None), "{payload}");
    }
    for line in
        [&br#"{"REJECT":{"method":"","method":"","reason":""}}"#[..], br#"{"REJECT":[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]}"#]
    {
        assert_eq!(decode(line), Err(Misbehavior::MalformedReject));
    }
}

#[test]
fn refusals_name_what_they_can() {
    let cases: [(&[u8], Misbehavior); 8] = [
        (b"", Misbehavior::NotAnObject),
        (b"\n", Misbehavior::NotAnObject),
        (b"[]\n", Misbehavior::NotAnObject),
        (b"\"HEY\"\n", Misbehavior::NotAnObject),
        (b"{}\r\n", Misbehavior::NotOneEntry),
        (b"{\"HEY\":{\"block_count\":1},\"GETADDR\":null}\n", Misbehavior::NotOneEntry),
        (b"{\"HEY\":1,\"HEY\":1}\n", Misbehavior::DuplicateKey(Method::from("HEY"))),
        (b"{\"HEY\":[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]}\n", Misbehavior::TooDeep(Method::from("HEY"))),
    ];
    for (line, expected) in cases {
        assert_eq!(decode(line), Err(expected));
    }
    assert_eq!(decode(b"{\"HEY\":{\"block_count\":5}}\r\n"), Ok(Message::Hey { block_count: 5 }));
    assert_eq!(decode(b" { \"HEY\" : {\t\"block_count\" : 5 } } \r\n"), Ok(Message::Hey { block_count: 5 }));
}

#[test]
fn what_we_write_is_what_we_read() {
    let hello = Hello {
        block_count: (1 << 53) - 1,
        time: 0,
        port: 65535,
        genesis: Some(hash()),
        agent: Some("polypeer/0.1.0 \"x\\".to_owned()),
        nonce: Some(5),
    };
    let list = List { from: 3, latest: 20_000, parent: hash(), hashes: vec![hash(); 10_000] };
    let ask = GetList { from: 1, latest: 2, transactions: vec![hash(); 1000] };
    let addresses: Vec<_> = ["1.2.3.4:5", "[2001:db8::1]:65535"].map(|text| text.parse().expect("one")).into();
    let block: Vec<u8> = (0..3_060_133_u32).map(|at| (at % 251) as u8).collect();
    let written = [
        (wire::hello(&hello), Message::Hello(hello)),
        (wire::hey(7), Message::Hey { block_count: 7 }),
        (wire::getaddr(0), Message::GetAddr(Some(0))),
        (wire::addr(&addresses), Message::Addr(addresses)),
        (wire::broadcast_block(7, &hash()), Message::BroadcastBlock { number: 7, hash: Some(hash()) }),
        (wire::getblock(&Question::Transaction(hash())), Message::GetBlock(Question::Transaction(hash()))),
        (wire::notfound(&Question::Number(0)), Message::NotFound(Question::Number(0))),
        (wire::getlist(&ask), Message::GetList(ask)),
        (wire::list(&list), Message::List(list)),
        (wire::block(9, &block), Message::Block { number: 9, data: block.into() }),
        (
            wire::push_transaction(&[[1, 2], [3, 4]]),
            Message::PushTransaction(vec![vec![1, 2].into(), vec![3, 4].into()]),
        ),
        (wire::broadcast_transaction(&hash()), Message::BroadcastTransaction(hash())),
        (wire::reject(&Method::from("HEY"), "why"), Message::Reject),
    ];
    for (line, message) in written {
        assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
        assert!(line.ends_with(b"}\n") && line.len() <= 8 << 20);
        assert_eq!(decode(&line), Ok(message));
    }
}

/// Feeds bytes in pieces of these lengths, each time with a buffer that grew a little, and takes what comes out.
fn cut(bytes: &[u8], pieces: impl IntoIterator<Item = usize>, phase: Phase, max: usize) -> Vec<Framed> {
    let mut lines = Lines::new(max);
    let mut buffer = BytesMut::new();
    let mut out = Vec::new();
    let mut rest = bytes;
    let mut pieces = pieces.into_iter();
    while !rest.is_empty() {
        let length = pieces.next().unwrap_or(rest.len()).clamp(1, rest.len());
        let (piece, after) = rest.split_at(length);
        rest = after;
        buffer.extend_from_slice(piece);
        loop {
            let framed = lines.next(phase, &mut buffer);
            if framed == Framed::More {
                break;
            }
            out.push(framed);
        }
    }
    out
}

fn frames(framed: &[Framed]) -> Vec<&[u8]> {
    framed
        .iter()
        .map(|framed| match framed {
            Framed::Frame(frame) => &frame[..],
            _ => &b"bad"[..],
        })
        .collect()
}

#[test]
fn lines_are_the_same_however_they_are_split() {
    let bytes = b"{\"HEY\":1}\n\n\r\n{}\nabc\r\nlast";
    let expected: [&[u8]; 5] = [b"{\"HEY\":1}\n", b"\n", b"\r\n", b"{}\n", b"abc\r\n"];
    for first in 0..bytes.len() {
        for second in 0..bytes.len() {
            let out = cut(bytes, [first, second], wire::OPEN, 100);
            assert_eq!(frames(&out), expected, "{first} {second}");
        }
    }
    assert_eq!(frames(&cut(bytes, std::iter::repeat(1), wire::OPEN, 100)), expected);
}

#[test]
fn a_line_as_long_as_allowed_passes_and_one_byte_more_does_not() {
    for (phase, max) in [(Phase(0), 1024), (wire::OPEN, 5000)] {
        for length in [max - 1, max, max + 1, max * 2] {
            let mut line = vec![b'x'; length - 1];
            line.push(b'\n');
            for pieces in [vec![], vec![max - 1], vec![max], vec![1; length]] {
                let out = cut(&line, pieces, phase, 5000);
                if length <= max {
                    assert_eq!(frames(&out), [&line[..]], "{length}");
                } else {
                    assert!(matches!(&out[..], [Framed::Bad(bad)] if bad.fatal && bad.head.is_empty()), "{length}");
                }
            }
        }
    }
}

#[test]
fn a_line_too_long_is_known_as_soon_as_it_cannot_end_in_time_and_nothing_is_kept() {
    let mut lines = Lines::new(100);
    let mut buffer = BytesMut::from(&[b'x'; 99][..]);
    assert_eq!(lines.next(wire::OPEN, &mut buffer), Framed::More);
    buffer.extend_from_slice(b"x");
    assert!(matches!(lines.next(wire::OPEN, &mut buffer), Framed::Bad(_)));
    assert!(buffer.is_empty());
    buffer.extend_from_slice(b"more\nand more\n");
    assert_eq!((lines.next(wire::OPEN, &mut buffer), buffer.len()), (Framed::More, 0));
}

#[test]
fn the_limit_grows_for_bytes_that_are_in_the_buffer_already() {
    let mut lines = Lines::new(8 << 20);
    let mut buffer = BytesMut::from(&b"{\"HEY\":1}\n"[..]);
    buffer.extend_from_slice(&[b'x'; 4000]);
    assert!(matches!(lines.next(Phase(0), &mut buffer), Framed::Frame(_)));
    assert_eq!(lines.next(wire::OPEN, &mut buffer), Framed::More);
    buffer.extend_from_slice(b"\n");
    assert!(matches!(lines.next(wire::OPEN, &mut buffer), Framed::Frame(frame) if frame.len() == 4001));
}

proptest! {
    #[test]
    fn any_split_of_any_bytes_gives_the_same_lines(
        bytes in prop::collection::vec(prop_oneof![3 => Just(b'x'), 1 => Just(b'\n'), 1 => any::<u8>()], 0..400),
        pieces in prop::collection::vec(1_usize..40, 0..40),
    ) {
        let whole = cut(&bytes, [], wire::OPEN, 64);
        prop_assert_eq!(&cut(&bytes, pieces, wire::OPEN, 64), &whole);
        prop_assert_eq!(&cut(&bytes, std::iter::repeat(1), wire::OPEN, 64), &whole);
    }

    #[test]
    fn no_line_makes_the_decoder_panic(line in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&line);
    }

    #[test]
    fn cut_messages_are_refused(which in 0_usize..26, at in any::<prop::sample::Index>()) {
        let (value, _) = &right()[which];
        let line = value.to_string();
        let cut = &line.as_bytes()[..at.index(line.len())];
        prop_assert_eq!(decode(cut), Err(Misbehavior::NotAnObject));
    }
}
