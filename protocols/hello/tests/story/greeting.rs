//! Handshakes and liveness (Hello spec, section 3).

use crate::stage::*;
use crate::toy::{Toy, chain, genesis, hash_of, id_of, transaction};
use polypeer_engine::{BadFrame, Close, ConnectionId, Event, P2pAction, P2pConfig, Weight};
use polypeer_hello::Misbehavior;
use serde_json::{Value, json};

#[test]
fn a_dialler_is_greeted_with_hey_and_hello() {
    story(|stage| {
        let guest = stage.accept("127.0.0.1:40000");
        assert!(stage.hears(guest).is_empty(), "the dialler speaks first");
        stage.says(guest, hello(1));
        let heard = stage.hears(guest);
        assert_eq!(heard.iter().map(method).collect::<Vec<_>>(), ["HEY", "HELLO"]);
        assert_eq!(heard[0], hey(1));
        let ours = &heard[1]["HELLO"];
        assert_eq!(ours["block_count"], 1);
        assert_eq!(ours["time"], START_UNIX_MS / 1000);
        assert_eq!(ours["port"], 7444);
        assert_eq!(ours["genesis"], hex(hash_of(&genesis())));
        assert!(ours["agent"].as_str().is_some_and(|agent| agent.starts_with("polypeer/")));
        assert!(ours["nonce"].as_str().is_some_and(|nonce| nonce.len() == 16));
        stage.says(guest, hey(1));
        let heard = stage.hears_one(guest);
        assert_eq!(heard, json!({"GETLISTOFBLOCKS": {"from": 0, "latest": 0}}));
    });
}

#[test]
fn we_dial_greet_and_ask_for_addresses_and_blocks() {
    story(|stage| {
        let host = stage.dial("10.0.0.1:7444");
        assert_eq!(stage.hears_methods(host), ["HELLO"]);
        stage.says(host, hey(5));
        assert!(stage.hears(host).is_empty());
        stage.says(host, hello(5));
        let heard = stage.hears(host);
        assert_eq!(heard, [hey(1), json!({"GETADDR": 7444}), json!({"GETLISTOFBLOCKS": {"from": 0, "latest": 0}})]);
    });
}

#[test]
fn block_count_is_the_newest_blocks_number_and_one() {
    story_of(
        || Stage::holding(&chain(hash_of(&genesis()), 0, 7, 1)),
        |stage| {
            let guest = stage.accept("127.0.0.1:40000");
            stage.says(guest, hello(1));
            let heard = stage.hears(guest);
            assert_eq!((&heard[0], &heard[1]["HELLO"]["block_count"]), (&hey(8), &json!(8)));
        },
    );
}

/// One well-formed message of each method.
fn every_message() -> Vec<Value> {
    let hash = hex([7; 32]);
    vec![
        hello(1),
        hey(1),
        json!({"GETADDR": null}),
        json!({"ADDR": ["10.1.1.1:7444"]}),
        json!({"BROADCASTBLOCK": {"number": 9, "hash": hash}}),
        json!({"GETBLOCK": {"number": 0}}),
        json!({"GETLISTOFBLOCKS": {"from": 0, "latest": 0}}),
        json!({"LISTOFBLOCKS": {"from": 0, "latest": 0, "parent": hash, "hashes": []}}),
        json!({"BLOCK": {"number": 1, "data": hex(&chain(hash_of(&genesis()), 0, 1, 1)[0])}}),
        json!({"PUSHTRANSACTION": [hex(transaction(0, 1))]}),
        json!({"BROADCASTTRANSACTION": {"id": hex(id_of(b"x"))}}),
        json!({"NOTFOUND": {"number": 3}}),
        json!({"REJECT": {"method": "", "reason": ""}}),
    ]
}

/// The states of a connection, each with the message that it waits for; open ones take all.
fn every_state() -> Vec<(&'static str, Option<&'static str>)> {
    vec![
        ("first", Some("HELLO")),
        ("last", Some("HEY")),
        ("hey", Some("HEY")),
        ("hello", Some("HELLO")),
        ("open, accepted", None),
        ("open, dialled", None),
    ]
}

