//! What HTTP/2 lets a hostile peer do: memory stays flat, the others are served, and the offender is closed.

use crate::oracle::{self, PLAIN};
use crate::raw::{
    CONTINUATION, DATA, END_HEADERS, HEADERS, PING, RST_STREAM, Raw, SETTINGS, WINDOW_UPDATE, frame, headers,
};
use crate::toy::child::{in_a_child, resident_bytes};
use crate::toy::{Config, PATH, Parrot, Toy, connect, drain, message, network, run, until, until_connected};
use bytes::Bytes;
use polypeer_driver::{Handle, start};
use polypeer_engine::DisconnectCause;
use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

/// More than any of these may cost, and far less than what is sent.
const GROWTH_MAX: usize = 4 << 20;
const FLOOD_BYTES: usize = 64 << 20;

// Runs one flood, while somebody else talks. How much of it the node took, in bytes.
async fn suffer(node: &Handle<Toy>, flood: impl FnOnce(SocketAddr) -> usize + Send + 'static) -> usize {
    let address = node.listening().expect("it listens");
    let (mut bystander, _) = oracle::call(address, PLAIN).await.expect("a call");
    bystander.ask(b'e', b"").await;
    let before = resident_bytes();
    let flooding = tokio::task::spawn_blocking(move || flood(address));
    let mut most = 0;
    while !flooding.is_finished() {
        assert_eq!(bystander.ask(b'e', b"unhurt").await, (b'e', Bytes::from_static(b"unhurt")));
        most = most.max(resident_bytes().saturating_sub(before));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let sent = flooding.await.expect("the flood ends");
    assert!(most <= GROWTH_MAX, "{most} bytes of memory for {sent} sent");
    until_connected(node, 1).await;
    assert_eq!(bystander.ask(b'e', b"after").await, (b'e', Bytes::from_static(b"after")));
    drop(bystander);
    until_connected(node, 0).await;
    sent
}

// Sends a piece again and again on a connection with a call. Bytes sent before the node closed it.
fn on_a_call(piece: Vec<u8>) -> impl FnOnce(SocketAddr) -> usize + Send + 'static {
    move |address| {
        let piece = piece.repeat((16 << 10) / piece.len() + 1);
        let times = FLOOD_BYTES / piece.len();
        Raw::call(address).flood(std::iter::repeat_n(piece, times))
    }
}

async fn check(name: &str, flood: impl FnOnce(SocketAddr) -> usize + Send + 'static) {
    if in_a_child(&format!("abuse::{name}")) {
        return;
    }
    let node = run(Config::default());
    // What talking costs at all is there before it is measured.
    suffer(&node, |address| drop_after(Raw::call(address))).await;
    let sent = suffer(&node, flood).await;
    println!("{name}: closed after {sent} bytes");
    assert!(sent < FLOOD_BYTES / 4, "the offender is closed, after {sent} bytes");
    drain(node).await;
}

fn drop_after(raw: Raw) -> usize {
    drop(raw);
    0
}

#[tokio::test]
async fn who_must_wait_for_the_ledger_fills_no_memory() {
    const NAME: &str = "abuse::who_must_wait_for_the_ledger_fills_no_memory";
    if in_a_child(NAME) {
        return;
    }
    let slow = Parrot(Duration::from_secs(2));
    let node = start(network(Config::default()), slow, None).expect("a free port");
    let address = node.listening().expect("it listens");
    let before = resident_bytes();
    let mut raw = Raw::call(address);
    raw.0.set_write_timeout(Some(Duration::from_millis(300))).expect("a socket");
    // Questions, more than may wait, and then a frame for each byte of the next ones: what is taken of those while
    // nothing is read would be a million of them in a window.
    raw.send(&frame(DATA, 0, 1, &message(b'a', b"?").repeat(2000)).repeat(3));
    until(&node, "the ledger is behind", |view| view.meters.totals().asks_waiting > 4000).await;
    let tiny = frame(DATA, 0, 1, b"\0").repeat(1000);
    let flooding = tokio::task::spawn_blocking(move || while raw.0.write_all(&tiny).is_ok() {});
    flooding.await.expect("the socket takes no more, or is closed");
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown <= GROWTH_MAX, "{grown} bytes of memory");
    let totals = node.read(|view| *view.meters.totals()).await.expect("it runs");
    assert!(totals.asks_waiting <= 4_096 + 1024, "{} questions wait", totals.asks_waiting);
    until_connected(&node, 0).await;
    drain(node).await;
}

