//! When it is looked for whom (Mina spec, sections 2.3 and 9).

use crate::stage::{Stage, address, config, contact, find, peer};
use polypeer_engine::{Direction, Time};
use polypeer_mina::kad::{BUCKET_MAX, Config, Kind, Message, Output};
use std::time::Duration;

// Answers every question with nobody, and gives what was asked.
fn answer_all(stage: &mut Stage) -> Vec<Message> {
    let mut asked = Vec::new();
    loop {
        let outputs = stage.outputs();
        if outputs.is_empty() {
            return asked;
        }
        for output in outputs {
            match output {
                Output::Open { connection } => {
                    stage.open(connection, Direction::Outbound);
                }
                Output::Send { connection, channel, frame } => {
                    let request = crate::stage::decode(&frame);
                    if request.kind != Kind::AddProvider {
                        stage.say(connection, channel, &Message::about(request.kind, &request.key));
                    }
                    asked.push(request);
                }
                _ => {}
            }
        }
    }
}

fn seconds(time: Time) -> u64 {
    time.as_micros() / 1_000_000
}

#[test]
fn we_look_ourselves_up_again_after_a_minute_or_soon_when_nobody_answered() {
    let mut stage = Stage::new(config());
    stage.wake();
    assert_eq!((stage.outputs().len(), seconds(stage.kad.next_wake())), (0, 5));
    stage.meet(1);
    stage.wake();
    let asked = answer_all(&mut stage);
    assert!(asked.contains(&find(0)), "{asked:?}");
    stage.pass(Duration::from_secs(59));
    stage.wake();
    assert!(!answer_all(&mut stage).contains(&find(0)));
    stage.pass(Duration::from_secs(1));
    stage.wake();
    assert!(answer_all(&mut stage).contains(&find(0)));
}

#[test]
fn a_bootstrap_is_over_with_twenty_answers() {
    let mut stage = Stage::new(config());
    for number in 1..=60 {
        stage.meet(number);
    }
    stage.outputs();
    stage.wake();
    let asked = answer_all(&mut stage);
    let own = asked.iter().filter(|request| **request == find(0)).count();
    assert!((BUCKET_MAX..BUCKET_MAX + 3).contains(&own), "{own}");
}

#[test]
fn few_peers_are_a_reason_to_ask_and_ever_less_often() {
    let mut stage = Stage::new(Config { low_water: 20, ..config() });
    stage.meet(1);
    let mut times = Vec::new();
    while seconds(stage.now) < 1_500 {
        stage.now = stage.kad.next_wake();
        stage.wake();
        if answer_all(&mut stage).iter().any(|request| request.kind == Kind::GetProviders) {
            times.push(seconds(stage.now));
        }
    }
    let waits: Vec<u64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(waits[..10], [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]);
    // Once there are enough nobody is asked, and when they become few again soon.
    stage.tell(|kad, now, _| kad.set_ready(now, 20));
    stage.now = stage.kad.next_wake();
    stage.wake();
    answer_all(&mut stage);
    let until = seconds(stage.now) + 200;
    while seconds(stage.now) < until {
        stage.now = stage.kad.next_wake();
        stage.wake();
        assert!(answer_all(&mut stage).iter().all(|request| request.kind != Kind::GetProviders));
    }
    let now = stage.now;
    stage.tell(|kad, now, _| kad.set_ready(now, 19));
    assert!(stage.kad.next_wake() <= now + Duration::from_secs(1));
}

#[test]
fn who_is_told_not_to_look_asks_nobody() {
    let mut stage = Stage::new(Config { low_water: 20, looks: false, ..config() });
    stage.meet(1);
    while seconds(stage.now) < 1_500 {
        stage.now = stage.kad.next_wake();
        stage.wake();
        assert!(answer_all(&mut stage).is_empty());
    }
}

#[test]
fn we_announce_ourselves_to_those_near_the_rendezvous_every_three_hours() {
    let mut stage = Stage::new(config());
    stage.kad.set_listening(&["10.0.0.1:8302".parse().expect("an address"), address(0)]);
    for number in 1..=5 {
        stage.meet(number);
    }
    let mut announced = Vec::new();
    while seconds(stage.now) < 4 * 60 * 60 {
        stage.now = stage.kad.next_wake();
        stage.wake();
        for request in answer_all(&mut stage) {
            if request.kind == Kind::AddProvider {
                announced.push(seconds(stage.now));
                assert_eq!(request.key, config().rendezvous);
                let own = &request.providers[..];
                assert!(matches!(own, [one] if one.peer == peer(0) && one.addresses == [address(0)]), "{own:?}");
            }
        }
    }
    assert_eq!(announced.len(), 10, "five peers, twice: {announced:?}");
    assert!(announced[5] - announced[0] >= 3 * 60 * 60);
}

#[test]
fn who_provides_is_found() {
    let mut stage = Stage::new(config());
    let connection = stage.meet(1);
    stage.outputs();
    stage.tell(|kad, now, out| {
        kad.find_providers(now, out);
    });
    let channel = stage.open(connection, Direction::Outbound);
    stage.outputs();
    let mut answer = Message::about(Kind::GetProviders, &config().rendezvous);
    answer.providers = (2..=70).map(contact).chain([contact(0)]).collect();
    stage.say(connection, channel, &answer);
    let outputs = stage.outputs();
    let found = outputs.iter().filter(|output| matches!(output, Output::Found { .. })).count();
    let Some(Output::LookedUp { outcome, .. }) = outputs.last() else { panic!("{outputs:?}") };
    assert_eq!((found, outcome.providers.len()), (64, 64), "what one message may have is read of it");
}
