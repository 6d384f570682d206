//! What liars reach: nothing but the questions that their names cost.

use crate::stage::{Stage, config, contact, find, peer};
use polypeer_engine::{Direction, Random};
use polypeer_mina::kad::{Contact, Message, Output};
use polypeer_mina::keys::PeerId;
use std::time::Duration;

fn answer(closer: Vec<Contact>) -> Message {
    Message { closer, ..find(900) }
}

// Whom a look-up dials when its only peer names these.
fn dialled(closer: Vec<Contact>) -> Vec<PeerId> {
    let mut stage = Stage::new(config());
    let connection = stage.meet(1);
    stage.tell(|kad, now, out| {
        kad.find(now, &peer(900), out);
    });
    let channel = stage.open(connection, Direction::Outbound);
    stage.outputs();
    stage.say(connection, channel, &answer(closer));
    let dial = |output| match output {
        Output::Dial { peer, .. } => Some(peer),
        _ => None,
    };
    stage.outputs().into_iter().filter_map(dial).collect()
}

#[test]
fn names_of_ourselves_of_itself_and_twice_lead_nowhere() {
    assert_eq!(dialled(vec![contact(0), contact(1)]), []);
    assert_eq!(dialled(vec![contact(2), contact(2), contact(2)]), [peer(2)]);
}

#[test]
fn private_addresses_and_none_at_all_are_not_dialled() {
    let at = |address: &str| Contact { addresses: vec![address.parse().expect("an address")], ..contact(2) };
    for address in ["127.0.0.1:8302", "10.0.0.1:1", "192.168.7.7:8302", "169.254.1.1:80", "100.64.0.1:1", "0.0.0.0:5"] {
        assert_eq!(dialled(vec![at(address)]), [], "{address}");
    }
    assert_eq!(dialled(vec![Contact { addresses: Vec::new(), ..contact(2) }]), []);
    assert_eq!(dialled(vec![at("198.18.0.1:8302")]), []);
    assert_eq!(dialled(vec![at("8.8.8.8:0")]), []);
}

#[test]
fn of_a_long_answer_twenty_are_looked_at_and_three_asked_at_a_time() {
    assert_eq!(dialled((2..64).map(contact).collect()).len(), 3);
}

#[test]
fn ever_nearer_peers_that_are_made_up_do_not_keep_a_look_up_busy_for_ever() {
    let mut stage = Stage::new(config());
    stage.meet(1);
    let mut random = Random::new([9; 32]);
    stage.tell(|kad, now, out| {
        kad.find(now, &peer(900), out);
    });
    let (mut asked, mut outcomes, mut made_up) = (0, 0, 10_000);
    for _ in 0..10_000 {
        let outputs = stage.outputs();
        if outputs.is_empty() {
            break;
        }
        for output in outputs {
            match output {
                // Whoever is made up is there, and says the same.
                Output::Dial { peer, addresses } => {
                    let connection =
                        polypeer_engine::ConnectionId::nth(Direction::Outbound, 1 << 20 | random.number() >> 40);
                    stage.tell(|kad, now, out| {
                        kad.on_connected(now, connection, peer, addresses.first().copied(), None, out);
                    });
                }
                Output::Open { connection } => {
                    stage.open(connection, Direction::Outbound);
                }
                Output::Send { connection, channel, .. } => {
                    asked += 1;
                    made_up += 20;
                    stage.say(connection, channel, &answer((made_up..made_up + 20).map(contact).collect()));
                }
                Output::Release { connection } => stage.tell(|kad, now, out| kad.on_disconnected(now, connection, out)),
                Output::LookedUp { .. } => outcomes += 1,
                _ => {}
            }
        }
    }
    assert_eq!(outcomes, 1);
    assert!(asked <= 128, "{asked}");
}

#[test]
fn a_look_up_ends_in_time_whatever_happens() {
    let mut stage = Stage::new(config());
    stage.meet(1);
    stage.tell(|kad, now, out| {
        kad.find(now, &peer(900), out);
    });
    let mut is_over = false;
    // Streams open and nobody says a word.
    for _ in 0..100 {
        for output in stage.outputs() {
            match output {
                Output::Open { connection } => drop(stage.open(connection, Direction::Outbound)),
                Output::LookedUp { .. } => is_over = true,
                _ => {}
            }
        }
        stage.pass(Duration::from_secs(5));
        stage.wake();
    }
    assert!(is_over);
}

#[test]
fn random_bytes_on_any_stream_do_no_harm() {
    let mut random = Random::new([5; 32]);
    let mut stage = Stage::new(config());
    for round in 0..2_000 {
        let connection = stage.meet(1 + round % 7);
        let opener = if random.below(2) == 0 { Direction::Inbound } else { Direction::Outbound };
        let channel = stage.open(connection, opener);
        let mut frame = random.sample((0..=255).collect(), 1 + random.clone().below(80));
        frame[0] = frame.len() as u8 - 1;
        stage.hear(connection, channel, &frame);
        stage.pass(Duration::from_millis(50));
        stage.wake();
        if random.below(3) == 0 {
            stage.tell(|kad, now, out| kad.on_disconnected(now, connection, out));
        }
        stage.outputs();
    }
}
