//! Judges what Hello nodes do for each other: relay, lists of blocks, catching up, addresses.

use super::hello::{Heard, Manner, NETWORK, Peer, fresh_nonce, hello, hex, line, named};
use super::hello_court::Court;
use super::ledger::{self, Block, Payment};
use super::node::{Node, free_listener};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

fn news(block: &Block) -> Value {
    json!({"number": block.height, "hash": hex(&block.hash())})
}

fn height(node: &Node) -> Option<u64> {
    node.get("/api/v1/status").expect("a status")["networks"][0]["height"].as_u64()
}

// Waits until the node's tip is at this height, as its API shows it.
fn wait_for_height(node: &Node, expected: u64) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while height(node) != Some(expected) {
        assert!(Instant::now() < deadline, "never at height {expected}: {:?}", height(node));
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_new_block_is_announced_to_all_who_lack_it() {
    let mut court = Court::new("", &[]);
    let block = Block::genesis(NETWORK).child(vec![]);
    let mut giver = Peer::ready(court.node.address, Manner::honest(&[]));
    let mut knowing = Peer::ready(court.node.address, Manner { gives: false, ..Manner::honest(&[]) });
    giver.manner.blocks = vec![block.clone()];
    giver.say(&line("BROADCASTBLOCK", json!({ "number": 1 })));
    knowing.say(&line("BROADCASTBLOCK", news(&block)));
    assert!(giver.gather().iter().all(|(method, _)| method != "BROADCASTBLOCK"), "not back to who announced it");
    assert_eq!(court.observer.message_of("BROADCASTBLOCK"), news(&block));
    for peer in [&mut giver, &mut knowing, &mut court.observer] {
        let said = peer.gather();
        assert!(said.iter().all(|(method, _)| method != "BROADCASTBLOCK"), "who knows it is not told: {said:?}");
    }
    court.observer.say(&line("GETBLOCK", json!({ "number": 1 })));
    assert_eq!(court.observer.message_of("BLOCK"), super::hello::block(&block));
    court.observer.say(&line("GETBLOCK", json!({ "number": 0 })));
    assert_eq!(court.observer.message_of("BLOCK"), super::hello::block(&Block::genesis(NETWORK)));
}

#[test]
fn a_transaction_is_announced_asked_for_and_announced_on() {
    let mut court = Court::new("", &[]);
    let transaction = Payment::new(1, 2, 0).sign(NETWORK);
    let id = hex(&ledger::id(&transaction));
    let mut giver =
        Peer::ready(court.node.address, Manner { transactions: vec![transaction.clone()], ..Manner::honest(&[]) });
    giver.say(&line("BROADCASTTRANSACTION", json!({ "id": id })));
    let back = giver.gather();
    assert_eq!(court.observer.message_of("BROADCASTTRANSACTION"), json!({ "id": id }));
    assert!(back.iter().all(|(method, _)| method != "BROADCASTTRANSACTION"), "not back");
    assert_eq!(giver.asked.iter().filter(|(_, question)| question["transaction"] == id).count(), 1);
    court.observer.say(&line("GETBLOCK", json!({ "transaction": id })));
    assert_eq!(court.observer.message_of("PUSHTRANSACTION"), json!([hex(&transaction)]));
    giver.say(&line("PUSHTRANSACTION", json!([hex(&transaction)])));
    assert!(court.observer.gather().is_empty(), "a known one is never announced again");
}

#[test]
fn what_waits_is_told_to_who_comes_later() {
    let court = Court::new("", &[]);
    let transaction = Payment::new(1, 2, 0).sign(NETWORK);
    let mut giver = Peer::ready(court.node.address, Manner::honest(&[]));
    giver.say(&line("PUSHTRANSACTION", json!([hex(&transaction)])));
    giver.fine();
    let late = Peer::ready(court.node.address, Manner::honest(&[]));
    let told: Vec<&Value> = late.asked.iter().map(|(_, question)| &question["transactions"]).collect();
    assert!(told.contains(&&json!([hex(&ledger::id(&transaction))])), "told in GETLISTOFBLOCKS: {:?}", late.asked);
    let mine = Payment::new(3, 4, 0).sign(NETWORK);
    let mut other = Peer::ready(court.node.address, Manner { transactions: vec![mine.clone()], ..Manner::honest(&[]) });
    let list = json!({"from": 0, "latest": 0, "transactions": [hex(&ledger::id(&mine))]});
    other.say(&line("GETLISTOFBLOCKS", list));
    other.message_of("LISTOFBLOCKS");
    other.settle();
    let asked = other.asked.iter().any(|(_, question)| question["transaction"] == named(&ledger::id(&mine)));
    assert!(asked, "an identifier in a list is an announcement: {:?}", other.asked);
}

#[test]
fn lists_are_answered_to_the_letter() {
    let court = Court::new("", &[]);
    let genesis = Block::genesis(NETWORK);
    let blocks = ledger::chain(&genesis, 20);
    let mut giver = Peer::ready(court.node.address, Manner::honest(&blocks));
    wait_for_height(&court.node, 20);
    giver.settle();
    let hashes = |from: usize| -> Vec<Value> { blocks[from..].iter().map(|block| named(&block.hash())).collect() };
    let mut asker = Peer::ready(court.node.address, Manner::honest(&blocks));
    for (from, start, parent) in [(0, 0, &genesis), (7, 7, &blocks[6]), (20, 20, &blocks[19]), (900, 20, &blocks[19])] {
        asker.say(&line("GETLISTOFBLOCKS", json!({"from": from, "latest": 20})));
        let expected = json!({"from": start, "latest": 20, "parent": hex(&parent.hash()), "hashes": hashes(start)});
        assert_eq!(asker.message_of("LISTOFBLOCKS"), expected);
    }
    for number in [0u64, 1, 20] {
        asker.say(&line("GETBLOCK", json!({ "number": number })));
        assert_eq!(asker.message_of("BLOCK")["number"], number);
    }
    asker.say(&line("GETBLOCK", json!({ "number": 21 })));
    assert_eq!(asker.message_of("NOTFOUND"), json!({ "number": 21 }));
    // Its last answer brought nothing new; only 5 s later may it be asked again.
    std::thread::sleep(Duration::from_millis(5500));
    asker.settle();
    let before = asker.asked.len();
    asker.say(&line("GETLISTOFBLOCKS", json!({"from": 20, "latest": 21})));
    asker.message_of("LISTOFBLOCKS");
    asker.settle();
    assert!(asker.asked.len() > before, "who claims to have more is asked back");
}

// Long enough for the node to ask the other peer too.
const THINKING: Duration = Duration::from_millis(200);

// Answers everything until the node is quiet; how many blocks it asked for. Never more than 128 at a time.
fn serve(node: SocketAddr, manner: Manner) -> usize {
    let mut peer = Peer::open_as(node, hello(manner.count(), 0, fresh_nonce()));
    let giver = manner.clone();
    peer.manner = Manner { gives: false, ..manner };
    let (mut served, mut waiting) = (0, Vec::new());
    loop {
        match peer.hear(if waiting.is_empty() { Duration::from_secs(2) } else { THINKING }) {
            Heard::Said(method, question) if method == "GETBLOCK" => waiting.push(question["hash"].clone()),
            Heard::Said(method, _) if method.starts_with("BROADCAST") => {}
            Heard::Silence if waiting.is_empty() => return served,
            Heard::Silence => {
                for hash in waiting.drain(..) {
                    let block = giver.blocks.iter().find(|block| named(&block.hash()) == hash).expect("one of ours");
                    peer.say(&line("BLOCK", super::hello::block(block)));
                    served += 1;
                }
            }
            other => panic!("while catching up: {other:?}"),
        }
        assert!(waiting.len() <= 128, "{} questions unanswered", waiting.len());
    }
}

#[test]
fn catching_up_asks_all_who_agree_and_announces_only_the_last() {
    let mut court = Court::new("", &[]);
    let blocks = ledger::chain(&Block::genesis(NETWORK), 1000);
    let first = std::thread::spawn({
        let (node, manner) = (court.node.address, Manner::honest(&blocks));
        move || serve(node, manner)
    });
    let second = serve(court.node.address, Manner::honest(&blocks));
    let first = first.join().expect("the first peer has no complaint");
    wait_for_height(&court.node, 1000);
    println!("asked of the two: {first} and {second}");
    assert!(first + second >= 1000 && first > 50 && second > 50, "asked of the two: {first} and {second}");
    let said = court.observer.gather();
    assert_eq!(said, [("BROADCASTBLOCK".to_owned(), news(&blocks[999]))], "only the last is announced");
}

#[test]
fn a_question_that_one_peer_leaves_unanswered_is_put_to_another() {
    let court = Court::new("request_timeout = \"1s\"", &[]);
    let blocks = ledger::chain(&Block::genesis(NETWORK), 20);
    let mut silent = Peer::open_as(court.node.address, hello(21, 0, fresh_nonce()));
    silent.manner = Manner { gives: false, ..Manner::honest(&blocks) };
    silent.settle();
    let mut honest = Peer::open_as(court.node.address, hello(21, 0, fresh_nonce()));
    honest.manner = Manner::honest(&blocks);
    let deadline = Instant::now() + Duration::from_secs(30);
    while height(&court.node) != Some(20) {
        assert!(Instant::now() < deadline, "the silent peer holds everything up");
        honest.hear(Duration::from_millis(100));
        silent.hear(Duration::from_millis(1));
    }
    silent.say(&line("BLOCK", super::hello::block(&blocks[0])));
    silent.fine();
}

#[test]
fn lists_that_lie_cost_only_their_maker() {
    let mut court = Court::new("request_timeout = \"1s\"", &[]);
    let genesis = Block::genesis(NETWORK);
    let mut liar = Peer::open_as(court.node.address, hello(1_000_000, 0, fresh_nonce()));
    liar.manner.hey = true;
    let blocks = ledger::chain(&genesis, 100);
    let honest = std::thread::spawn({
        let (node, manner) = (court.node.address, Manner::honest(&blocks));
        move || serve(node, manner)
    });
    let deadline = Instant::now() + Duration::from_secs(8);
    while Instant::now() < deadline {
        match liar.hear(Duration::from_millis(200)) {
            Heard::Said(method, question) if method == "GETLISTOFBLOCKS" => {
                let from = question["from"].as_u64().expect("a number");
                let made_up = |number: u64| hex(&ledger::hash(&[&number.to_be_bytes()]));
                let parent = if from == 0 { hex(&genesis.hash()) } else { made_up(from) };
                let hashes: Vec<String> = (from + 1..=from + 10_000).map(made_up).collect();
                let list = json!({"from": from, "latest": 999_999, "parent": parent, "hashes": hashes});
                liar.try_say(&line("LISTOFBLOCKS", list));
            }
            Heard::Said(method, question) if method == "GETBLOCK" => {
                liar.try_say(&line("NOTFOUND", question));
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
fn chains_that_part_meet_again_further_down() {
    let court = Court::new("", &[]);
    let genesis = Block::genesis(NETWORK);
    let ours = ledger::chain(&genesis, 30);
    let fork = Block { producer: ledger::public(4), ..ours[9].draft(vec![]) }.mined();
    let theirs = [&ours[..10], std::slice::from_ref(&fork), &ledger::chain(&fork, 40)].concat();
    let mut first = Peer::ready(court.node.address, Manner::honest(&ours));
    wait_for_height(&court.node, 30);
    first.settle();
    let mut second = Peer::open_as(court.node.address, hello(52, 0, fresh_nonce()));
    second.manner = Manner::honest(&theirs);
    second.settle();
    wait_for_height(&court.node, 51);
    let asked: Vec<u64> = second.asked.iter().filter_map(|(_, question)| question["from"].as_u64()).collect();
    assert!(
        asked.starts_with(&[30, 29, 27, 23, 15, 0]) || asked.iter().any(|from| *from <= 10),
        "asked from {asked:?}"
    );
    first.manner.gives = false;
    first.say(&line("GETBLOCK", json!({ "hash": hex(&ours[29].hash()) })));
    assert_eq!(first.message_of("BLOCK"), super::hello::block(&ours[29]), "an abandoned branch is served");
}

#[test]
fn a_block_without_its_parent_leads_to_a_list() {
    let court = Court::new("", &[]);
    let blocks = ledger::chain(&Block::genesis(NETWORK), 5);
    let mut giver = Peer::ready(court.node.address, Manner::honest(&[]));
    giver.manner.blocks = blocks.clone();
    giver.asked.clear();
    giver.say(&line("BROADCASTBLOCK", news(&blocks[4])));
    giver.settle();
    wait_for_height(&court.node, 5);
    assert!(giver.has_asked("GETLISTOFBLOCKS"), "asked {:?}", giver.asked);
}

#[test]
fn a_block_from_the_future_is_held_without_blame() {
    let mut court = Court::new("", &[]);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    let time = u64::try_from(now.as_millis()).expect("now") + 600_000;
    let future = Block { time, ..Block::genesis(NETWORK).draft(vec![]) }.mined();
    let mut giver = Peer::ready(court.node.address, Manner { blocks: vec![future.clone()], ..Manner::honest(&[]) });
    giver.say(&line("BROADCASTBLOCK", news(&future)));
    giver.fine();
    let said = court.observer.gather();
    assert!(said.is_empty(), "neither announced nor blamed: {said:?}");
}

#[test]
fn only_dialled_addresses_are_handed_out() {
    let node = Node::start(NETWORK, "", &[]);
    let listener = free_listener();
    let there = listener.local_addr().expect("a socket");
    let mut claimant = Peer::open_as(node.address, hello(1, there.port(), fresh_nonce()));
    claimant.manner = Manner::honest(&[]);
    let mut asker = Peer::open(node.address);
    asker.manner = Manner::honest(&[]);
    asker.say(&line("GETADDR", json!(null)));
    assert_eq!(asker.message_of("ADDR"), json!([]), "a claim is no proof");
    let mut dialled = Peer::accept(&listener);
    dialled.welcome(hello(1, there.port(), fresh_nonce()));
    dialled.manner = Manner::honest(&[]);
    dialled.settle();
    asker.say(&line("GETADDR", json!(null)));
    assert_eq!(asker.message_of("ADDR"), json!([there.to_string()]));
    dialled.manner.hey = false;
    dialled.say(&line("GETADDR", json!(there.port())));
    assert_eq!(dialled.message_of("ADDR"), json!([]), "never the asker's own");
}

#[test]
fn a_flood_of_addresses_is_bounded() {
    let mut court = Court::new("", &[]);
    let mut flooder = Peer::ready(court.node.address, Manner::honest(&[]));
    let before = court.node.memory();
    for round in 0..100u8 {
        let many: Vec<String> = (0..1000u16).map(|i| format!("127.{round}.{}.{}:9", i >> 8, i & 255)).collect();
        flooder.say(&line("ADDR", json!(many)));
    }
    flooder.fine();
    let grown = court.node.memory().saturating_sub(before);
    println!("100,000 addresses, memory grew by {grown}");
    assert!(grown < 2 << 20, "memory grew by {grown}");
    let book = court.node.get(&format!("/api/v1/networks/{NETWORK}/addresses")).expect("the address book");
    let taken = book.as_array().expect("a list").len();
    assert!((900..1200).contains(&taken), "1000 at once and 10 a second, but {taken}");
    court.adjourn();
}

#[test]
fn a_dialled_node_is_asked_for_addresses() {
    let listener = free_listener();
    let there = listener.local_addr().expect("a socket").to_string();
    let _node = Node::start(NETWORK, "", &["--add-peer", &there]);
    let mut peer = Peer::accept(&listener);
    peer.welcome(hello(1, 0, fresh_nonce()));
    peer.manner = Manner::honest(&[]);
    peer.settle();
    let asked = peer.asked.iter().filter(|(method, _)| method == "GETADDR").count();
    assert_eq!(asked, 1, "once after connecting outwards: {:?}", peer.asked);
}

#[test]
fn of_several_announcers_one_is_asked_at_a_time() {
    let court = Court::new("request_timeout = \"1s\"", &[]);
    let transaction = Payment::new(1, 2, 0).sign(NETWORK);
    let id = hex(&ledger::id(&transaction));
    let mut announcers: Vec<Peer> =
        (0..3).map(|_| Peer::ready(court.node.address, Manner { gives: false, ..Manner::honest(&[]) })).collect();
    for peer in &mut announcers {
        peer.say(&line("BROADCASTTRANSACTION", json!({ "id": id })));
    }
    let question = json!({ "transaction": id });
    let is_asked = |peer: &mut Peer| peer.gather().contains(&("GETBLOCK".to_owned(), question.clone()));
    let first: Vec<bool> = announcers.iter_mut().map(is_asked).collect();
    assert_eq!(first.iter().filter(|asked| **asked).count(), 1, "asked at once: {first:?}");
    let asked = first.iter().position(|asked| *asked).expect("one was asked");
    announcers[asked].say(&line("NOTFOUND", question.clone()));
    announcers.swap_remove(asked).settle();
    let second: Vec<bool> = announcers.iter_mut().map(is_asked).collect();
    assert!(second.contains(&true), "the next one after NOTFOUND");
    // Whoever was asked and is silent, or goes, does not hold up the last.
    std::thread::sleep(Duration::from_millis(1500));
    let third: Vec<bool> = announcers.iter_mut().map(is_asked).collect();
    let all = second.iter().zip(&third).all(|(before, after)| *before || *after);
    assert!(all, "the next one after the time limit: {second:?}, {third:?}");
}

#[test]
fn blocks_and_addresses_are_compared_on_a_timer() {
    let court = Court::new("reconcile_interval = \"1s\"\naddress_interval = \"1s\"", &[]);
    let mut peer = Peer::ready(court.node.address, Manner::honest(&[]));
    peer.asked.clear();
    let own = json!(court.node.address.to_string());
    let mut told = 0;
    let until = Instant::now() + Duration::from_millis(4500);
    while Instant::now() < until {
        if let Heard::Said(method, payload) = peer.hear(Duration::from_millis(100)) {
            assert_eq!(method, "ADDR", "{payload}");
            let addresses = payload.as_array().expect("a list");
            assert!(addresses.contains(&own) && addresses.len() <= 11, "its own and up to 10 others: {payload}");
            told += 1;
        }
    }
    assert!((2..=6).contains(&told), "addresses told {told} times in 4.5 s");
    let asked = peer.asked.iter().filter(|(method, _)| method == "GETLISTOFBLOCKS").count();
    assert!((3..=5).contains(&asked), "compared {asked} times in 4.5 s");
}
