//! Calls that are opened, and those that are refused.

use crate::oracle::{self, GZIP, Listener, PLAIN, Style};
use crate::raw::{Came, DATA, END_HEADERS, HEADERS, RST_STREAM, Raw, frame, headers};
use crate::toy::{Config, LIMIT, PATH, Parrot, Toy, connect, drain, network, run, until, until_connected};
use bytes::Bytes;
use h2::RecvStream;
use http::{HeaderMap, Method, Request, Response};
use polypeer_driver::{Handle, start};
use polypeer_engine::DialFailure;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tonic::Code;
use tonic::codec::CompressionEncoding;

// Asks by HTTP/2 itself, and says nothing more.
async fn ask(address: SocketAddr, request: Request<()>) -> Response<RecvStream> {
    let socket = TcpStream::connect(address).await.expect("it accepts");
    let (mut requests, connection) = h2::client::handshake(socket).await.expect("HTTP/2");
    tokio::spawn(connection);
    let (response, sending) = requests.send_request(request, false).expect("a request");
    let response = timeout(LIMIT, response).await.expect("headers come at once").expect("a response");
    drop(sending);
    response
}

fn request(address: SocketAddr, method: Method, path: &str, headers: &[(&'static str, &'static str)]) -> Request<()> {
    let mut request = Request::builder().method(method).uri(format!("http://{address}{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).expect("a request")
}

const TYPE: (&str, &str) = ("content-type", "application/grpc");

#[tokio::test]
async fn headers_come_at_once_to_a_client_that_says_nothing() {
    let node = run(Config::default());
    let address = node.listening().expect("it listens");
    let response = ask(address, request(address, Method::POST, PATH, &[TYPE])).await;
    assert_eq!(
        (response.status().as_u16(), response.headers()["content-type"].as_bytes()),
        (200, &b"application/grpc"[..])
    );
    assert_eq!((response.headers().get("grpc-encoding"), response.body().is_end_stream()), (None, false));
    drop(response);
    until_connected(&node, 0).await;
    drain(node).await;
}

#[tokio::test]
async fn what_is_no_call_of_ours_is_refused_as_grpc_says() {
    let node = run(Config::default());
    let address = node.listening().expect("it listens");
    let zstd = ("grpc-encoding", "zstd");
    let cases = [
        (Method::POST, "/toy.Peer/Other", vec![TYPE], 200, Some("12")),
        (Method::POST, "/", vec![TYPE], 200, Some("12")),
        (Method::GET, PATH, vec![TYPE], 405, None),
        (Method::POST, PATH, vec![], 415, None),
        (Method::POST, PATH, vec![("content-type", "application/json")], 415, None),
        (Method::POST, PATH, vec![TYPE, zstd], 200, Some("12")),
    ];
    let count = cases.len() as u64;
    for (method, path, headers, status, grpc_status) in cases {
        let response = ask(address, request(address, method, path, &headers)).await;
        let grpc = |headers: &HeaderMap| headers.get("grpc-status").map(|value| value.as_bytes().to_vec());
        assert_eq!(
            (response.status().as_u16(), grpc(response.headers())),
            (status, grpc_status.map(|s| s.as_bytes().to_vec()))
        );
        assert!(response.body().is_end_stream());
    }
    let totals = node.read(|view| *view.meters.totals()).await.expect("it runs");
    assert_eq!((totals.accepted, totals.calls_refused), (0, count), "the engine heard of none");
    drain(node).await;
}

#[tokio::test]
async fn tonic_hears_that_a_method_is_unknown() {
    let node = run(Config::default());
    let address = node.listening().expect("it listens");
    let wrong = Style { path: "/toy.Peer/Other", ..GZIP };
    assert_eq!(oracle::call(address, wrong).await.err().map(|status| status.code()), Some(Code::Unimplemented));
    drain(node).await;
}

#[tokio::test]
async fn a_client_may_send_gzip_and_not_take_it() {
    let node = run(Config::default());
    let style = Style { accepts: None, ..GZIP };
    let (call, headers) = oracle::call(node.listening().expect("it listens"), style).await.expect("a call");
    assert!(headers.metadata().get("grpc-encoding").is_none());
    call.send(b'.', b"").await;
    until(&node, "it came", |view| view.engine.protocol().compressed.len() == 1).await;
    let mixed = Style { accepts: Some(CompressionEncoding::Gzip), ..PLAIN };
    let (mut plain, headers) = oracle::call(node.listening().expect("it listens"), mixed).await.expect("a call");
    assert!(headers.metadata().get("grpc-encoding").is_some());
    assert_eq!(plain.ask(b'e', b"plain though gzip was agreed").await.0, b'e');
    drop((call, plain));
    drain(node).await;
}

#[tokio::test]
async fn a_third_pending_handshake_of_one_address_is_refused_until_another_ends() {
    let mut network = network(Config { needs_greeting: true, ..Config::default() });
    network.p2p.spare_loopback = false;
    let node = start(network, Parrot(Duration::ZERO), None).expect("a free port");
    let address = node.listening().expect("it listens");
    let (mut first, _) = oracle::call(address, PLAIN).await.expect("a call");
    let (second, _) = oracle::call(address, PLAIN).await.expect("a call");
    refused(&node).await;
    // One of them has gone.
    drop(second);
    until_connected(&node, 1).await;
    let (third, _) = oracle::call(address, PLAIN).await.expect("a call");
    refused(&node).await;
    // One of them is done.
    first.ask(b'h', b"").await;
    let (fourth, _) = oracle::call(address, PLAIN).await.expect("a call");
    refused(&node).await;
    let totals = node.read(|view| *view.meters.totals()).await.expect("it runs");
    assert_eq!((totals.accepted, totals.calls_refused), (4, 3), "the engine heard of none that was refused");
    drop((first, third, fourth));
    drain(node).await;
}

async fn refused(node: &Handle<Toy>) {
    let status = oracle::call(node.listening().expect("it listens"), PLAIN).await.err().expect("refused");
    assert_eq!((status.code(), status.message()), (Code::ResourceExhausted, "too many pending inbound handshakes"));
}

#[tokio::test]
async fn sockets_without_a_call_have_places_too() {
    const PER_IP_MAX: u64 = 16;
    let mut network = network(Config::default());
    network.p2p.spare_loopback = false;
    let node = start(network, Parrot(Duration::ZERO), None).expect("a free port");
    let address = node.listening().expect("it listens");
    let mut silent = Vec::new();
    for _ in 0..PER_IP_MAX {
        silent.push(TcpStream::connect(address).await.expect("it accepts"));
    }
    let mut late = TcpStream::connect(address).await.expect("the kernel accepts");
    let read = timeout(LIMIT, late.read(&mut [0])).await.expect("it is closed at once");
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    assert_eq!(node.read(|view| view.meters.totals().calls_refused).await, Ok(1));
    // The places are free again when those are gone.
    drop(silent);
    until(&node, "gone", |view| view.meters.totals().calls_failed == PER_IP_MAX).await;
    let (mut call, _) = oracle::call(address, PLAIN).await.expect("a call");
    assert_eq!(call.ask(b'e', b"").await.0, b'e');
    drop(call);
    drain(node).await;
}

#[tokio::test]
async fn loopback_may_be_spared_but_not_for_ever() {
    let node = run(Config { needs_greeting: true, ..Config::default() });
    let address = node.listening().expect("it listens");
    let mut calls = Vec::new();
    for _ in 0..4 {
        calls.push(oracle::call(address, PLAIN).await.expect("a call"));
    }
    refused(&node).await;
    drop(calls);
    drain(node).await;
}

#[tokio::test]
async fn several_peers_behind_one_address_have_a_call_each() {
    let node = run(Config::default());
    let address = node.listening().expect("it listens");
    let mut calls = Vec::new();
    for number in 0..20u8 {
        let (mut call, _) = oracle::call(address, PLAIN).await.expect("a call");
        assert_eq!(call.ask(b'e', &[number]).await, (b'e', Bytes::copy_from_slice(&[number])));
        calls.push(call);
    }
    until_connected(&node, 20).await;
    drop(calls);
    drain(node).await;
}

#[tokio::test]
async fn a_second_call_on_a_connection_is_refused_and_the_first_goes_on() {
    let node = run(Config::default());
    let address = node.listening().expect("it listens");
    let told = tokio::task::spawn_blocking(move || {
        let mut raw = Raw::call(address);
        raw.send(&frame(HEADERS, END_HEADERS, 3, &headers(PATH)));
        raw.message(b'e', b"still here");
        let mut told = Vec::new();
        while !told.iter().any(|came: &Came| came.kind == DATA) {
            let came = raw.receive().expect("the connection stands");
            told.push(came);
        }
        told
    });
    let told = told.await.expect("it reads");
    assert!(
        told.contains(&Came { kind: RST_STREAM, stream: 3, body: 7u32.to_be_bytes().to_vec() }),
        "refused: {told:?}"
    );
    drain(node).await;
}

#[tokio::test]
async fn a_client_that_was_refused_may_ask_again_on_its_connection() {
    let node = run(Config::default());
    let address = node.listening().expect("it listens");
    let answered = tokio::task::spawn_blocking(move || {
        let mut raw = Raw::connect(address);
        raw.send(&frame(HEADERS, END_HEADERS, 1, &headers("/toy.Peer/Other")));
        while raw.receive().expect("an answer").kind != HEADERS {}
        raw.send(&frame(HEADERS, END_HEADERS, 3, &headers(PATH)));
        while raw.receive().expect("an answer").kind != HEADERS {}
        raw
    });
    let raw = answered.await.expect("answers");
    until_connected(&node, 1).await;
    drop(raw);
    drain(node).await;
}

#[tokio::test]
async fn a_socket_on_which_nothing_is_asked_is_closed_when_its_time_is_over() {
    let node = run(Config { open_ms_max: 200, ..Config::default() });
    let address = node.listening().expect("it listens");
    for says in [&b""[..], b"GET / HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"] {
        let mut socket = TcpStream::connect(address).await.expect("it accepts");
        socket.write_all(says).await.expect("it reads");
        let mut back = Vec::new();
        let read = timeout(LIMIT, socket.read_to_end(&mut back)).await;
        // In order or by a reset: it is closed.
        assert!(read.is_ok(), "{says:?}");
    }
    until(&node, "counted", |view| view.meters.totals().calls_failed == 3).await;
    drain(node).await;
}

async fn until_failed(node: &Handle<Toy>, cause: DialFailure) {
    until(node, "the dial failed", move |view| view.engine.protocol().dials_failed == [cause]).await;
}

#[tokio::test]
async fn a_dial_whose_headers_never_come_fails_when_its_time_is_over() {
    let node = run(Config { open_ms_max: 300, ..Config::default() });
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let begun = Instant::now();
    connect(&node, listener.local_addr().expect("a socket")).await;
    let (socket, _) = listener.accept().await.expect("it dials");
    let mut server = h2::server::handshake(socket).await.expect("HTTP/2");
    let (request, _respond) = server.accept().await.expect("a request").expect("a request");
    assert_eq!((request.method(), request.uri().path()), (&Method::POST, PATH));
    let said = |name: &str| request.headers()[name].to_str().expect("text").to_owned();
    assert_eq!((said("content-type"), said("te")), ("application/grpc".into(), "trailers".into()));
    assert_eq!((said("grpc-encoding"), said("grpc-accept-encoding")), ("gzip".into(), "gzip,identity".into()));
    assert!(said("user-agent").starts_with("polypeer/"));
    assert_eq!(
        request.uri().authority().map(|authority| authority.as_str().to_owned()),
        Some(listener.local_addr().expect("a socket").to_string())
    );
    // It goes on speaking HTTP/2, and answers nothing.
    let driving = tokio::spawn(async move { server.accept().await.is_none() });
    until_failed(&node, DialFailure::Transport).await;
    assert!(begun.elapsed() >= Duration::from_millis(300));
    assert!(timeout(LIMIT, driving).await.expect("it hangs up").expect("no panic"));
    drain(node).await;
}

#[tokio::test]
async fn a_dial_that_is_refused_fails() {
    // A server without gzip, and one that does not know the method.
    let without_gzip = Listener::new(false).await;
    let node = run(Config::default());
    connect(&node, without_gzip.address).await;
    until_failed(&node, DialFailure::Transport).await;
    drain(node).await;
    let answers = [
        Response::builder().status(404).header("content-type", "application/grpc"),
        Response::builder().status(200).header("content-type", "text/html"),
        Response::builder().status(200).header("content-type", "application/grpc").header("grpc-status", "8"),
        Response::builder().status(200).header("content-type", "application/grpc").header("grpc-encoding", "zstd"),
    ];
    for answer in answers {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let node = run(Config::default());
        connect(&node, listener.local_addr().expect("a socket")).await;
        let (socket, _) = listener.accept().await.expect("it dials");
        let mut server = h2::server::handshake(socket).await.expect("HTTP/2");
        let (_, mut respond) = server.accept().await.expect("a request").expect("a request");
        respond.send_response(answer.body(()).expect("a response"), false).expect("it is sent");
        let driving = tokio::spawn(async move { while server.accept().await.is_some() {} });
        until_failed(&node, DialFailure::Transport).await;
        driving.abort();
        drain(node).await;
    }
}

#[tokio::test]
async fn a_dial_to_what_speaks_no_http_fails() {
    for says in [&b"220 smtp\r\n"[..], b""] {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let node = run(Config::default());
        connect(&node, listener.local_addr().expect("a socket")).await;
        let (mut socket, _) = listener.accept().await.expect("it dials");
        socket.write_all(says).await.expect("it reads");
        drop(socket);
        until_failed(&node, DialFailure::Transport).await;
        drain(node).await;
    }
}
