//! What WebSocket lets a hostile peer do: memory stays flat, the others are served, and the offender is closed.

use crate::oracle;
use crate::raw::{BINARY, FIN, MORE, PING, PONG, Raw, TEXT, aside, header, masked, plain};
use crate::toy::child::{in_a_child, resident_bytes};
use crate::toy::{Config, Parrot, Toy, connect, drain, network, run, until, until_connected};
use bytes::Bytes;
use polypeer_driver::{Budget, Handle, start};
use polypeer_engine::{BadFrame, DisconnectCause};
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

/// More than any of these may cost, and far less than what is sent.
const GROWTH_MAX: usize = 4 << 20;
const FLOOD_BYTES: usize = 64 << 20;

// Runs one flood, while somebody else talks. How much of it the node took, in bytes.
async fn suffer(node: &Handle<Toy>, flood: impl FnOnce(SocketAddr) -> usize + Send + 'static) -> usize {
    let address = node.listening().expect("it listens");
    let mut bystander = oracle::open(address).await.expect("a WebSocket");
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

// Sends a piece again and again. Bytes sent before the node closed.
fn on_a_websocket(first: Vec<u8>, piece: Vec<u8>) -> impl FnOnce(SocketAddr) -> usize + Send + 'static {
    move |address| {
        let piece = piece.repeat((16 << 10) / piece.len() + 1);
        let times = FLOOD_BYTES / piece.len();
        Raw::open(address).flood(std::iter::once(first).chain(std::iter::repeat_n(piece, times)))
    }
}

async fn check(name: &str, first: Vec<u8>, piece: Vec<u8>) {
    if in_a_child(&format!("abuse::{name}")) {
        return;
    }
    let node = run(Config { linger_ms: 500, ..Config::default() });
    // What talking costs at all is there before it is measured.
    suffer(&node, |address| drop_after(Raw::open(address))).await;
    let sent = suffer(&node, on_a_websocket(first, piece)).await;
    println!("{name}: closed after {sent} bytes");
    assert!(sent < FLOOD_BYTES / 4, "the offender is closed, after {sent} bytes");
    let told = node.read(|view| (view.engine.protocol().bad.clone(), view.engine.protocol().gone.clone()));
    let (bad, gone) = told.await.expect("it runs");
    assert_eq!(bad, [BadFrame::OF_TRANSPORT], "and blamed");
    assert!(gone.contains(&DisconnectCause::Ours), "{gone:?}");
    drain(node).await;
}

fn drop_after(raw: Raw) -> usize {
    drop(raw);
    0
}

#[tokio::test]
async fn pings() {
    check("pings", vec![], masked(PING, b"")).await;
}

#[tokio::test]
async fn large_pings() {
    check("large_pings", vec![], masked(PING, &[7; 125])).await;
}

#[tokio::test]
async fn pongs() {
    check("pongs", vec![], masked(PONG, b"")).await;
}

#[tokio::test]
async fn empty_fragments() {
    check("empty_fragments", masked(BINARY, b""), masked(MORE, b"")).await;
}

#[tokio::test]
async fn fragments_of_one_byte_of_a_message_without_end() {
    check("fragments_of_one_byte_of_a_message_without_end", masked(TEXT, b""), masked(MORE, b"x")).await;
}

#[tokio::test]
async fn messages_of_empty_fragments() {
    let piece = [masked(BINARY, b""), masked(MORE, b""), masked(FIN | MORE, b"")].concat();
    check("messages_of_empty_fragments", vec![], piece).await;
}

#[tokio::test]
async fn control_frames_within_a_message() {
    check("control_frames_within_a_message", masked(BINARY, b"x"), masked(PONG, &[1; 100])).await;
}

