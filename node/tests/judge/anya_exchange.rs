//! Judges what AnYa nodes do for each other: relay, the exchange of mempools and addresses, catching up.

use super::anya::{Heard, Manner, Message, NETWORK, PATIENCE, Peer, address, frame, info, info_with, mempool, peers};
use super::anya_court::Court;
use super::ledger::{self, Block, Payment};
use super::node::{Node, free_address, free_listener};
use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

fn said(kind: &str, payload: &[u8]) -> Message {
    Message { kind: kind.to_owned(), payload: payload.to_vec() }
}

// Waits until the node's tip is at this height, as its API shows it.
fn wait_for_height(node: &Node, height: u64) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let status = node.get("/api/v1/status").expect("a status");
        if status["networks"][0]["height"].as_u64() == Some(height) {
            return;
        }
        assert!(Instant::now() < deadline, "never at height {height}: {status}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn news_is_relayed_once_as_it_came_and_never_back() {
    let mut court = Court::new("", &[]);
    let mut giver = Peer::ready(court.node.address, Manner::honest(&[]));
    let mut other = Peer::ready(court.node.address, Manner::honest(&[]));
    let transaction = Payment::new(1, 2, 0).sign(NETWORK);
    giver.say(&frame("tx", &transaction));
    assert_eq!(court.observer.message(), said("tx", &transaction));
    assert_eq!(other.message(), said("tx", &transaction));
    other.say(&frame("tx", &transaction));
    let block = Block::genesis(NETWORK).child(vec![transaction]);
    giver.say(&frame("block", &block.bytes()));
    assert_eq!(court.observer.message(), said("block", &block.bytes()));
    assert_eq!(other.message(), said("block", &block.bytes()));
    other.say(&frame("block", &block.bytes()));
    for peer in [&mut giver, &mut other, &mut court.observer] {
        assert_eq!(peer.gather(), [], "said twice, or back to who said it");
    }
    wait_for_height(&court.node, 1);
}

#[test]
fn a_peer_that_is_not_ready_hears_no_news() {
    let court = Court::new("", &[]);
    let mut unready = Peer::open(court.node.address);
    let mut giver = Peer::ready(court.node.address, Manner::honest(&[]));
    giver.say(&frame("tx", &Payment::new(1, 2, 0).sign(NETWORK)));
    giver.settle();
    assert!(unready.gather().iter().all(|message| message.kind.starts_with("get_")));
}

#[test]
fn what_waits_is_exchanged_when_nodes_meet() {
    let court = Court::new("", &[]);
    let held = Payment::new(1, 2, 0).sign(NETWORK);
    let better = Payment { fee: 9, ..Payment::new(3, 4, 0) }.sign(NETWORK);
    let later = Payment { fee: 5, ..Payment::new(3, 4, 1) }.sign(NETWORK);
    let pool = mempool(&[better.clone(), later.clone(), held.clone()]);
    let mut giver = Peer::ready(court.node.address, Manner { mempool: Some(pool.clone()), ..Manner::honest(&[]) });
    giver.settle();
    assert_eq!(giver.asked.iter().filter(|asked| asked.kind == "get_mempool").count(), 1, "asked {:?}", giver.asked);
    let mut asker = Peer::open(court.node.address);
    asker.say(&frame("get_mempool", &[]));
    assert_eq!(asker.message_of("mempool").payload, pool, "highest fee first, each sender's in order");
}

