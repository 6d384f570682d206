//! Addresses (Hello spec, section 6), and trackers as a node sees them (section 7).

use crate::stage::*;
use crate::toy::Toy;
use polypeer_engine::{Address, ConnectionId, P2pAction, P2pConfig};
use serde_json::{Value, json};
use std::time::Duration;

fn addresses(message: &Value) -> Vec<Address> {
    let list = message["ADDR"].as_array().unwrap_or_else(|| panic!("an ADDR, not {message}"));
    list.iter().map(|entry| address(entry.as_str().expect("text"))).collect()
}

fn knows(stage: &Stage, text: &str) -> Option<bool> {
    stage.engine.state().discovery.book.get(address(text)).map(|entry| entry.proven)
}

fn open(stage: &mut Stage, connection: ConnectionId, block_count: u64, port: u16) {
    let say = hello_with(block_count, port, &[]);
    if connection.direction() == polypeer_engine::Direction::Outbound {
        stage.says(connection, hey(block_count));
        stage.says(connection, say);
    } else {
        stage.says(connection, say);
        stage.says(connection, hey(block_count));
    }
    assert!(stage.is_open(connection));
    stage.hears(connection);
}

fn host(stage: &mut Stage, remote: &str) -> ConnectionId {
    let host = stage.dial(remote);
    open(stage, host, 1, 0);
    host
}

#[test]
fn only_addresses_that_were_dialled_are_handed_out() {
    story(|stage| {
        let guest = stage.accept("10.0.0.1:40000");
        open(stage, guest, 1, 7001);
        assert_eq!(knows(stage, "10.0.0.1:7001"), Some(false), "unproven");
        stage.says(guest, json!({"ADDR": ["10.0.5.1:7444", "10.0.5.2:7444"]}));
        assert_eq!(knows(stage, "10.0.5.1:7444"), Some(false));
        let asker = stage.guest("10.0.0.2:40000", 1);
        stage.says(asker, json!({"GETADDR": null}));
        assert_eq!(stage.hears_one(asker), json!({"ADDR": []}));
        host(stage, "10.0.0.3:7444");
        stage.says(asker, json!({"GETADDR": null}));
        assert_eq!(stage.hears_one(asker), json!({"ADDR": ["10.0.0.3:7444"]}));
        // The handshake must be finished.
        let half = stage.dial("10.0.0.4:7444");
        stage.says(half, hey(1));
        stage.says(asker, json!({"GETADDR": null}));
        assert_eq!(stage.hears_one(asker), json!({"ADDR": ["10.0.0.3:7444"]}));
    });
}

#[test]
fn the_askers_own_address_is_not_handed_to_it() {
    story(|stage| {
        let proven = host(stage, "10.0.0.3:7444");
        host(stage, "10.0.0.4:7444");
        // By the one we dialled, and by one who says where it listens.
        stage.says(proven, json!({"GETADDR": null}));
        assert_eq!(stage.hears_one(proven), json!({"ADDR": ["10.0.0.4:7444"]}));
        let guest = stage.guest("10.0.0.4:40000", 1);
        stage.says(guest, json!({"GETADDR": 7444}));
        assert_eq!(stage.hears_one(guest), json!({"ADDR": ["10.0.0.3:7444"]}));
    });
}

#[test]
fn getaddr_with_a_port_is_understood_as_in_hello() {
    story(|stage| {
        let guest = stage.guest("10.0.0.1:40000", 1);
        stage.says(guest, json!({"GETADDR": 7100}));
        assert_eq!(knows(stage, "10.0.0.1:7100"), Some(false));
        stage.says(guest, json!({"GETADDR": 0}));
        assert!(stage.is_open(guest));
    });
}

#[test]
fn getaddr_is_answered_once_a_second_five_at_once() {
    story(|stage| {
        let guest = stage.guest("10.0.0.1:40000", 1);
        for _ in 0..5 {
            stage.says(guest, json!({"GETADDR": null}));
            assert_eq!(stage.hears_methods(guest), ["ADDR"]);
        }
        stage.says(guest, json!({"GETADDR": null}));
        assert_reject(&stage.hears_one(guest), "GETADDR");
        stage.wait(seconds(1));
        stage.says(guest, json!({"GETADDR": null}));
        assert_eq!(stage.hears_methods(guest), ["ADDR"]);
    });
}

