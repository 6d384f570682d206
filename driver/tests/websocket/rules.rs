//! What breaks the rules of WebSocket is told in a CLOSE with the code for it, and ends the connection.

use crate::raw::{BINARY, CLOSE, FIN, MORE, PING, PONG, Raw, TEXT, aside, header, masked, plain};
use crate::toy::{Config, Toy, connect, drain, run, until, until_connected};
use polypeer_driver::Handle;
use polypeer_engine::{BadFrame, DisconnectCause};

const PROTOCOL: u16 = 1002;
const NOT_TEXT: u16 = 1007;
const TOO_LONG: u16 = 1009;

// A frame by hand: any first byte, any second, any form of length.
fn odd(bytes: &[&[u8]]) -> Vec<u8> {
    bytes.concat()
}

// What both ends may do wrong; `frame` masks where it must.
fn wrongs(frame: impl Fn(u8, &[u8]) -> Vec<u8>, key: Option<[u8; 4]>) -> Vec<(&'static str, Vec<u8>, u16)> {
    let mask = if key.is_some() { 0x80 } else { 0 };
    let key_bytes = key.map(|key| key.to_vec()).unwrap_or_default();
    let mut wrongs = vec![
        ("the first reserved bit", frame(0xc2, b"x"), PROTOCOL),
        ("the second reserved bit", frame(0xa2, b"x"), PROTOCOL),
        ("the third reserved bit", frame(0x92, b"x"), PROTOCOL),
        ("a reserved bit of a ping", frame(PING | 0x40, b"x"), PROTOCOL),
        ("a reserved bit of a fragment", [frame(BINARY, b"x"), frame(FIN | MORE | 0x40, b"x")].concat(), PROTOCOL),
        ("a fragment of nothing", frame(FIN | MORE, b"x"), PROTOCOL),
        ("a fragment of nothing, unfinished", frame(MORE, b"x"), PROTOCOL),
        ("a message within a message", [frame(BINARY, b"x"), frame(FIN | BINARY, b"x")].concat(), PROTOCOL),
        ("a text within a message", [frame(BINARY, b"x"), frame(TEXT, b"x")].concat(), PROTOCOL),
        ("a fragment after the last", [frame(BINARY, b"."), frame(FIN, b"x"), frame(FIN, b"x")].concat(), PROTOCOL),
        ("a ping in fragments", frame(PING & !FIN, b"x"), PROTOCOL),
        ("a pong in fragments", frame(PONG & !FIN, b"x"), PROTOCOL),
        ("a close in fragments", frame(CLOSE & !FIN, b""), PROTOCOL),
        ("a ping of 126 bytes", frame(PING, &[1; 126]), PROTOCOL),
        ("a pong of 70,000 bytes", frame(PONG, &[1; 70_000]), PROTOCOL),
        ("a close of 126 bytes", frame(CLOSE, &[3; 126]), PROTOCOL),
        ("a close of one byte", frame(CLOSE, &[3]), PROTOCOL),
        ("a close whose reason is no text", frame(CLOSE, b"\x03\xe8\xff"), NOT_TEXT),
        ("text that is none", frame(FIN | TEXT, b".\xff"), NOT_TEXT),
        ("text that ends within a letter", frame(FIN | TEXT, b".\xc3"), NOT_TEXT),
        ("text that is none once it is whole", [frame(TEXT, b".\xc3"), frame(FIN | MORE, b"x")].concat(), NOT_TEXT),
        ("a length of two bytes for 125", odd(&[&[0x82, mask | 126, 0, 125], &key_bytes]), PROTOCOL),
        (
            "a length of eight bytes for 65,535",
            odd(&[&[0x82, mask | 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff], &key_bytes]),
            PROTOCOL,
        ),
        ("a length of 2^63", odd(&[&[0x82, mask | 127, 0x80, 0, 0, 0, 0, 0, 0, 0], &key_bytes]), TOO_LONG),
        ("a length of 2^64 - 1", odd(&[&[0x82, mask | 127], &[0xff; 8], &key_bytes]), TOO_LONG),
        ("32,000,001 bytes", header(FIN | BINARY, 32_000_001, key), TOO_LONG),
        ("32,000,001 bytes of text", header(FIN | TEXT, 32_000_001, key), TOO_LONG),
        ("32,000,001 bytes, to begin with", header(BINARY, 32_000_001, key), TOO_LONG),
        ("one byte more after 31,999,999", [frame(BINARY, b"x"), header(FIN, 32_000_000, key)].concat(), TOO_LONG),
    ];
    wrongs.extend((3..8).map(|kind| ("a kind of data that is none", frame(FIN | kind, b"x"), PROTOCOL)));
    wrongs.extend((11..16).map(|kind| ("a kind of control that is none", frame(FIN | kind, b"x"), PROTOCOL)));
    let codes = [0_u16, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535];
    wrongs.extend(codes.map(|code| ("a close with a code that is none", frame(CLOSE, &code.to_be_bytes()), PROTOCOL)));
    wrongs
}