fn in_state(stage: &mut Stage, state: &str) -> ConnectionId {
    let connection = match state {
        "first" => stage.accept("10.0.0.9:40000"),
        "last" => {
            let guest = stage.accept("10.0.0.9:40000");
            stage.says(guest, hello(1));
            guest
        }
        "hey" => stage.dial("10.0.0.9:7444"),
        "hello" => {
            let host = stage.dial("10.0.0.9:7444");
            stage.says(host, hey(1));
            host
        }
        "open, accepted" => stage.guest("10.0.0.9:40000", 1),
        _ => stage.host("10.0.0.9:7444", 1),
    };
    stage.hears(connection);
    connection
}

#[test]
fn every_message_in_every_state_is_taken_or_ends_the_handshake() {
    for (state, expected) in every_state() {
        for message in every_message() {
            story(|stage| {
                let connection = in_state(stage, state);
                let said = method(&message);
                stage.says(connection, message.clone());
                let is_refused = expected.is_some_and(|expected| expected != said);
                let ip = "10.0.0.9".parse().expect("an address");
                let refusal = stage.engine.state().bans.get(stage.now, ip).cloned();
                match (is_refused, said.as_str()) {
                    (true, "REJECT") => {
                        assert_eq!(stage.end(connection), Some(Close::Now), "{state}, {said}");
                        assert!(stage.hears(connection).is_empty() && refusal.is_none(), "{state}, {said}");
                    }
                    (true, _) => {
                        assert_eq!(stage.end(connection), Some(Close::Lingering), "{state}, {said}");
                        assert!(refusal.is_some(), "{state}, {said}");
                        assert_reject(&stage.hears_one(connection), &said);
                    }
                    (false, _) => assert!(stage.is_open(connection) && refusal.is_none(), "{state}, {said}"),
                }
            });
        }
    }
}

#[test]
fn every_answer_on_an_open_connection_is_the_specs() {
    let answers = |said: &str| match said {
        "HELLO" => vec!["HEY"],
        "GETADDR" => vec!["ADDR"],
        "BROADCASTBLOCK" | "BROADCASTTRANSACTION" => vec!["GETBLOCK"],
        "GETBLOCK" => vec!["BLOCK"],
        "GETLISTOFBLOCKS" => vec!["LISTOFBLOCKS"],
        // Nobody asked for these: no answer.
        "LISTOFBLOCKS" | "BLOCK" | "HEY" | "NOTFOUND" | "REJECT" | "ADDR" | "PUSHTRANSACTION" => vec![],
        other => panic!("no such method: {other}"),
    };
    for message in every_message() {
        story(|stage| {
            let guest = stage.guest("10.0.0.9:40000", 1);
            stage.says(guest, message.clone());
            assert_eq!(stage.hears_methods(guest), answers(&method(&message)), "{message}");
        });
    }
}

#[test]
fn malformed_lines_end_a_handshake_and_name_the_key() {
    let lines: [(&[u8], &str); 6] = [
        (b"GET / HTTP/1.1\r\n", ""),
        (b"\n", ""),
        (b"{\"HELLO\":{}}\n", "HELLO"),
        (b"{\"OLLEH\":1}\n", "OLLEH"),
        (b"{\"HELLO\":{\"block_count\":1,\"time\":1,\"port\":0},\"HEY\":{\"block_count\":1}}\n", ""),
        (b"{\"HELLO\":{\"block_count\":1,\"time\":1,\"port\":0,\"port\":0}}\n", "HELLO"),
    ];
    for (line, method) in lines {
        story(|stage| {
            let guest = stage.accept("10.0.0.9:40000");
            stage.types(guest, line);
            assert_reject(&stage.hears_one(guest), method);
            assert_eq!(stage.end(guest), Some(Close::Lingering));
        });
    }
    story(|stage| {
        let guest = stage.accept("10.0.0.9:40000");
        stage.types(guest, b"{\"REJECT\":7}\n");
        assert!(stage.hears(guest).is_empty());
        assert_eq!(stage.end(guest), Some(Close::Now));
    });
}

