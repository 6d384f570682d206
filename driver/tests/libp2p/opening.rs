//! How connections come to stand, and why some do not.

use crate::raw::{DATA, FIN, Manner, RST, Raw, SYN, aside, data, frame, noise_public, payload, token};
use crate::toy::{
    Config, MUXER, NAMES, Parrot, TALK, Told, Toy, connect, drain, identity, network, run, until, until_channels,
    until_connected,
};
use polypeer_driver::{Handle, StartError, start};
use polypeer_engine::{ChannelEnd, DialFailure, Direction};
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

async fn until_failed(node: &Handle<Toy>, count: u64) {
    until(node, "refused", move |view| view.meters.totals().calls_failed == count).await;
    assert_eq!(node.read(|view| view.meters.totals().connections).await, Ok(0));
}

// Somebody comes in this manner: it stands, and talks.
async fn is_let_in(node: &Handle<Toy>, manner: Manner) {
    let address = node.listening().expect("it listens");
    aside(move || {
        let mut raw = Raw::try_connect(address, &manner).expect("a connection");
        raw.open(1);
        raw.ask(1, b"hello");
    })
    .await;
    until_connected(node, 0).await;
}

#[tokio::test]
async fn segments_may_be_cut_anywhere() {
    let node = run(1, Config::default());
    for piece in [1, 3, 23, 25, 100] {
        is_let_in(&node, Manner { piece, ..Manner::default() }).await;
    }
    drain(node).await;
}

#[tokio::test]
async fn other_proposals_are_refused_and_ours_is_taken() {
    for offers_muxer_early in [false, true] {
        let node = run(1, Config { offers_muxer_early, ..Config::default() });
        let ciphers = vec!["/libp2p/simultaneous-connect", "/tls/1.0.0", "/noise"];
        is_let_in(&node, Manner { ciphers, ..Manner::default() }).await;
        is_let_in(&node, Manner { muxers: vec!["/yamux/1.0.0", "/mplex/6.7.0", MUXER], ..Manner::default() }).await;
        drain(node).await;
    }
}

#[tokio::test]
async fn a_muxer_that_both_offer_early_needs_no_agreement() {
    let node = run(1, Config { offers_muxer_early: true, ..Config::default() });
    let extension = [&[0x22, 0x13, 0x12, 0x11][..], MUXER.as_bytes()].concat();
    let own = [payload(77, &noise_public()), extension].concat();
    is_let_in(&node, Manner { payload: Some(own), muxers: vec![], ..Manner::default() }).await;
    drain(node).await;
}

#[tokio::test]
async fn another_networks_key_is_not_understood() {
    let node = run(1, Config { select_ms_max: 300, ..Config::default() });
    let address = node.listening().expect("it listens");
    let manner = Manner { network_key: [7; 32], ..Manner::default() };
    assert!(aside(move || Raw::try_connect(address, &manner).is_err()).await);
    until_failed(&node, 1).await;
    drain(node).await;
}

#[tokio::test]
async fn who_does_not_prove_who_it_is_is_sent_away() {
    let node = run(1, Config::default());
    let address = node.listening().expect("it listens");
    let good = payload(77, &noise_public());
    let mut unsigned = good.clone();
    unsigned[103] ^= 1;
    let mut other_type = good.clone();
    other_type[3] = 2;
    let rsa = [&[0x0a, 0x85, 0x02, 0x08, 0x00, 0x12, 0x80, 0x02][..], &[7; 256], &good[38..]].concat();
    let own = payload(1, &noise_public());
    let nothing = vec![];
    for (at, payload) in [unsigned, other_type, rsa, own, nothing].into_iter().enumerate() {
        let manner = Manner { payload: Some(payload), ..Manner::default() };
        assert!(aside(move || Raw::try_connect(address, &manner).is_err()).await);
        until_failed(&node, at as u64 + 1).await;
    }
    drain(node).await;
}