#[test]
fn a_wrong_transaction_ends_the_reading_of_a_mempool() {
    let court = Court::new("", &[]);
    let before = Payment::new(1, 2, 0).sign(NETWORK);
    let wrong = Payment::new(3, 4, 0).sign("elsewhere");
    let after: Vec<Vec<u8>> = (0..60).map(|sequence| Payment::new(5, 6, sequence).sign(NETWORK)).collect();
    let mut giver = Peer::open(court.node.address);
    let pool = [vec![before.clone(), wrong], after.clone()].concat();
    giver.manner = Manner { mempool: Some(mempool(&pool)), ..Manner::honest(&[]) };
    giver.error("mempool", "invalid_payload");
    let mut asker = Peer::open(court.node.address);
    asker.say(&frame("get_mempool", &[]));
    let held = asker.message_of("mempool").payload;
    let holds = |transaction: &[u8]| held.windows(transaction.len()).any(|piece| piece == transaction);
    assert!(holds(&before));
    // A node may have begun to judge what stands right behind the wrong one, not more.
    let read_on = after.iter().filter(|transaction| holds(transaction)).count();
    assert!(read_on <= 1, "{read_on} transactions behind the wrong one were taken");
}

#[test]
fn a_node_tells_of_its_chain() {
    let court = Court::new("", &[]);
    let blocks = ledger::chain(&Block::genesis(NETWORK), 130);
    let mut giver = Peer::ready(court.node.address, Manner::honest(&blocks));
    wait_for_height(&court.node, 130);
    giver.settle();
    let mut asker = Peer::open(court.node.address);
    asker.say(&frame("get_blockchain_info", &[]));
    assert_eq!(asker.message_of("blockchain_info").payload, info(&blocks), "waypoints at 0, 43, 86 and 130");
}

#[test]
fn catching_up_asks_all_who_agree_and_announces_only_the_end() {
    let mut court = Court::new("", &[]);
    // More gaps than one peer is asked about at a time.
    let blocks = ledger::chain(&Block::genesis(NETWORK), 12_000);
    let first = std::thread::spawn({
        let (node, manner) = (court.node.address, Manner::honest(&blocks));
        move || serve(Peer::open(node), manner)
    });
    let second = serve(Peer::open(court.node.address), Manner::honest(&blocks));
    let first = first.join().expect("the first peer has no complaint");
    wait_for_height(&court.node, 12_000);
    println!("asked of the two: {first} and {second}");
    assert!(first + second >= 12_000 && first > 500 && second > 500, "asked of the two: {first} and {second}");
    let heard = court.observer.gather();
    let tips = [said("block", &blocks[11_999].bytes())];
    assert_eq!(heard, tips, "of what was fetched only the end is relayed");
}

// Answers everything until the node is quiet; how many blocks it asked for. Never more than 128 at a time.
fn serve(mut peer: Peer, manner: Manner) -> usize {
    let blocks: HashMap<Vec<u8>, Vec<u8>> =
        manner.blocks.iter().map(|block| (block.hash().to_vec(), frame("block", &block.bytes()))).collect();
    peer.manner = Manner { blocks: Vec::new(), ..manner };
    let (mut served, mut waiting) = (0, Vec::new());
    loop {
        match peer.hear(if waiting.is_empty() { Duration::from_secs(3) } else { THINKING }) {
            Heard::Said(message) if message.kind == "get_block" => waiting.push(message.payload),
            Heard::Said(message) if message.kind == "block" || message.kind == "tx" => {}
            Heard::Silence if waiting.is_empty() => return served,
            Heard::Silence => {
                for hash in waiting.drain(..) {
                    peer.say(blocks.get(&hash).expect("a block of ours"));
                    served += 1;
                }
            }
            other => panic!("while catching up: {other:?}"),
        }
        assert!(waiting.len() <= 128, "{} get_blocks unanswered", waiting.len());
    }
}

// Long enough for the node to ask the other peer too.
const THINKING: Duration = Duration::from_millis(20);

#[test]
fn a_request_that_one_peer_leaves_unanswered_is_put_to_another() {
    let court = Court::new("request_timeout = \"1s\"", &[]);
    let blocks = ledger::chain(&Block::genesis(NETWORK), 20);
    let mut silent = Peer::ready(court.node.address, Manner { blocks: Vec::new(), ..Manner::honest(&blocks) });
    silent.settle();
    let mut honest = Peer::ready(court.node.address, Manner::honest(&blocks));
    let deadline = Instant::now() + Duration::from_secs(30);
    while court.node.get("/api/v1/status").expect("a status")["networks"][0]["height"] != 20 {
        assert!(Instant::now() < deadline, "the silent peer holds everything up");
        let _ = honest.hear(Duration::from_millis(100));
        let _ = silent.hear(Duration::from_millis(1));
    }
}