#[test]
fn a_handshake_that_takes_too_long_ends_without_a_word() {
    for state in ["first", "last", "hey", "hello"] {
        story(|stage| {
            let connection = in_state(stage, state);
            stage.wait(std::time::Duration::from_millis(4999));
            assert!(stage.is_open(connection), "{state}");
            stage.wait(std::time::Duration::from_millis(1));
            assert_eq!(stage.end(connection), Some(Close::Now), "{state}");
            assert!(stage.hears(connection).is_empty(), "{state}");
        });
    }
}

#[test]
fn an_open_connection_outlives_the_handshakes_limit() {
    story(|stage| {
        let guest = stage.guest("10.0.0.9:40000", 1);
        stage.wait(seconds(59));
        assert!(stage.is_open(guest));
    });
}

#[test]
fn another_genesis_is_rejected_without_blame() {
    let other = ("genesis", json!(hex([9; 32])));
    story(|stage| {
        let guest = stage.accept("10.0.0.9:40000");
        stage.says(guest, hello_with(1, 0, std::slice::from_ref(&other)));
        assert_reject(&stage.hears_one(guest), "HELLO");
        assert_eq!(stage.end(guest), Some(Close::Lingering));
        assert!(stage.engine.state().bans.all(stage.now).next().is_none());

        let host = stage.dial("10.0.0.1:7444");
        stage.says(host, hey(1));
        stage.hears(host);
        stage.says(host, hello_with(1, 0, std::slice::from_ref(&other)));
        assert_reject(&stage.hears_one(host), "HELLO");
        assert!(stage.engine.state().bans.all(stage.now).next().is_none());
    });
    assert_eq!(polypeer_engine::Misbehavior::weight(&Misbehavior::OtherGenesis), Weight::Stranger);
}

fn our_nonce(stage: &mut Stage) -> Value {
    let guest = stage.accept("10.9.9.9:1");
    stage.says(guest, hello(1));
    let nonce = stage.hears(guest)[1]["HELLO"]["nonce"].clone();
    stage.hang_up(guest);
    nonce
}

#[test]
fn we_part_from_ourselves_without_a_word_and_never_dial_again() {
    story(|stage| {
        let nonce = our_nonce(stage);
        let host = stage.dial("10.0.0.1:7444");
        stage.says(host, hey(1));
        stage.hears(host);
        stage.says(host, hello_with(1, 7444, &[("nonce", nonce)]));
        assert!(stage.hears(host).is_empty());
        assert_eq!(stage.end(host), Some(Close::Now));
        stage.dialled.clear();
        stage.act(P2pAction::Connect { address: address("10.0.0.1:7444") });
        stage.wait(seconds(3 * 3600));
        assert!(stage.dialled.is_empty());
        assert!(stage.engine.state().bans.all(stage.now).next().is_none());
    });
}

#[test]
fn the_accepting_end_of_a_meeting_with_ourselves_knows_which_dial_it_was() {
    story(|stage| {
        let nonce = our_nonce(stage);
        // Both ends are ours: what we dialled at 10.0.0.7 comes in from our own end's address.
        stage.act(P2pAction::Connect { address: address("10.0.0.7:9999") });
        let (out, dialled) = *stage.dialled.last().expect("it is dialled");
        stage.connected(out, address("10.0.0.7:51000"), dialled, Some(dialled));
        let into = stage.accept("10.0.0.7:51000");
        stage.hears(out);
        stage.says(into, hello_with(1, 7444, &[("nonce", nonce)]));
        assert!(stage.hears(into).is_empty() && stage.hears(out).is_empty());
        assert_eq!((stage.end(into), stage.end(out)), (Some(Close::Now), Some(Close::Now)));
        stage.dialled.clear();
        stage.act(P2pAction::Connect { address: address("10.0.0.7:9999") });
        assert!(stage.dialled.is_empty());
    });
}