#[test]
fn a_flood_of_addresses_is_cut_and_no_fault() {
    story(|stage| {
        let guest = stage.guest("10.0.0.1:40000", 1);
        let flood = |first: u32, count: u32| {
            let list: Vec<_> =
                (first..first + count).map(|n| format!("10.{}.{}.1:7444", 9 + n / 256, n % 256)).collect();
            json!({"ADDR": list})
        };
        let before = stage.engine.state().discovery.book.len();
        let known = |stage: &Stage| stage.engine.state().discovery.book.len() - before;
        stage.says(guest, flood(0, 1000));
        // Now and then two want the same place of the book, and the second has none.
        let first = known(stage);
        assert!((980..=1000).contains(&first), "{first}");
        stage.says(guest, flood(1000, 1000));
        assert_eq!(known(stage), first, "dropped, not queued");
        stage.wait(seconds(2));
        assert_eq!(known(stage), first);
        stage.says(guest, flood(2000, 1000));
        let more = known(stage) - first;
        assert!((17..=20).contains(&more), "ten a second over time, not {more} in two");
        assert!(stage.is_open(guest) && stage.engine.state().peers[&guest].slips.is_empty());
    });
}

#[test]
fn a_public_network_takes_no_private_addresses() {
    let p2p = P2pConfig { private_addresses: false, ..p2p() };
    story_of(
        || Stage::new(config(), p2p.clone(), Toy::new(), 1),
        |stage| {
            let guest = stage.guest("8.8.8.8:40000", 1);
            let list = json!({"ADDR": ["127.0.0.1:1", "10.0.0.1:2", "192.168.0.1:3", "[fc00::1]:4", "9.9.9.9:5"]});
            stage.says(guest, list);
            let known: Vec<_> = stage.engine.state().discovery.book.all().map(|(address, _)| address).collect();
            assert_eq!(known, [address("9.9.9.9:5")]);
        },
    );
}

#[test]
fn addresses_are_told_every_ten_minutes_more_or_less() {
    let p2p = P2pConfig { external: Some(address("1.2.3.4:7444")), ..p2p() };
    story_of(
        || Stage::new(config(), p2p.clone(), Toy::new(), 1),
        |stage| {
            for ip in 1..=15 {
                host(stage, &format!("10.0.1.{ip}:7444"));
            }
            let guest = stage.guest("10.0.0.1:40000", 1);
            let mut told = Vec::new();
            for minute in 1..=60 {
                stage.wait(seconds(60));
                let heard = stage.hears(guest);
                told.extend(heard.into_iter().filter(|heard| method(heard) == "ADDR").map(|heard| (minute, heard)));
                stage.says(guest, hey(1));
                for connection in stage.engine.state().peers.keys().copied().collect::<Vec<_>>() {
                    stage.says(connection, hey(1));
                }
            }
            assert!((5..=8).contains(&told.len()), "{told:?}");
            let mut last = 0;
            for (minute, message) in &told {
                assert!((7..=13).contains(&(minute - last)), "25 % jitter: {minute} after {last}");
                last = *minute;
                let list = addresses(message);
                assert_eq!((list[0], list.len()), (address("1.2.3.4:7444"), 11));
            }
            assert_ne!(told[0].1, told[1].1, "random ones");
        },
    );
}

#[test]
fn an_own_address_that_is_not_known_is_not_told() {
    let p2p = P2pConfig { listen: Some(address("0.0.0.0:7444")), ..p2p() };
    story_of(
        || Stage::new(config(), p2p.clone(), Toy::new(), 1),
        |stage| {
            let guest = stage.guest("10.0.0.1:40000", 1);
            for _ in 0..13 {
                stage.wait(seconds(59));
                stage.says(guest, hey(1));
            }
            assert!(!stage.hears_methods(guest).contains(&"ADDR".to_owned()), "there is nothing to tell");
            host(stage, "10.0.0.2:7444");
            for _ in 0..13 {
                stage.wait(seconds(59));
                stage.says(guest, hey(1));
            }
            let heard = stage.hears(guest);
            let told = heard.iter().find(|heard| method(heard) == "ADDR").expect("one is known");
            assert_eq!(addresses(told), [address("10.0.0.2:7444")]);
        },
    );
}