#[tokio::test]
async fn pings_from_whom_we_dialled() {
    if in_a_child("abuse::pings_from_whom_we_dialled") {
        return;
    }
    let node = run(Config::default());
    let mut bystander = oracle::open(node.listening().expect("it listens")).await.expect("a WebSocket");
    bystander.ask(b'e', b"").await;
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    connect(&node, listener.local_addr().expect("a socket")).await;
    let before = resident_bytes();
    let flooding = tokio::task::spawn_blocking(move || {
        let piece = plain(PING, &[7; 8]).repeat(1000);
        let times = FLOOD_BYTES / piece.len();
        Raw::accept(&listener).flood(std::iter::repeat_n(piece, times))
    });
    let sent = flooding.await.expect("the flood ends");
    assert!(sent < FLOOD_BYTES / 4, "the offender is closed, after {sent} bytes");
    until(&node, "closed", |view| view.engine.protocol().gone == [DisconnectCause::Ours]).await;
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown <= GROWTH_MAX, "{grown} bytes of memory");
    assert_eq!(bystander.ask(b'e', b"unhurt").await, (b'e', Bytes::from_static(b"unhurt")));
    drop(bystander);
    drain(node).await;
}

#[tokio::test]
async fn who_answers_our_close_with_a_flood_is_cut() {
    if in_a_child("abuse::who_answers_our_close_with_a_flood_is_cut") {
        return;
    }
    let node = run(Config { linger_ms: 500, ..Config::default() });
    suffer(&node, |address| drop_after(Raw::open(address))).await;
    let begun = Instant::now();
    // Fragments of a message that nobody waits for any more.
    let first = [masked(FIN | BINARY, b"l"), masked(BINARY, b"x")].concat();
    let piece = masked(MORE, &[1; 60_000]);
    suffer(&node, move |address| Raw::open(address).flood(std::iter::once(first).chain(std::iter::repeat(piece))))
        .await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    drain(node).await;
}

#[tokio::test]
async fn what_is_announced_takes_no_memory() {
    if in_a_child("abuse::what_is_announced_takes_no_memory") {
        return;
    }
    const PEERS: usize = 300;
    let node = run(Config { needs_greeting: true, ..Config::default() });
    let address = node.listening().expect("it listens");
    let open = |kind| {
        let mut raw = Raw::open(address);
        raw.ask(b'h', b"");
        raw.send(&header(kind, 32_000_000, Some([0; 4])));
        raw.send(b".123");
        raw
    };
    let mut peers: Vec<_> = (0..30).map(|_| open(FIN | BINARY)).collect();
    until(&node, "begun", |view| view.meters.totals().all.partial_bytes == 30 * 14).await;
    let (before, addressed) = (resident_bytes(), virtual_bytes());
    peers.extend((0..PEERS).map(|number| open([FIN | BINARY, FIN | TEXT, BINARY][number % 3])));
    until(&node, "begun", |view| view.meters.totals().all.partial_bytes == (30 + PEERS as u64 / 3) * 14).await;
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown <= GROWTH_MAX, "{grown} bytes of memory");
    let grown = virtual_bytes().saturating_sub(addressed);
    assert!(grown <= 64 << 20, "{grown} bytes of addresses");
    drop(peers);
    until_connected(&node, 0).await;
    drain(node).await;
}

fn virtual_bytes() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let all: usize = pages.split(' ').next().and_then(|pages| pages.parse().ok()).expect("a number");
    all * 4096
}