fn nonce(number: u64) -> (&'static str, Value) {
    ("nonce", json!(format!("{number:016x}")))
}

#[test]
fn of_two_connections_with_one_node_the_smaller_nonces_stays() {
    for (theirs, ours_stays) in [(u64::MAX, true), (0, false)] {
        for we_complete_first in [true, false] {
            story(|stage| {
                let dialled = stage.dial("10.0.0.1:7444");
                let accepted = stage.accept("10.0.0.1:40000");
                let say = hello_with(5, 7444, &[nonce(theirs)]);
                stage.says(dialled, hey(5));
                if we_complete_first {
                    stage.says(dialled, say.clone());
                    stage.says(accepted, say);
                } else {
                    stage.says(accepted, say.clone());
                    stage.says(dialled, say);
                }
                let (stays, goes) = if ours_stays { (dialled, accepted) } else { (accepted, dialled) };
                assert!(stage.is_open(stays), "{theirs} {we_complete_first}");
                assert_eq!(stage.end(goes), Some(Close::Now));
                assert!(!stage.hears_methods(goes).contains(&"REJECT".to_owned()));
                assert!(stage.engine.state().bans.all(stage.now).next().is_none());
            });
        }
    }
}

#[test]
fn of_two_connections_that_one_side_dialled_the_older_stays() {
    story(|stage| {
        let say = hello_with(5, 7444, &[nonce(77)]);
        let older = stage.accept("10.0.0.1:40000");
        let newer = stage.accept("10.0.0.1:40001");
        // The newer one is quicker.
        stage.says(newer, say.clone());
        stage.says(newer, hey(5));
        assert!(stage.is_open(newer));
        stage.says(older, say.clone());
        assert!(stage.is_open(older) && !stage.is_open(newer));
        // Another address, or another nonce, is another node.
        for (remote, number) in [("10.0.0.2:40000", 77), ("10.0.0.1:40002", 78)] {
            let other = stage.accept(remote);
            stage.says(other, hello_with(5, 7444, &[nonce(number)]));
            assert!(stage.is_open(other) && stage.is_open(older));
        }
    });
}

#[test]
fn a_peer_without_blocks_may_have_two_connections() {
    story(|stage| {
        let say = hello_with(0, 7440, &[nonce(77)]);
        let connections = [stage.accept("10.0.0.1:40000"), stage.accept("10.0.0.1:40001")];
        for connection in connections {
            stage.says(connection, say.clone());
            stage.says(connection, hey(0));
        }
        assert!(connections.iter().all(|connection| stage.is_open(*connection)));
    });
}

#[test]
fn a_wrong_clock_is_noted_and_borne() {
    story(|stage| {
        for (ip, offset) in [(1_u64, -90_000_i64), (2, 7_201), (3, 5)] {
            let guest = stage.accept(&format!("10.0.0.{ip}:40000"));
            let time = START_UNIX_MS as i64 / 1000 + offset;
            stage.says(guest, json!({"HELLO": {"block_count": 1, "time": time, "port": 0}}));
            stage.says(guest, hey(1));
            assert!(stage.is_open(guest));
        }
        let notes = stage.events.iter().filter(|event| matches!(event, Event::Note(_))).count();
        assert_eq!((notes, stage.engine.protocol().time_offset_median()), (2, Some(5)));
        // Any amount.
        let guest = stage.accept("10.0.0.4:40000");
        stage.says(guest, json!({"HELLO": {"block_count": 1, "time": (1_u64 << 53) - 1, "port": 0}}));
        stage.says(guest, hey(1));
        assert!(stage.is_open(guest));
    });
}