#[tokio::test]
async fn whom_we_dial_must_prove_it_too() {
    let node = run(1, Config::default());
    let mut unsigned = payload(77, &noise_public());
    unsigned[103] ^= 1;
    let mut failed = 0;
    for payload in [unsigned, payload(1, &noise_public())] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        connect(&node, listener.local_addr().expect("a socket")).await;
        let manner = Manner { payload: Some(payload), ..Manner::default() };
        assert!(aside(move || Raw::try_accept(&listener, &manner).is_err()).await);
        failed += 1;
        let causes = vec![DialFailure::Transport; failed];
        until(&node, "failed", move |view| view.engine.protocol().dials_failed == causes).await;
    }
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    connect(&node, listener.local_addr().expect("a socket")).await;
    let raw = aside(move || Raw::try_accept(&listener, &Manner::default()).expect("a connection")).await;
    let id = identity(77).peer_id();
    until(&node, "named", move |view| view.engine.protocol().peers == [id.to_vec()]).await;
    drop(raw);
    drain(node).await;
}

#[tokio::test]
async fn no_more_than_a_kibibyte_is_taken_before_there_is_a_muxer() {
    let node = run(1, Config::default());
    let address = node.listening().expect("it listens");
    aside(move || {
        let socket = TcpStream::connect(address).expect("it accepts");
        let mut raw = Raw::begin(socket, &Manner::default()).expect("nonces");
        let asked = [token("/multistream/1.0.0"), token("/noise")].concat();
        raw.say_hidden(&asked).expect("it reads");
        assert_eq!(raw.hear(asked.len()).expect("an answer"), asked);
        // A message that is announced, and never whole.
        raw.say_hidden(&[&[0xff, 0xff][..], &[0; 1100]].concat()).expect("it reads");
        assert!(!matches!(raw.socket.read(&mut [0; 64]), Ok(1..)));
    })
    .await;
    until_failed(&node, 1).await;
    drain(node).await;
}

#[tokio::test]
async fn who_is_slow_is_sent_away_at_every_step() {
    let node = run(1, Config { nonce_ms_max: 200, select_ms_max: 200, ..Config::default() });
    let address = node.listening().expect("it listens");
    let silent = aside(move || {
        let mut socket = TcpStream::connect(address).expect("it accepts");
        let mut heard = Vec::new();
        let _ = socket.read_to_end(&mut heard);
        heard.len()
    });
    assert_eq!(silent.await, 24, "a nonce, and no more");
    until_failed(&node, 1).await;
    for step in 0..3 {
        aside(move || {
            let socket = TcpStream::connect(address).expect("it accepts");
            let mut raw = Raw::begin(socket, &Manner::default()).expect("nonces");
            let header = token("/multistream/1.0.0");
            let said = vec![vec![], header.clone(), [header, token("/noise")].concat()].swap_remove(step);
            raw.say_hidden(&said).expect("it reads");
            let _ = raw.hear(said.len());
            assert!(raw.hear(1).is_err());
        })
        .await;
        until_failed(&node, 2 + step as u64).await;
    }
    drain(node).await;
}

#[tokio::test]
async fn all_together_must_not_take_too_long_either() {
    let node = run(1, Config { open_ms_max: 300, ..Config::default() });
    let address = node.listening().expect("it listens");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    connect(&node, listener.local_addr().expect("a socket")).await;
    aside(move || {
        let mut raw = Raw::begin(TcpStream::connect(address).expect("it accepts"), &Manner::default()).expect("nonces");
        assert!(raw.hear(1).is_err());
    })
    .await;
    until_failed(&node, 1).await;
    until(&node, "failed", |view| view.engine.protocol().dials_failed == [DialFailure::Transport]).await;
    drain(node).await;
}