// Breaks the rules on one connection after another. What came before is heard, and nothing behind.
async fn check(node: &Handle<Toy>, what: &'static str, mut raw: Raw, wrong: Vec<u8>, code: u16) {
    let behind = raw.frame(FIN | BINARY, b".never");
    aside(move || {
        raw.ask(b'e', b"before");
        raw.send(&[wrong, behind].concat());
        assert_eq!(raw.receive().expect(what).body, b"zbye", "{what}");
        assert_eq!(raw.closed(), code.to_be_bytes(), "{what}");
    })
    .await;
    until_connected(node, 0).await;
    let told = node.read(|view| {
        let toy = view.engine.protocol();
        (toy.bad.last().copied(), toy.gone.last().copied(), toy.last.ends_with(b"never"))
    });
    let expected = (Some(BadFrame::OF_TRANSPORT), Some(DisconnectCause::Ours), false);
    assert_eq!(told.await, Ok(expected), "{what}");
}

#[tokio::test]
async fn who_dialled_us_hears_what_it_did_wrong() {
    let node = run(Config::default());
    let address = node.listening().expect("it listens");
    let key = [1, 2, 3, 4];
    let mut wrongs = wrongs(masked, Some(key));
    wrongs.push(("no mask", plain(FIN | BINARY, b".x"), PROTOCOL));
    wrongs.push(("no mask on a ping", plain(PING, b""), PROTOCOL));
    wrongs.push(("no mask on a close", plain(CLOSE, b""), PROTOCOL));
    wrongs.push(("no mask on a second fragment", [masked(BINARY, b"x"), plain(FIN | MORE, b"x")].concat(), PROTOCOL));
    for (what, wrong, code) in wrongs {
        let raw = aside(move || Raw::open(address)).await;
        check(&node, what, raw, wrong, code).await;
    }
    drain(node).await;
}

#[tokio::test]
async fn whom_we_dialled_hears_it_too() {
    let listener = std::sync::Arc::new(std::net::TcpListener::bind("127.0.0.1:0").expect("a free port"));
    let theirs = listener.local_addr().expect("a socket");
    let mut wrongs = wrongs(plain, None);
    wrongs.push(("a mask", masked(FIN | BINARY, b".x"), PROTOCOL));
    wrongs.push(("a mask on a ping", masked(PING, b""), PROTOCOL));
    let node = run(Config::default());
    for (what, wrong, code) in wrongs {
        let accepting = listener.clone();
        let accepting = tokio::task::spawn_blocking(move || Raw::accept(&accepting));
        connect(&node, theirs).await;
        let raw = accepting.await.expect("it dials");
        check(&node, what, raw, wrong, code).await;
    }
    drain(node).await;
}

#[tokio::test]
async fn what_the_protocol_itself_refuses_ends_with_an_empty_close() {
    let node = run(Config::default());
    let address = node.listening().expect("it listens");
    aside(move || {
        let mut raw = Raw::open(address);
        // Longer than the toy takes so early, and no more than WebSocket does.
        raw.message(b'e', &[1; 1024]);
        assert_eq!(raw.receive().expect("the last word").body, b"zbye");
        assert_eq!(raw.closed_in_order(), b"");
    })
    .await;
    until(&node, "told", |view| view.engine.protocol().bad == [1]).await;
    drain(node).await;
}