#[test]
fn hello_on_an_open_connection_is_answered_with_hey_within_its_rate() {
    story(|stage| {
        let guest = stage.guest("10.0.0.9:40000", 1);
        for _ in 0..10 {
            stage.says(guest, hello(1));
            assert_eq!(stage.hears(guest), [hey(1)]);
        }
        stage.says(guest, hello(1));
        assert_reject(&stage.hears_one(guest), "HELLO");
        stage.wait(seconds(1));
        stage.says(guest, hello(1));
        assert_eq!(stage.hears(guest), [hey(1)]);
        stage.says(guest, hello(1));
        assert_reject(&stage.hears_one(guest), "HELLO");
        // Each is a slip, and the twentieth at one time ends the connection.
        for _ in 0..17 {
            stage.says(guest, hello(1));
        }
        assert!(stage.is_open(guest));
        stage.says(guest, hello(1));
        assert_eq!(stage.end(guest), Some(Close::Lingering));
    });
}

#[test]
fn hello_refreshes_block_count_and_port() {
    story(|stage| {
        let guest = stage.guest("10.0.0.9:40000", 1);
        stage.says(guest, hello_with(9, 7555, &[]));
        let Some(polypeer_hello::Peer::Ready(ready)) = stage.engine.state().peers[&guest].peer.as_ref() else {
            panic!("an open connection");
        };
        assert_eq!((ready.block_count, ready.port), (9, 7555));
        assert!(stage.engine.state().discovery.book.get(address("10.0.0.9:7555")).is_some());
        stage.says(guest, hello_with(9, 0, &[("genesis", json!(hex([9; 32])))]));
        assert_eq!(stage.end(guest), Some(Close::Lingering), "another chain is another chain at any time");
    });
}

#[test]
fn a_silent_peer_is_asked_and_then_left() {
    story(|stage| {
        let guest = stage.guest("10.0.0.9:40000", 1);
        stage.wait(seconds(30));
        stage.says(guest, hey(1));
        stage.wait(seconds(59));
        assert!(!stage.hears_methods(guest).contains(&"HELLO".to_owned()), "60 s from its last line");
        stage.wait(seconds(1));
        assert!(stage.hears_methods(guest).contains(&"HELLO".to_owned()));
        stage.wait(seconds(19));
        stage.says(guest, hey(1));
        stage.wait(seconds(60));
        assert!(stage.hears_methods(guest).contains(&"HELLO".to_owned()));
        stage.wait(seconds(19));
        assert!(stage.is_open(guest));
        stage.wait(seconds(1));
        assert_eq!(stage.end(guest), Some(Close::Now));
        assert!(stage.engine.state().bans.all(stage.now).next().is_none());
    });
}

#[test]
fn any_line_is_a_sign_of_life() {
    story(|stage| {
        let guest = stage.guest("10.0.0.9:40000", 1);
        for _ in 0..10 {
            stage.wait(seconds(50));
            stage.types(guest, b"nonsense\n");
        }
        assert!(!stage.hears_methods(guest).contains(&"HELLO".to_owned()));
    });
}

#[test]
fn the_handshake_waits_for_the_ledgers_first_word() {
    let set = || {
        let mut stage = Stage::asleep(Toy::with(&chain(hash_of(&genesis()), 0, 3, 1)));
        stage.is_asleep = true;
        stage
    };
    story_of(set, |stage| {
        let guest = stage.accept("10.0.0.9:40000");
        let host = stage.dial("10.0.0.8:7444");
        stage.says(guest, hello(1));
        assert!(stage.hears(guest).is_empty() && stage.hears(host).is_empty());
        let hasty = stage.accept("10.0.0.7:40000");
        stage.says(hasty, hello(1));
        stage.says(hasty, hey(1));
        assert_eq!(stage.end(hasty), Some(Close::Lingering), "it cannot have heard our HELLO");
        stage.is_asleep = false;
        stage.answer();
        assert_eq!(stage.hears_methods(guest), ["HEY", "HELLO"]);
        let ours = stage.hears_one(host);
        assert_eq!(ours["HELLO"]["block_count"], 4);
    });
}

