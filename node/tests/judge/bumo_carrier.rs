//! Section 1.1: the WebSocket that carries BUMO, as measured on the original.

use super::bumo::{Heard, PATIENCE, Peer};
use super::bumo_court::{Court, Plan};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
const KEY: &str = "Sec-WebSocket-Key: 72cvI2/FOlRL8jydxmVHww==\r\n";

// The head of the answer to a request with these headers; nothing when TCP just ends.
fn asked(court: &Court, target: &str, headers: &str) -> String {
    let mut stream = TcpStream::connect(court.node.address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let asked = format!("GET {target} HTTP/1.1\r\nHost: {}\r\n{headers}\r\n", court.node.address);
    stream.write_all(asked.as_bytes()).expect("it reads");
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|count| count == 1) {
        head.push(byte[0]);
    }
    String::from_utf8(head).expect("text").to_ascii_lowercase()
}

#[test]
fn the_upgrade_is_answered_as_the_original_does() {
    let court = Court::new(&Plan::new(1, None, Duration::from_secs(10)));
    let version = "Sec-WebSocket-Version: 13\r\n";
    for target in ["/", "/any/path?and=query"] {
        let offers = "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Extensions: permessage-deflate\r\n";
        let answer = asked(&court, target, &format!("{UPGRADE}{KEY}{version}{offers}"));
        assert!(answer.starts_with("http/1.1 101 "), "{answer}");
        assert!(!answer.contains("sec-websocket-protocol") && !answer.contains("sec-websocket-extensions"), "{answer}");
    }
    let answer = asked(&court, "/", "");
    assert!(answer.starts_with("http/1.1 426 "), "no upgrade: {answer}");
    let answer = asked(&court, "/", &format!("{UPGRADE}{KEY}Sec-WebSocket-Version: 99\r\n"));
    assert!(answer.starts_with("http/1.1 400 ") && answer.contains("sec-websocket-version: "), "{answer}");
    let answer = asked(&court, "/", &format!("{UPGRADE}{version}"));
    assert!(answer.starts_with("http/1.1 400 "), "no key: {answer}");
    let mut stream = TcpStream::connect(court.node.address).expect("it listens");
    stream.write_all(b"\x00\x01\x02 no HTTP at all\r\n\r\n").expect("it reads");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut rest = Vec::new();
    assert!(stream.read_to_end(&mut rest).is_ok() && !rest.starts_with(b"HTTP/1.1 101"), "TCP ends");
}

#[test]
fn a_close_is_echoed_and_a_ping_gets_its_pong() {
    let court = Court::new(&Plan::new(1, None, Duration::from_secs(10)));
    let mut peer = court.peer("controlling");
    peer.socket.say(9, b"a payload");
    peer.until(PATIENCE, |heard| *heard == Heard::Pong(b"a payload".to_vec()));
    let with_code = [&1001_u16.to_be_bytes()[..], b"going"].concat();
    for (payload, echo) in [(&with_code[..], &with_code[..]), (&[], &1000_u16.to_be_bytes())] {
        let mut peer = court.peer(if payload.is_empty() { "leaving" } else { "leaving with a code" });
        peer.socket.say(8, payload);
        assert_eq!(peer.closed(PATIENCE).1, echo);
        peer.until(PATIENCE, |heard| *heard == Heard::End);
    }
    // A reserved bit, a text that is none: the protocol's own codes.
    let code = |close: Vec<u8>| u16::from_be_bytes(close[..2].try_into().expect("a code"));
    let mut peer = court.peer("reserved");
    peer.socket.raw(&super::websocket::frame(0xc2, true, b"\x08\x01"));
    assert_eq!(code(peer.closed(PATIENCE).1), 1002);
    let mut peer: Peer = court.peer("no text");
    peer.socket.say(1, b"\xff\xfe");
    assert_eq!(code(peer.closed(PATIENCE).1), 1007);
}