#[test]
fn a_claim_that_cannot_be_kept_costs_only_its_maker() {
    let mut court = Court::new("request_timeout = \"1s\"", &[]);
    let genesis = Block::genesis(NETWORK).hash();
    let claims =
        (0..=1000u64).map(|i| (i * 1_000_000, if i == 0 { genesis } else { ledger::hash(&[&i.to_be_bytes()]) }));
    let waypoints: Vec<_> = claims.collect();
    let tip = waypoints[1000];
    let mut liar = Peer::open(court.node.address);
    liar.manner = Manner { info: Some(info_with(&genesis, &tip.1, tip.0, waypoints)), ..Manner::honest(&[]) };
    let blocks = ledger::chain(&Block::genesis(NETWORK), 100);
    let honest = std::thread::spawn({
        let (node, manner) = (court.node.address, Manner::honest(&blocks));
        move || serve(Peer::open(node), manner)
    });
    let deadline = Instant::now() + Duration::from_secs(8);
    while Instant::now() < deadline {
        match liar.hear(Duration::from_millis(200)) {
            Heard::Said(message) if message.kind == "get_block" => {
                let refusal =
                    [&super::anya::header(b"get_block", 0)[..32], &super::anya::header(b"invalid_payload", 0)[..32]];
                liar.try_say(&frame("error", &refusal.concat()));
            }
            Heard::Closed | Heard::Broken => break,
            _ => {}
        }
    }
    honest.join().expect("the honest peer has no complaint");
    wait_for_height(&court.node, 100);
    court.adjourn();
}

#[test]
fn the_ancestors_of_an_orphan_are_fetched_from_its_sender() {
    let mut court = Court::new("", &[]);
    let blocks = ledger::chain(&Block::genesis(NETWORK), 5);
    let mut giver = Peer::ready(court.node.address, Manner::honest(&[]));
    giver.manner.blocks = blocks.clone();
    giver.say(&frame("block", &blocks[4].bytes()));
    giver.settle();
    wait_for_height(&court.node, 5);
    let asked: Vec<&Message> = giver.asked.iter().filter(|asked| asked.kind == "get_block").collect();
    assert_eq!(asked.len(), 4, "each ancestor once: {asked:?}");
    assert_eq!(court.observer.gather(), [said("block", &blocks[4].bytes())]);
}

#[test]
fn a_heavier_branch_replaces_the_chain() {
    let mut court = Court::new("", &[]);
    let genesis = Block::genesis(NETWORK);
    let ours = ledger::chain(&genesis, 3);
    let fork = Block { producer: ledger::public(4), ..genesis.draft(vec![]) }.mined();
    let theirs = [vec![fork.clone()], ledger::chain(&fork, 4)].concat();
    let mut first = Peer::ready(court.node.address, Manner::honest(&ours));
    wait_for_height(&court.node, 3);
    let mut second = Peer::ready(court.node.address, Manner::honest(&theirs));
    second.settle();
    wait_for_height(&court.node, 5);
    first.manner.blocks.clear();
    first.gather();
    first.say(&frame("get_block", &ours[2].hash()));
    assert_eq!(first.message(), said("block", &ours[2].bytes()), "an abandoned branch is served");
    court.adjourn();
}

// A node that looks for peers, and a peer at `listener` that it is told of by a claim.
fn listen() -> (TcpListener, SocketAddr) {
    let listener = free_listener();
    let there = listener.local_addr().expect("a socket");
    (listener, there)
}