#[tokio::test]
async fn fragments_are_counted_in_the_budgets_and_given_back() {
    let mut network = network(Config { needs_greeting: true, ..Config::default() });
    network.queue_budget = Budget::new(256 << 20);
    let budget = network.queue_budget.clone();
    let node = start(network, Parrot(Duration::ZERO), None).expect("a free port");
    let address = node.listening().expect("it listens");
    let mut raw = aside(move || {
        let mut raw = Raw::open(address);
        raw.ask(b'h', b"");
        raw.send_frame(BINARY, &[1; 1_000_000]);
        raw.send_frame(MORE, &[1; 1_000_000]);
        raw
    })
    .await;
    for _ in 0..2000 {
        if budget.used() >= 2_000_000 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!((2_000_000..4_500_000).contains(&budget.used()), "{} bytes", budget.used());
    raw.send_frame(FIN | MORE, b"");
    until(&node, "it came", |view| view.engine.protocol().quiet == 1).await;
    aside(move || raw.ask(b'e', b"")).await;
    until_connected(&node, 0).await;
    assert_eq!(budget.used(), 0);
    drain(node).await;
}

#[tokio::test]
async fn fragments_that_take_too_long_are_refused() {
    let node = run(Config { frame_ms_max: Some(300), ..Config::default() });
    let address = node.listening().expect("it listens");
    let took = aside(move || {
        let mut raw = Raw::open(address);
        raw.ask(b'e', b"");
        let begun = Instant::now();
        raw.send_frame(BINARY, b"x");
        // Other things in between do not help, nor does a little more now and then.
        for _ in 0..4 {
            std::thread::sleep(Duration::from_millis(50));
            raw.send_frame(MORE, b"x");
            raw.send_frame(PONG, b"");
        }
        assert_eq!(raw.receive().expect("the last word").body, b"zbye");
        assert_eq!(raw.closed_in_order(), b"");
        begun.elapsed()
    });
    let took = took.await;
    assert!(took >= Duration::from_millis(290) && took < Duration::from_secs(2), "{took:?}");
    until(&node, "told", |view| view.engine.protocol().bad == [BadFrame::TOO_SLOW]).await;
    drain(node).await;
}

#[tokio::test]
async fn the_longest_of_the_messages_in_the_making_goes_when_they_are_too_much() {
    let node = run(Config { partial_bytes_budget: Some(100_000), needs_greeting: true, ..Config::default() });
    let address = node.listening().expect("it listens");
    let open = move |bytes: usize| {
        aside(move || {
            let mut raw = Raw::open(address);
            raw.ask(b'h', b"");
            raw.send_frame(BINARY, &vec![1; bytes]);
            raw
        })
    };
    let mut short = open(20_000).await;
    let mut long = open(60_000).await;
    let third = open(40_000).await;
    aside(move || {
        assert_eq!(long.receive().expect("the last word").body, b"zbye");
        assert_eq!(long.closed_in_order(), b"");
    })
    .await;
    until(&node, "told", |view| view.engine.protocol().bad == [BadFrame::OVER_BUDGET]).await;
    short.send_frame(FIN | MORE, b"");
    until(&node, "the others are unhurt", |view| view.engine.protocol().quiet == 1).await;
    drop((short, third));
    drain(node).await;
}

#[tokio::test]
async fn who_must_wait_for_the_ledger_fills_no_memory() {
    if in_a_child("abuse::who_must_wait_for_the_ledger_fills_no_memory") {
        return;
    }
    let slow = Parrot(Duration::from_secs(2));
    let node = start(network(Config::default()), slow, None).expect("a free port");
    let address = node.listening().expect("it listens");
    let before = resident_bytes();
    let mut raw = Raw::open(address);
    raw.socket.set_write_timeout(Some(Duration::from_millis(300))).expect("a socket");
    raw.send(&masked(FIN | BINARY, b"a?").repeat(6000));
    until(&node, "the ledger is behind", |view| view.meters.totals().asks_waiting > 4000).await;
    let more = masked(FIN | BINARY, b"a?").repeat(1000);
    let flooding = tokio::task::spawn_blocking(move || while raw.socket.write_all(&more).is_ok() {});
    flooding.await.expect("the socket takes no more");
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown <= GROWTH_MAX, "{grown} bytes of memory");
    let totals = node.read(|view| *view.meters.totals()).await.expect("it runs");
    assert!(totals.asks_waiting <= 4_096 + 1024, "{} questions wait", totals.asks_waiting);
    drain(node).await;
}

#[tokio::test]
async fn a_peer_may_ping_for_long() {
    let node = run(Config::default());
    let address = node.listening().expect("it listens");
    aside(move || {
        let mut raw = Raw::open(address);
        // A thousand pings are an hour of one every four seconds.
        for _ in 0..1000 {
            raw.send_frame(PING, b"12345678");
            assert_eq!(raw.receive().expect("it stands").first, PONG);
        }
        raw.ask(b'e', b"");
    })
    .await;
    drain(node).await;
}