#[test]
fn without_discovery_nobody_is_asked() {
    let p2p = P2pConfig { discovery: false, ..p2p() };
    story_of(
        || Stage::new(config(), p2p.clone(), Toy::new(), 1),
        |stage| {
            let host = stage.dial("10.0.0.1:7444");
            stage.says(host, hey(1));
            stage.says(host, hello(1));
            assert_eq!(stage.hears_methods(host), ["HELLO", "HEY", "GETLISTOFBLOCKS"]);
        },
    );
}

#[test]
fn a_tracker_is_asked_at_once_and_every_ten_minutes() {
    story(|stage| {
        let tracker = stage.dial("10.0.0.1:7440");
        assert_eq!(stage.hears_methods(tracker), ["HELLO"]);
        stage.says(tracker, hey(0));
        stage.says(tracker, hello_with(0, 7440, &[]));
        assert_eq!(stage.hears(tracker), [hey(1), json!({"GETADDR": 7444})]);
        assert_eq!(stage.engine.state().slots().outbound, 0, "it fills no slot");
        stage.says(tracker, json!({"ADDR": ["10.0.5.1:7444"]}));
        assert_eq!(knows(stage, "10.0.5.1:7444"), Some(false));
        let mut asked = Vec::new();
        for half_minute in 1..=60 {
            stage.wait(seconds(30));
            stage.says(tracker, hello_with(0, 7440, &[]));
            let heard = stage.hears(tracker);
            assert_eq!(heard.last(), Some(&hey(1)), "it answers its HELLOs");
            asked.extend(heard.contains(&json!({"GETADDR": 7444})).then_some(half_minute));
            assert!(heard.iter().all(|heard| ["HEY", "GETADDR"].contains(&method(heard).as_str())), "{heard:?}");
        }
        assert_eq!(asked, [20, 40, 60]);
    });
}

#[test]
fn a_trackers_address_is_never_handed_out() {
    story(|stage| {
        let tracker = stage.dial("10.0.0.1:7440");
        open(stage, tracker, 0, 7440);
        let guest = stage.guest("10.0.0.2:40000", 1);
        stage.says(guest, json!({"ADDR": ["10.0.0.1:7440"]}));
        host(stage, "10.0.0.3:7444");
        stage.says(guest, json!({"GETADDR": null}));
        assert_eq!(stage.hears_one(guest), json!({"ADDR": ["10.0.0.3:7444"]}));
        assert_eq!(knows(stage, "10.0.0.1:7440"), None);
        // One who comes to prove us is not learned either.
        let proof = stage.accept("10.0.0.1:50000");
        stage.says(proof, hello_with(0, 7440, &[]));
        stage.says(proof, hey(0));
        assert!(stage.is_open(proof));
        assert_eq!(
            (knows(stage, "10.0.0.1:7440"), stage.hears_methods(proof)),
            (None, vec!["HEY".into(), "HELLO".into()])
        );
    });
}

#[test]
fn a_tracker_that_the_operator_named_is_dialled_again_when_lost() {
    let p2p = P2pConfig { add_peers: vec![polypeer_engine::Target::Address(address("10.0.0.1:7440"))], ..p2p() };
    story_of(
        || Stage::new(config(), p2p.clone(), Toy::new(), 1),
        |stage| {
            stage.wait(Duration::from_millis(300));
            let (tracker, to) = stage.dialled[0];
            assert_eq!(to, address("10.0.0.1:7440"));
            stage.arrive(tracker, to);
            open(stage, tracker, 0, 7440);
            stage.hang_up(tracker);
            stage.wait(seconds(10));
            assert_eq!(stage.dialled.len(), 2);
        },
    );
}

#[test]
fn a_rejecting_tracker_is_no_reason_to_leave() {
    story(|stage| {
        let tracker = stage.dial("10.0.0.1:7440");
        open(stage, tracker, 0, 7440);
        for _ in 0..30 {
            stage
                .says(tracker, json!({"REJECT": {"method": "GETLISTOFBLOCKS", "reason": "a tracker holds no blocks"}}));
        }
        assert!(stage.is_open(tracker));
        stage.act(P2pAction::Wake);
    });
}