#[tokio::test]
async fn pings() {
    check("pings", on_a_call(frame(PING, 0, 0, &[7; 8]))).await;
}

#[tokio::test]
async fn pings_from_whom_we_called() {
    const NAME: &str = "abuse::pings_from_whom_we_called";
    if in_a_child(NAME) {
        return;
    }
    let node = run(Config::default());
    let (mut bystander, _) = oracle::call(node.listening().expect("it listens"), PLAIN).await.expect("a call");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    connect(&node, listener.local_addr().expect("a socket")).await;
    let before = resident_bytes();
    let flooding = tokio::task::spawn_blocking(move || {
        let piece = frame(PING, 0, 0, &[7; 8]).repeat(1000);
        let times = FLOOD_BYTES / piece.len();
        Raw::answer(&listener).flood(std::iter::repeat_n(piece, times))
    });
    let sent = flooding.await.expect("the flood ends");
    assert!(sent < FLOOD_BYTES / 4, "the offender is closed, after {sent} bytes");
    until(&node, "closed", |view| view.engine.protocol().gone == [DisconnectCause::Broken]).await;
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown <= GROWTH_MAX, "{grown} bytes of memory");
    assert_eq!(bystander.ask(b'e', b"unhurt").await, (b'e', Bytes::from_static(b"unhurt")));
    drop(bystander);
    drain(node).await;
}

#[tokio::test]
async fn settings() {
    // The size of the peer's header table, again and again.
    check("settings", on_a_call(frame(SETTINGS, 0, 0, &[0, 1, 0, 0, 16, 0]))).await;
}

#[tokio::test]
async fn empty_data() {
    check("empty_data", on_a_call(frame(DATA, 0, 1, b""))).await;
}

#[tokio::test]
async fn data_of_one_byte() {
    // The length of a message that is never whole.
    check("data_of_one_byte", on_a_call(frame(DATA, 0, 1, &[0]))).await;
}

#[tokio::test]
async fn window_updates() {
    check("window_updates", on_a_call(frame(WINDOW_UPDATE, 0, 0, &1u32.to_be_bytes()))).await;
}

#[tokio::test]
async fn frames_of_unknown_kinds() {
    check("frames_of_unknown_kinds", on_a_call(frame(200, 0, 1, &[0; 1000]))).await;
}

#[tokio::test]
async fn continuations() {
    let flood = |address| {
        let mut raw = Raw::connect(address);
        raw.send(&frame(HEADERS, 0, 1, &headers(PATH)));
        let piece = frame(CONTINUATION, 0, 1, b"\0\x01a\x01b");
        let times = FLOOD_BYTES / piece.len();
        raw.flood(std::iter::repeat_n(piece, times))
    };
    check("continuations", flood).await;
}

#[tokio::test]
async fn headers_without_end() {
    let flood = |address| {
        let mut raw = Raw::connect(address);
        raw.send(&frame(HEADERS, 0, 1, &headers(PATH)));
        // A header whose value has 16,255 bytes, and never comes to its end.
        raw.send(&frame(CONTINUATION, 0, 1, b"\0\x01x\x7f\x80\x7e"));
        let piece = frame(CONTINUATION, 0, 1, &[b'y'; 16_000]);
        let times = FLOOD_BYTES / piece.len();
        raw.flood(std::iter::repeat_n(piece, times))
    };
    check("headers_without_end", flood).await;
}

// Opens calls and resets them at once.
fn resets(mut raw: Raw, from: u32) -> usize {
    let pieces = (from..).step_by(2).take(200_000).map(|stream| {
        let asked = frame(HEADERS, END_HEADERS, stream, &headers(PATH));
        [asked, frame(RST_STREAM, 0, stream, &8u32.to_be_bytes())].concat()
    });
    raw.flood(pieces)
}

#[tokio::test]
async fn rapid_resets() {
    check("rapid_resets", |address| resets(Raw::connect(address), 1)).await;
}

#[tokio::test]
async fn rapid_resets_beside_a_call() {
    check("rapid_resets_beside_a_call", |address| resets(Raw::call(address), 3)).await;
}
