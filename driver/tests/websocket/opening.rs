//! WebSockets that are opened, and those that are refused.

use crate::oracle::{self, Listener};
use crate::raw::{BINARY, FIN, Raw, aside, granted, request};
use crate::toy::{Config, LIMIT, Parrot, Toy, connect, drain, network, run, until, until_connected};
use bytes::Bytes;
use polypeer_driver::{Handle, start};
use polypeer_engine::DialFailure;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

// Says something, and what comes back until the node has closed.
async fn say(address: SocketAddr, bytes: &[u8]) -> String {
    let mut socket = TcpStream::connect(address).await.expect("it accepts");
    // The node may have heard enough before all is said.
    let _ = socket.write_all(bytes).await;
    let mut back = Vec::new();
    let _ = timeout(LIMIT, socket.read_to_end(&mut back)).await.expect("it closes");
    String::from_utf8(back).expect("HTTP")
}

#[tokio::test]
async fn what_is_no_upgrade_is_refused_as_http_says() {
    let node = run(Config::default());
    let address = node.listening().expect("it listens");
    let good = request(KEY);
    let without = |header: &str| {
        let lines = good.split_inclusive("\r\n").filter(|line| !line.starts_with(header));
        lines.collect::<String>()
    };
    let with = |header: &str, value: &str| {
        without(header).replace("Host: x\r\n", &format!("Host: x\r\n{header}: {value}\r\n"))
    };
    let cases = [
        (without("Upgrade"), "426 Upgrade Required"),
        (without("Connection"), "426 Upgrade Required"),
        (with("Upgrade", "h2c"), "426 Upgrade Required"),
        (with("Connection", "keep-alive"), "426 Upgrade Required"),
        ("GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), "426 Upgrade Required"),
        (without("Sec-WebSocket-Version"), "400 Bad Request"),
        (with("Sec-WebSocket-Version", "12"), "400 Bad Request"),
        (without("Sec-WebSocket-Key"), "400 Bad Request"),
        (with("Sec-WebSocket-Key", "short"), "400 Bad Request"),
        (with("Sec-WebSocket-Key", "!!!!!!!!!!!!!!!!!!!!!!!!"), "400 Bad Request"),
        (good.replace("HTTP/1.1", "HTTP/1.0"), "400 Bad Request"),
        (good.replace("Host: x", "no header"), "400 Bad Request"),
        (good.replace("Host: x", &format!("Host: {}", "x".repeat(9000))), "431 Request Header Fields Too Large"),
    ];
    let count = cases.len() as u64;
    for (request, status) in cases {
        let answer = say(address, request.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{request}{answer}");
        assert!(answer.contains("server: polypeer/") && answer.ends_with("\r\n\r\n"), "{answer}");
        assert_eq!(
            answer.contains("sec-websocket-version: 13"),
            request.contains("Version: 12") || !request.contains("Version") && status.starts_with("400")
        );
    }
    let totals = node.read(|view| *view.meters.totals()).await.expect("it runs");
    assert_eq!(
        (totals.accepted, totals.calls_refused, totals.calls_failed),
        (0, count, count),
        "the engine heard of none"
    );
    drain(node).await;
}

#[tokio::test]
async fn what_is_no_http_is_closed_at_once() {
    let node = run(Config { open_ms_max: 60_000, ..Config::default() });
    let address = node.listening().expect("it listens");
    for bytes in
        [&b"\x82\x85\0\0\0\0hello"[..], b"POST / HTTP/1.1\r\n", b"\x16\x03\x01", b"PRI * HTTP/2.0\r\n\r\n", b"GEX"]
    {
        assert_eq!(say(address, bytes).await, "");
    }
    let totals = node.read(|view| *view.meters.totals()).await.expect("it runs");
    assert_eq!((totals.accepted, totals.calls_refused, totals.calls_failed), (0, 0, 5));
    drain(node).await;
}

#[tokio::test]
async fn offers_and_paths_are_not_looked_at() {
    let node = run(Config::default());
    let address = node.listening().expect("it listens");
    for (from, to) in [
        ("Host: x\r\n", "Host: x\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"),
        ("Host: x\r\n", "Host: x\r\nSec-WebSocket-Protocol: chat, superchat\r\n"),
        ("Host: x\r\n", "Host: x\r\nOrigin: http://evil.example\r\n"),
        ("GET / ", "GET /any/path?and=query "),
        ("Connection: Upgrade", "connection: keep-alive, upgrade"),
        ("Upgrade: websocket", "upgrade: WebSocket"),
    ] {
        let asked = request(KEY).replace(from, to);
        assert_ne!(asked, request(KEY));
        let head = aside(move || {
            let mut raw = Raw::connect(address);
            raw.send(asked.as_bytes());
            let head = raw.head().expect("an answer");
            raw.ask(b'e', b"as ever");
            head
        })
        .await;
        let mut lines: Vec<_> = head.trim_end().split("\r\n").map(str::to_lowercase).collect();
        lines[1..].sort();
        let server = format!("server: polypeer/{}", env!("CARGO_PKG_VERSION"));
        let expected = [
            "http/1.1 101 switching protocols",
            "connection: upgrade",
            "sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=",
            &server,
            "upgrade: websocket",
        ];
        assert_eq!(lines, expected, "no word of an extension or a subprotocol");
    }
    drain(node).await;
}

#[tokio::test]
async fn we_ask_as_a_node_does() {
    let recorded = include_str!("fixtures/http_upgrade_request.bin");
    let node = run(Config::default());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let theirs = listener.local_addr().expect("a socket");
    let heads = tokio::task::spawn_blocking(move || {
        let (socket, _) = listener.accept().expect("it dials");
        let mut head = String::new();
        let mut lines = std::io::BufRead::lines(std::io::BufReader::new(socket));
        while let Some(Ok(line)) = lines.next().filter(|line| line.as_ref().is_ok_and(|line| !line.is_empty())) {
            head += &format!("{line}\n");
        }
        head
    });
    connect(&node, theirs).await;
    let asked = heads.await.expect("no panic");
    // The request line, then names and values without those that are each one's own.
    let fields = |head: &str| {
        let mut fields: Vec<_> = head
            .lines()
            .filter(|line| !line.is_empty())
            .map(|line| match line.split_once(": ") {
                Some((name @ ("Host" | "Sec-WebSocket-Key"), _)) => name.to_lowercase(),
                Some((name, _)) if name.eq_ignore_ascii_case("User-Agent") => name.to_lowercase(),
                _ => line.to_lowercase(),
            })
            .collect();
        fields.sort();
        fields
    };
    assert_eq!(fields(&asked), fields(recorded));
    assert!(asked.contains(&format!("Host: {theirs}\n")) && asked.contains("user-agent: polypeer/"), "{asked}");
    drain(node).await;
}

#[tokio::test]
async fn what_follows_the_upgrade_at_once_is_heard() {
    let node = run(Config::default());
    let address = node.listening().expect("it listens");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let theirs = listener.local_addr().expect("a socket");
    aside(move || {
        let mut raw = Raw::connect(address);
        let asked = request(KEY);
        let all = [asked.as_bytes(), &raw.frame(FIN | BINARY, b"e one"), &raw.frame(FIN | BINARY, b"e two")];
        raw.send(&all.concat());
        assert!(raw.head().expect("an answer").starts_with("HTTP/1.1 101 "));
        raw.expect(b'e', b" one");
        raw.expect(b'e', b" two");
    })
    .await;
    let answering = tokio::task::spawn_blocking(move || {
        let (mut raw, accepted) = Raw::asked(&listener);
        let all = [granted(&accepted), raw.frame(FIN | BINARY, b"e one"), raw.frame(FIN | BINARY, b"e two")];
        raw.send(&all.concat());
        raw.expect(b'e', b" one");
        raw.expect(b'e', b" two");
    });
    connect(&node, theirs).await;
    answering.await.expect("it heard");
    drain(node).await;
}

#[tokio::test]
async fn a_head_may_come_in_bytes() {
    let node = run(Config::default());
    let address = node.listening().expect("it listens");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let theirs = listener.local_addr().expect("a socket");
    aside(move || {
        let mut raw = Raw::connect(address);
        for byte in request(KEY).as_bytes() {
            raw.send(&[*byte]);
        }
        assert!(raw.head().expect("an answer").starts_with("HTTP/1.1 101 "));
        raw.ask(b'e', b"");
    })
    .await;
    let answering = tokio::task::spawn_blocking(move || {
        let (mut raw, accepted) = Raw::asked(&listener);
        for byte in granted(&accepted) {
            raw.send(&[byte]);
        }
        raw.ask(b'e', b"");
    });
    connect(&node, theirs).await;
    answering.await.expect("it heard");
    drain(node).await;
}

#[tokio::test]
async fn who_takes_too_long_with_its_request_is_closed() {
    let node = run(Config { open_ms_max: 300, ..Config::default() });
    let address = node.listening().expect("it listens");
    for says in [&b""[..], b"G", b"GET / HTTP/1.1\r\nHost: x\r\n"] {
        let begun = Instant::now();
        assert_eq!(say(address, says).await, "");
        let took = begun.elapsed();
        assert!(took >= Duration::from_millis(290) && took < Duration::from_secs(2), "{took:?}");
    }
    // A byte at a time does not win any.
    let begun = Instant::now();
    let sent = aside(move || {
        let mut raw = Raw::connect(address);
        let mut sent = 0;
        let drip = request(KEY).replace("Host: x", &format!("Host: {}", "x".repeat(5000)));
        for byte in drip.as_bytes() {
            if std::io::Write::write_all(&mut raw.socket, &[*byte]).is_err() {
                break;
            }
            sent += 1;
            std::thread::sleep(Duration::from_millis(10));
        }
        sent
    });
    assert!(sent.await < 200 && begun.elapsed() < Duration::from_secs(4));
    until(&node, "counted", |view| view.meters.totals().calls_failed == 4).await;
    drain(node).await;
}

#[tokio::test]
async fn a_third_pending_handshake_of_one_address_is_refused_until_another_ends() {
    let mut network = network(Config { needs_greeting: true, ..Config::default() });
    network.p2p.spare_loopback = false;
    let node = start(network, Parrot(Duration::ZERO), None).expect("a free port");
    let address = node.listening().expect("it listens");
    let mut first = oracle::open(address).await.expect("a WebSocket");
    let second = oracle::open(address).await.expect("a WebSocket");
    refused(&node).await;
    // One of them has gone.
    drop(second);
    until_connected(&node, 1).await;
    let third = oracle::open(address).await.expect("a WebSocket");
    refused(&node).await;
    // One of them is done.
    first.ask(b'h', b"").await;
    let fourth = oracle::open(address).await.expect("a WebSocket");
    refused(&node).await;
    let totals = node.read(|view| *view.meters.totals()).await.expect("it runs");
    assert_eq!((totals.accepted, totals.calls_refused), (4, 3), "the engine heard of none that was refused");
    drop((first, third, fourth));
    drain(node).await;
}

async fn refused(node: &Handle<Toy>) {
    let answer = say(node.listening().expect("it listens"), request(KEY).as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{answer}");
}

#[tokio::test]
async fn sockets_without_a_request_have_places_too() {
    const PER_IP_MAX: u64 = 16;
    let mut network = network(Config::default());
    network.p2p.spare_loopback = false;
    let node = start(network, Parrot(Duration::ZERO), None).expect("a free port");
    let address = node.listening().expect("it listens");
    let mut silent = Vec::new();
    for _ in 0..PER_IP_MAX {
        silent.push(TcpStream::connect(address).await.expect("it accepts"));
    }
    assert_eq!(say(address, b"").await, "", "closed at once");
    assert_eq!(node.read(|view| view.meters.totals().calls_refused).await, Ok(1));
    // The places are free again when those are gone.
    drop(silent);
    until(&node, "gone", |view| view.meters.totals().calls_failed == PER_IP_MAX).await;
    let mut talk = oracle::open(address).await.expect("a WebSocket");
    assert_eq!(talk.ask(b'e', b"").await.0, b'e');
    drop(talk);
    drain(node).await;
}

#[tokio::test]
async fn several_peers_behind_one_address_have_one_each() {
    let node = run(Config::default());
    let address = node.listening().expect("it listens");
    let mut talks = Vec::new();
    for number in 0..20u8 {
        let mut talk = oracle::open(address).await.expect("a WebSocket");
        assert_eq!(talk.ask(b'e', &[number]).await, (b'e', Bytes::copy_from_slice(&[number])));
        talks.push(talk);
    }
    until_connected(&node, 20).await;
    drop(talks);
    drain(node).await;
}

async fn until_failed(node: &Handle<Toy>, cause: DialFailure) {
    until(node, "the dial failed", move |view| view.engine.protocol().dials_failed == [cause]).await;
}

#[tokio::test]
async fn a_dial_that_is_answered_wrongly_fails() {
    type Answer = fn(&str) -> Vec<u8>;
    let answers: [(&str, Answer); 12] = [
        ("another key", |_| granted("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")),
        ("no key", |_| b"HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n".to_vec()),
        ("an extension", |accepted| with(accepted, "Sec-WebSocket-Extensions: permessage-deflate\r\n")),
        ("a subprotocol", |accepted| with(accepted, "Sec-WebSocket-Protocol: chat\r\n")),
        ("no upgrade", |accepted| text(accepted).replace("Upgrade: websocket\r\n", "").into()),
        ("no connection", |accepted| text(accepted).replace("Connection: upgrade\r\n", "").into()),
        ("another status", |accepted| text(accepted).replace("101", "200").into()),
        ("not found", |_| b"HTTP/1.1 404 Not Found\r\n\r\n".to_vec()),
        ("elsewhere", |_| b"HTTP/1.1 301 Moved\r\nLocation: ws://127.0.0.1/\r\n\r\n".to_vec()),
        ("too long", |accepted| with(accepted, &format!("X: {}\r\n", "x".repeat(9000)))),
        ("no HTTP", |_| b"220 smtp\r\n".to_vec()),
        ("nothing", |_| Vec::new()),
    ];
    for (what, answer) in answers {
        let node = run(Config::default());
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let theirs = listener.local_addr().expect("a socket");
        let answering = tokio::task::spawn_blocking(move || {
            let (mut raw, accepted) = Raw::asked(&listener);
            let _ = std::io::Write::write_all(&mut raw.socket, &answer(&accepted));
        });
        connect(&node, theirs).await;
        answering.await.expect(what);
        until_failed(&node, DialFailure::Transport).await;
        drain(node).await;
    }
}

fn text(accepted: &str) -> String {
    String::from_utf8(granted(accepted)).expect("HTTP")
}

fn with(accepted: &str, header: &str) -> Vec<u8> {
    text(accepted).replace("Upgrade: websocket\r\n", &format!("Upgrade: websocket\r\n{header}")).into()
}

#[tokio::test]
async fn a_dial_that_is_not_answered_fails_when_its_time_is_over() {
    let node = run(Config { open_ms_max: 300, ..Config::default() });
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let begun = Instant::now();
    connect(&node, listener.local_addr().expect("a socket")).await;
    let (mut socket, _) = listener.accept().await.expect("it dials");
    until_failed(&node, DialFailure::Transport).await;
    assert!(begun.elapsed() >= Duration::from_millis(300));
    let mut request = Vec::new();
    timeout(LIMIT, socket.read_to_end(&mut request)).await.expect("it hangs up").expect("in order");
    assert!(request.starts_with(b"GET / HTTP/1.1\r\n") && request.ends_with(b"\r\n\r\n"));
    drain(node).await;
}

#[tokio::test]
async fn nobody_is_let_in_while_we_go_down() {
    let node = run(Config { linger_ms: 1000, ..Config::default() });
    let address = node.listening().expect("it listens");
    // One that lingers, one that has asked half.
    let mut raw = aside(move || Raw::open(address)).await;
    let half = request(KEY);
    let (front, back) = half.split_at(half.len() / 2);
    let mut late = TcpStream::connect(address).await.expect("it accepts");
    late.write_all(front.as_bytes()).await.expect("it reads");
    tokio::time::sleep(Duration::from_millis(100)).await;
    let ending = tokio::spawn(drain(node));
    raw = aside(move || {
        raw.expect(b'z', b"bye");
        raw
    })
    .await;
    late.write_all(back.as_bytes()).await.expect("it reads");
    let mut answer = String::new();
    timeout(LIMIT, late.read_to_string(&mut answer)).await.expect("it closes").expect("in order");
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    drop(raw);
    ending.await.expect("it ends");
}

#[tokio::test]
async fn tokio_tungstenite_is_dialled_and_dials() {
    let node = run(Config::default());
    let listener = Listener::new().await;
    connect(&node, listener.address()).await;
    let mut accepted = listener.accept().await;
    assert_eq!(accepted.ask(b'e', b"hello").await, (b'e', Bytes::from_static(b"hello")));
    let mut dialled = oracle::open(node.listening().expect("it listens")).await.expect("a WebSocket");
    assert_eq!(dialled.ask(b'e', b"hello").await, (b'e', Bytes::from_static(b"hello")));
    drain(node).await;
}