#[test]
fn an_address_is_handed_out_only_when_it_was_dialled() {
    let node = Node::start(NETWORK, "", &[]);
    let (listener, claimed) = listen();
    let mut claimant = Peer::dial(node.address);
    claimant.say(&frame("connect", &address(claimed)));
    assert_eq!(claimant.message().kind, "connection_accepted");
    claimant.manner = Manner::honest(&[]);
    let mut asker = Peer::open(node.address);
    asker.manner = Manner::honest(&[]);
    asker.say(&frame("get_peers", &[]));
    assert_eq!(asker.message_of("peers").payload, peers(&[]), "a claim is no proof");
    let mut dialled = Peer::accept(&listener);
    assert_eq!(dialled.message(), said("connect", &address(node.address)));
    dialled.say(&frame("connection_accepted", &address(claimed)));
    dialled.manner = Manner::honest(&[]);
    dialled.gather();
    asker.say(&frame("get_peers", &[]));
    assert_eq!(asker.message_of("peers").payload, peers(&[claimed]));
    claimant.gather();
    claimant.say(&frame("get_peers", &[]));
    assert_eq!(claimant.message_of("peers").payload, peers(&[]), "never the asker's own");
}

#[test]
fn nobody_can_have_a_third_address_dialled_by_claiming_it() {
    let node = Node::start(NETWORK, "", &[]);
    let listener = TcpListener::bind(("127.0.0.9", free_address().port())).expect("another loopback address");
    let mut claimant = Peer::dial(node.address);
    claimant.say(&frame("connect", &address(listener.local_addr().expect("a socket"))));
    assert_eq!(claimant.message().kind, "connection_accepted");
    claimant.manner = Manner::honest(&[]);
    listener.set_nonblocking(true).expect("a mode");
    let deadline = Instant::now() + PATIENCE + Duration::from_secs(1);
    while Instant::now() < deadline {
        claimant.hear(Duration::from_millis(100));
        assert!(listener.accept().is_err(), "the node dialled an address that is not the claimant's");
    }
}

#[test]
fn a_flood_of_addresses_is_bounded() {
    let (listener, there) = listen();
    let mut node = Node::start(NETWORK, "", &["--add-peer", &there.to_string()]);
    let mut peer = Peer::accept(&listener);
    assert_eq!(peer.message().kind, "connect");
    let many: Vec<SocketAddr> =
        (0..1000u16).map(|i| SocketAddr::from(([127, 9, (i >> 8) as u8, i as u8], 1))).collect();
    peer.manner = Manner { peers: Some(peers(&many)), ..Manner::honest(&[]) };
    peer.say(&frame("connection_accepted", &address(there)));
    peer.settle();
    let before = node.memory();
    for round in 0..200u8 {
        let more: Vec<SocketAddr> =
            (0..1000u16).map(|i| SocketAddr::from(([127, round, (i >> 8) as u8, i as u8], 1))).collect();
        peer.say(&frame("peers", &peers(&more)));
    }
    peer.fine();
    let grown = node.memory().saturating_sub(before);
    println!("6.4 MB of unasked addresses, memory grew by {grown}");
    assert!(grown < 2 << 20, "memory grew by {grown}");
    let book = node.get(&format!("/api/v1/networks/{NETWORK}/addresses")).expect("the address book");
    assert!(book.as_array().expect("a list").len() <= 1001, "unasked addresses were taken");
    assert!(node.is_alive());
}

#[test]
fn a_dialled_node_is_asked_for_addresses_unless_discovery_is_off() {
    for (arguments, asks) in [(&[][..], true), (&["--no-discovery"][..], false)] {
        let (listener, there) = listen();
        let there = there.to_string();
        let _node = Node::start(NETWORK, "", &[&["--add-peer", &there][..], arguments].concat());
        let mut peer = Peer::accept(&listener);
        peer.message();
        peer.manner = Manner::honest(&[]);
        peer.say(&frame("connection_accepted", &address(listener.local_addr().expect("a socket"))));
        peer.settle();
        assert_eq!(peer.asked.iter().any(|asked| asked.kind == "get_peers"), asks, "asked {:?}", peer.asked);
    }
}