#[test]
fn lines_are_short_until_the_handshake_is_complete() {
    let padded = |length: usize| {
        let mut line = b"{\"HEY\":{\"block_count\":1,\"x\":\"".to_vec();
        line.resize(length - 4, b'x');
        line.extend_from_slice(b"\"}}\n");
        line
    };
    story(|stage| {
        let guest = stage.accept("10.0.0.9:40000");
        stage.says(guest, hello(1));
        stage.types(guest, &padded(1024));
        assert!(stage.is_open(guest));
        assert!(stage.hears_methods(guest).contains(&"GETLISTOFBLOCKS".to_owned()));
        // Complete: now they may be long.
        stage.types(guest, &padded(8 << 20));
        assert!(stage.is_open(guest) && stage.hears(guest).is_empty());
        stage.types(guest, &vec![b' '; 8 << 20]);
        assert_reject(&stage.hears_one(guest), "");
        assert_eq!(stage.end(guest), Some(Close::Lingering));

        let guest = stage.accept("10.0.0.8:40000");
        stage.says(guest, hello(1));
        stage.hears(guest);
        stage.types(guest, &padded(1025));
        assert_reject(&stage.hears_one(guest), "");
        assert_eq!(stage.end(guest), Some(Close::Lingering));
    });
}

#[test]
fn the_larger_limit_holds_for_bytes_that_came_with_the_completing_message() {
    story(|stage| {
        let guest = stage.accept("10.0.0.9:40000");
        let ids: Vec<String> = (0..1000_u64).map(|salt| hex(id_of(&transaction(0, salt)))).collect();
        let long = json!({"GETLISTOFBLOCKS": {"from": 0, "latest": 0, "transactions": ids}});
        let piece = format!("{}\n{}\n{long}\n", hello(1), hey(1));
        stage.types(guest, piece.as_bytes());
        assert!(stage.is_open(guest));
        let heard = stage.hears_methods(guest);
        assert_eq!(heard.iter().filter(|method| *method == "LISTOFBLOCKS").count(), 1);
        assert_eq!(heard.iter().filter(|method| *method == "GETBLOCK").count(), 128);
    });
}

#[test]
fn the_hosts_own_limits_end_a_connection_without_blame() {
    for reason in [BadFrame::TOO_SLOW, BadFrame::OVER_BUDGET] {
        story(|stage| {
            let guest = stage.guest("10.0.0.9:40000", 1);
            let bad = BadFrame::of_host(reason);
            stage.act(P2pAction::BadFrame { connection: guest, channel: CH, bad });
            assert_reject(&stage.hears_one(guest), "");
            assert_eq!(stage.end(guest), Some(Close::Lingering));
            assert!(stage.engine.state().bans.all(stage.now).next().is_none());
        });
    }
}

#[test]
fn a_breach_on_loopback_is_not_held_against_it() {
    story(|stage| {
        let guest = stage.accept("127.0.0.1:40000");
        stage.types(guest, b"garbage\n");
        assert_eq!(stage.end(guest), Some(Close::Lingering));
        assert!(stage.engine.state().bans.all(stage.now).next().is_none());
    });
}

#[test]
fn draining_lets_everyone_go() {
    story(|stage| {
        let guest = stage.guest("10.0.0.9:40000", 1);
        stage.act(P2pAction::Command(polypeer_engine::Command::Drain));
        assert_eq!(stage.end(guest), Some(Close::Flushed));
        let late = stage.accept("10.0.0.8:40000");
        assert!(!stage.is_open(late));
    });
}

#[test]
fn our_own_port_is_0_when_we_do_not_listen_and_the_external_one_when_told() {
    for (p2p, port) in [
        (P2pConfig { listen: None, ..p2p() }, 0),
        (P2pConfig { external: Some(address("1.2.3.4:9000")), ..p2p() }, 9000),
    ] {
        story_of(
            || Stage::new(config(), p2p.clone(), Toy::new(), 1),
            |stage| {
                let host = stage.dial("10.0.0.1:7444");
                assert_eq!(stage.hears_one(host)["HELLO"]["port"], port);
            },
        );
    }
}
