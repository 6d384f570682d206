//! Tells how a network ends: drained, dropped, or by a panic that nobody can overlook.

mod support;

use bytes::Bytes;
use polypeer_driver::{Gone, StartError, State, start};
use polypeer_engine::{Command, Event, P2pAction};
use polypeer_store::Store;
use std::time::{Duration, Instant};
use support::{Client, Config, LIMIT, Parrot, network, run, until};

#[tokio::test]
async fn a_panic_in_a_protocol_ends_its_network_visibly() {
    let (node, other) = (run(Config::default()), run(Config::default()));
    let mut client = Client::connect(&node).await;
    client.send(b'p', b"").await;
    assert_eq!(node.ended().await, Err("a peer found the panic".into()));
    assert_eq!(node.state(), State::Failed("a peer found the panic".into()));
    assert_eq!(node.read(|_| ()).await, Err(Gone));
    assert_eq!(node.act(P2pAction::Command(Command::Drain)).await, Err(Gone));
    assert_eq!(node.ask(Bytes::from_static(b"?")).await, Err(Gone));
    node.drain(LIMIT).await;
    assert_eq!(Client::connect(&other).await.ask(b'e', b"").await, Some((b'e', Vec::new())));
    other.drain(LIMIT).await;
}

#[tokio::test]
async fn a_panic_in_a_ledger_ends_its_network_visibly() {
    let node = run(Config::default());
    assert_eq!(node.ask(Bytes::from_static(b"panic")).await, Err(Gone));
    let why = node.ended().await.unwrap_err();
    assert!(why.contains("the ledger found the panic"), "{why}");
    assert_eq!(node.ask(Bytes::from_static(b"?")).await, Err(Gone));
}

#[tokio::test]
async fn a_panic_of_someone_who_looks_is_his_own() {
    let node = run(Config::default());
    assert_eq!(node.read(|_| panic!("clumsy")).await, Err::<(), _>(Gone));
    assert_eq!(node.read(|view| view.engine.state().peers.len()).await, Ok(0));
    node.drain(LIMIT).await;
}

#[tokio::test]
async fn a_drained_network_said_goodbye_and_saved_everything() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let node = start(network(Config::default()), Parrot::default(), Some(Store::open(&path).unwrap())).unwrap();
    let mut client = Client::connect(&node).await;
    for key in [&b"a"[..], b"bb", b"ccc", b"a"] {
        client.send(b's', key).await;
    }
    client.ask(b'e', b"").await;
    let (drained, said) = tokio::join!(node.drain(LIMIT), async {
        let said = client.receive().await;
        drop(client);
        said
    });
    let () = drained;
    assert_eq!(said, Some((b'z', b"bye".to_vec())));
    assert_eq!(node.state(), State::Stopped);
    assert_eq!(node.read(|_| ()).await, Err(Gone));
    node.drain(LIMIT).await;
    let store = Store::open(&path).unwrap();
    let own = |store: &Store| {
        let records = store.load().unwrap();
        records.iter().filter(|record| record.value.as_deref() == Some(b"seen")).count()
    };
    assert_eq!(own(&store), 3);
    let again = start(network(Config::default()), Parrot::default(), Some(store)).unwrap();
    let names = again.read(|view| view.engine.protocol().names.clone()).await.unwrap();
    assert_eq!(names, [1, 2, 3]);
    again.drain(LIMIT).await;
}

#[tokio::test]
async fn a_drain_does_not_wait_longer_than_it_was_told() {
    let node = run(Config { linger_ms: 60_000, ..Config::default() });
    let mut client = Client::connect(&node).await;
    client.ask(b'e', b"").await;
    let begun = Instant::now();
    let other = node.clone();
    // Two that drain at once both return when it is done.
    tokio::join!(node.drain(Duration::from_millis(200)), other.drain(Duration::from_secs(50)));
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!(node.state(), State::Stopped);
}

#[tokio::test]
async fn a_network_whose_handles_are_dropped_says_goodbye_and_frees_its_port() {
    let node = run(Config::default());
    let address = node.listening().unwrap();
    let mut client = Client::connect(&node).await;
    client.ask(b'e', b"").await;
    drop(node);
    assert_eq!(client.receive().await, Some((b'z', b"bye".to_vec())));
    drop(client);
    let free = async {
        while std::net::TcpListener::bind(address).is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(LIMIT, free).await.expect("the port is free again");
}

#[tokio::test]
async fn a_port_that_is_taken_is_told_at_the_start() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut network = network(Config::default());
    network.listen = Some(taken.local_addr().unwrap());
    match start(network, Parrot::default(), None) {
        Err(StartError::Listen { address, .. }) => assert_eq!(Some(address), taken.local_addr().ok()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_ledger_answers_outsiders_and_speaks_unasked() {
    let node = run(Config::default());
    let mut events = node.events();
    assert_eq!(node.ask(Bytes::from_static(b"polly")).await, Ok(Bytes::from_static(b"polly")));
    assert_eq!(node.ask(Bytes::from_static(b"tell")).await, Ok(Bytes::from_static(b"tell")));
    until(&node, "the engine heard it", |view| view.engine.protocol().unasked == 1).await;
    // Its own time comes too, and so does the engine's.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let ticks = node.ask(Bytes::from_static(b"ticks")).await.unwrap();
    assert!(u64::from_be_bytes(ticks[..].try_into().unwrap()) >= 3);
    until(&node, "alarms ring", |view| view.engine.protocol().woken >= 3).await;
    let mut client = Client::connect(&node).await;
    client.ask(b'e', b"").await;
    let (number, event) = events.recv().await.unwrap();
    assert!(number == 0 && matches!(event, Event::PeerReady { .. }), "{number} {event:?}");
    node.drain(LIMIT).await;
}

#[tokio::test]
async fn both_address_families_reach_a_socket_for_all() {
    let mut network = network(Config::default());
    network.listen = Some("[::]:0".parse().unwrap());
    let Ok(node) = start(network, Parrot::default(), None) else {
        // A machine without IPv6.
        return;
    };
    let port = node.listening().unwrap().port();
    for address in ["127.0.0.1", "::1"] {
        let stream = tokio::net::TcpStream::connect((address, port)).await.unwrap();
        assert_eq!(Client(stream).ask(b'e', b"").await, Some((b'e', Vec::new())));
    }
    let v4 =
        node.read(|view| view.engine.state().peers.values().filter(|peer| peer.ends.remote.ip().is_ipv4()).count());
    assert!(v4.await.unwrap() <= 1);
    node.drain(LIMIT).await;
}

#[tokio::test]
async fn a_name_is_resolved_and_dialled() {
    let other = run(Config::default());
    let node = run(Config::default());
    let target = polypeer_engine::Target::Name("localhost".into(), other.listening().unwrap().port());
    node.act(P2pAction::Command(Command::AddPeer(target))).await.unwrap();
    until(&node, "connected by name", |view| !view.engine.state().peers.is_empty()).await;
    node.drain(LIMIT).await;
    other.drain(LIMIT).await;
}