#[tokio::test]
async fn pending_connections_have_places() {
    let mut network = network(1, Config { needs_greeting: true, pending_per_ip_max: 2, ..Config::default() });
    network.p2p.spare_loopback = false;
    let node = start(network, Parrot(Duration::ZERO), None).expect("a free port");
    let address = node.listening().expect("it listens");
    let connect = move || {
        let mut raw = Raw::connect(address);
        raw.try_open(1).map(|()| raw)
    };
    let (mut first, second) = aside(move || (connect().expect("a place"), connect().expect("a place"))).await;
    assert!(aside(move || connect().is_none()).await, "there is no third place");
    until(&node, "refused", |view| view.meters.totals().calls_refused == 1).await;
    let first = aside(move || {
        first.tell(1, b'h', b"");
        first.told(1).expect("it greets");
        first
    })
    .await;
    let third = aside(move || connect().expect("the first one's")).await;
    until_connected(&node, 3).await;
    drop((first, second, third));
    drain(node).await;
}

#[tokio::test]
async fn without_a_key_there_is_no_network() {
    let network = polypeer_driver::Network { identity: None, ..network(1, Config::default()) };
    let refused = start(network, Parrot(Duration::ZERO), None);
    assert!(matches!(refused, Err(StartError::NoIdentity)));
}

#[tokio::test]
async fn a_name_that_is_not_known_is_refused_and_another_may_be_proposed() {
    let node = run(1, Config::default());
    let address = node.listening().expect("it listens");
    aside(move || {
        let mut raw = Raw::connect(address);
        let header = token("/multistream/1.0.0");
        raw.say(&data(SYN, 1, &[header.clone(), token("/unknown/1.0.0")].concat()));
        assert_eq!(raw.receive().expect("an answer").body, [header, token("na")].concat());
        // What is only spoken from our side is not answered.
        raw.say(&data(0, 1, &token(NAMES[2])));
        assert_eq!(raw.receive().expect("an answer").body, token("na"));
        raw.say(&data(0, 1, &token(NAMES[0])));
        assert_eq!(raw.receive().expect("an answer").body, token(NAMES[0]));
        raw.ask(1, b"and that one is good");
    })
    .await;
    until(&node, "told", |view| view.engine.protocol().told == [Told::Opened(TALK, Direction::Inbound)]).await;
    drain(node).await;
}

#[tokio::test]
async fn a_stream_on_which_nothing_is_agreed_is_given_up() {
    let node = run(1, Config { select_ms_max: 300, ..Config::default() });
    let address = node.listening().expect("it listens");
    let raw = aside(move || {
        let mut raw = Raw::connect(address);
        raw.say(&frame(1, SYN, 1, 0, b""));
        raw.say(&data(SYN, 3, &token("/multistream/1.0.0")));
        assert_eq!(raw.receive().expect("an answer").body, token("/multistream/1.0.0"));
        let mut ended = [raw.receive(), raw.receive()].map(|came| came.expect("an end"));
        ended.sort_by_key(|came| came.stream);
        assert_eq!(ended.clone().map(|came| (came.kind, came.stream)), [(DATA, 1), (DATA, 3)]);
        assert!(ended.iter().all(|came| came.flags & (RST | FIN) != 0), "{ended:?}");
        raw.open(5);
        raw.ask(5, b"the connection stands");
        raw
    })
    .await;
    until_channels(&node, 1).await;
    drop(raw);
    drain(node).await;
}

#[tokio::test]
async fn a_channel_of_ours_to_which_nobody_answers_is_given_up() {
    let node = run(1, Config { select_ms_max: 300, ..Config::default() });
    let address = node.listening().expect("it listens");
    let mut raw = aside(move || {
        let mut raw = Raw::connect(address);
        raw.open(1);
        raw.tell(1, b'o', &[TALK as u8]);
        raw
    })
    .await;
    let told = [Told::Opened(TALK, Direction::Inbound), Told::Closed(ChannelEnd::Reset)];
    until(&node, "given up", move |view| view.engine.protocol().told == told).await;
    aside(move || raw.ask(1, b"the connection stands")).await;
    drain(node).await;
}
