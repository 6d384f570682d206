//! Stories of the shell, told with a protocol of one word.

mod word;

use bytes::Bytes;
use polypeer_engine::{
    Address, BadFrame, Close, Command, ConnectionId, DialFailure, Direction, DisconnectCause, Effect, Now, P2pAction,
    P2pConfig, Reason, Record, Target, Ticket, journal,
};
use std::time::Duration;
use word::{Story, at};

fn dials(effects: &[Effect<u8>]) -> Vec<(ConnectionId, Address)> {
    let dial = |effect: &Effect<u8>| match effect {
        Effect::Dial { connection, address } => Some((*connection, *address)),
        _ => None,
    };
    effects.iter().filter_map(dial).collect()
}

fn closes(effects: &[Effect<u8>]) -> Vec<(ConnectionId, Close)> {
    let close = |effect: &Effect<u8>| match effect {
        Effect::Close { connection, how } => Some((*connection, *how)),
        _ => None,
    };
    effects.iter().filter_map(close).collect()
}

fn sent(effects: &[Effect<u8>]) -> Vec<Bytes> {
    let frame = |effect: &Effect<u8>| match effect {
        Effect::Send { frame, .. } => Some(frame.clone()),
        _ => None,
    };
    effects.iter().filter_map(frame).collect()
}

fn saved(effects: &[Effect<u8>]) -> Vec<Record> {
    let record = |effect: &Effect<u8>| match effect {
        Effect::Save(record) => Some(record.clone()),
        _ => None,
    };
    effects.iter().filter_map(record).collect()
}

fn reasons(story: &Story, ip: &str) -> Vec<Reason> {
    story.engine.state().reasons.about(ip.parse().expect("an IP address")).map(|record| record.reason.clone()).collect()
}

#[test]
fn each_weight_costs_what_it_says() {
    let check = |word: &'static [u8], farewell: bool, comes_back: bool| {
        let mut story = Story::new(P2pConfig { inbound_max: 1, ..P2pConfig::default() });
        let (connection, _) = story.accept("10.1.1.1");
        let effects = story.say(connection, word);
        let how = if farewell { Close::Lingering } else { Close::Now };
        assert_eq!(closes(&effects), [(connection, how)], "{word:?}");
        assert_eq!(sent(&effects).len(), usize::from(farewell), "{word:?}");
        assert_eq!(story.engine.protocol().gone, [(connection, false)], "{word:?}: told once, its state dropped");
        assert!(story.say(connection, b"x").is_empty(), "{word:?}: late frames are ignored");
        story.act(P2pAction::Disconnected { connection, cause: DisconnectCause::Ours });
        assert_eq!(story.engine.protocol().gone.len(), 1, "{word:?}: not told again");
        let (_, again) = story.accept("10.1.1.1");
        assert_eq!(closes(&again).is_empty(), comes_back, "{word:?}");
    };
    check(b"?", false, true);
    check(b"b", true, false);
    check(b"a", true, false);
}

#[test]
fn a_discouraged_peer_is_let_in_while_slots_are_plenty_and_a_banned_one_never() {
    let mut story = Story::new(P2pConfig { inbound_max: 4, ..P2pConfig::default() });
    for (ip, word, stays) in [("10.1.1.1", b"b" as &[u8], true), ("10.1.1.2", b"a", false)] {
        let (connection, _) = story.accept(ip);
        story.say(connection, if word == b"b" { b"b" } else { b"a" });
        story.act(P2pAction::Disconnected { connection, cause: DisconnectCause::Ours });
        let (again, effects) = story.accept(ip);
        assert_eq!(closes(&effects).is_empty(), stays, "{ip}");
        story.act(P2pAction::Disconnected { connection: again, cause: DisconnectCause::Theirs });
    }
    story.wait(24 * 60 * 60);
    assert!(closes(&story.accept("10.1.1.2").1).is_empty(), "a ban ends after a day");
}

#[test]
fn a_v4_mapped_address_does_not_escape_a_ban() {
    let mut story = Story::new(P2pConfig::default());
    let (connection, _) = story.accept("10.1.1.1");
    story.say(connection, b"a");
    assert_eq!(closes(&story.accept("::ffff:10.1.1.1").1).len(), 1);
}

#[test]
fn slips_fade_and_the_one_too_many_ends_the_connection() {
    let mut story = Story::new(P2pConfig::default());
    let (connection, _) = story.accept("10.1.1.1");
    for _ in 0..2 {
        assert!(closes(&story.say(connection, b"s")).is_empty());
    }
    story.wait(11);
    for _ in 0..2 {
        assert!(closes(&story.say(connection, b"s")).is_empty());
    }
    let effects = story.say(connection, b"s");
    assert_eq!(closes(&effects), [(connection, Close::Lingering)]);
    assert_eq!(sent(&effects), [Bytes::from_static(b"!")], "the last slip is answered too");
    assert_eq!(story.engine.protocol().gone.len(), 1);
}

#[test]
fn loopback_is_spared_unless_the_operator_says_otherwise() {
    for (spare, stays) in [(true, true), (false, false)] {
        let mut story = Story::new(P2pConfig { spare_loopback: spare, ..P2pConfig::default() });
        let (connection, _) = story.accept("127.0.0.1");
        story.say(connection, b"a");
        assert_eq!(closes(&story.accept("127.0.0.1").1).is_empty(), stays);
    }
    let mut story = Story::new(P2pConfig::default());
    let (open, _) = story.accept("127.0.0.1");
    let ban = Command::Ban { ip: "127.0.0.1".parse().unwrap(), duration: Duration::from_secs(60) };
    let effects = story.act(P2pAction::Command(ban));
    assert_eq!(closes(&effects), [(open, Close::Flushed)], "an operator's ban ends what is open");
    assert_eq!(closes(&story.accept("127.0.0.1").1).len(), 1, "and holds for loopback");
    story.act(P2pAction::Command(Command::Unban { ip: "127.0.0.1".parse().unwrap() }));
    assert!(closes(&story.accept("127.0.0.1").1).is_empty());
}

#[test]
fn caps_hold_and_say_why() {
    let mut story = Story::new(P2pConfig { inbound_max: 3, inbound_per_ip_max: 2, ..P2pConfig::default() });
    for (ip, is_in) in [("10.1.1.1", true), ("10.1.1.1", true), ("10.1.1.1", false), ("10.2.2.2", true)] {
        assert_eq!(closes(&story.accept(ip).1).is_empty(), is_in, "{ip}");
    }
    assert_eq!(closes(&story.accept("10.1.3.3").1).len(), 1);
    assert_eq!(reasons(&story, "10.1.1.1"), [Reason::RefusedPerIp]);
    assert_eq!(reasons(&story, "10.1.3.3"), [Reason::RefusedFull]);
}

#[test]
fn convicting_others_leaves_the_one_that_speaks_in_place() {
    let mut story = Story::new(P2pConfig::default());
    let (first, _) = story.accept("10.1.1.1");
    let (second, _) = story.accept("10.2.2.2");
    let effects = story.say(first, b"o");
    assert_eq!(closes(&effects), [(second, Close::Lingering)]);
    assert_eq!(sent(&story.say(first, b"x")), [Bytes::from_static(b"x")]);
}

#[test]
fn an_alarm_goes_with_its_connection() {
    let mut story = Story::new(P2pConfig::default());
    let (stays, _) = story.accept("10.1.1.1");
    let (goes, _) = story.accept("10.2.2.2");
    story.say(stays, b"t");
    story.say(goes, b"t");
    story.act(P2pAction::Disconnected { connection: goes, cause: DisconnectCause::Theirs });
    assert_eq!(sent(&story.wait(2)), [Bytes::from_static(b"alarm")]);
}

#[test]
fn a_named_peer_is_dialled_at_once_and_again_within_ten_seconds_of_its_loss() {
    let peer = at("10.9.9.9:7333");
    let mut story = Story::new(P2pConfig { add_peers: vec![Target::Address(peer)], ..P2pConfig::default() });
    let [(connection, address)] = dials(&story.wait(0))[..] else { panic!("one dial") };
    assert_eq!(address, peer);
    story.stand(connection, peer);
    assert!(dials(&story.wait(60)).is_empty(), "held: not dialled again");
    story.act(P2pAction::Disconnected { connection, cause: DisconnectCause::Broken });
    assert_eq!(dials(&story.wait(10)).len(), 1);
}

#[test]
fn patience_with_a_dead_peer_grows_to_its_bound() {
    let peer = at("10.9.9.9:7333");
    let mut story = Story::new(P2pConfig { add_peers: vec![Target::Address(peer)], ..P2pConfig::default() });
    let mut tries = 0;
    for _ in 0..600 {
        for (connection, _) in dials(&story.wait(1)) {
            tries += 1;
            story.act(P2pAction::ConnectionFailed { connection, cause: DialFailure::Refused });
        }
    }
    assert!((20..40).contains(&tries), "{tries} dials in ten minutes");
    let is_back_off = |reason: &Reason| matches!(reason, Reason::BackOff { cause: DialFailure::Refused, .. });
    assert!(reasons(&story, "10.9.9.9").iter().any(is_back_off), "and why can be read");
}

#[test]
fn only_the_named_are_dialled_when_connect_is_given() {
    let [one, other] = [at("10.9.9.9:1"), at("10.8.8.8:1")];
    let connect_only = vec![Target::Address(one)];
    let add_peers = vec![Target::Address(other)];
    let mut story = Story::new(P2pConfig { connect_only, add_peers, ..P2pConfig::default() });
    assert_eq!(dials(&story.wait(60)).iter().map(|dial| dial.1).collect::<Vec<_>>(), [one]);
}

#[test]
fn a_name_is_looked_up_and_dialled() {
    let target = Target::Name("seed.example".into(), 1);
    let mut story = Story::new(P2pConfig { add_peers: vec![target], ..P2pConfig::default() });
    let effects = story.wait(0);
    assert!(effects.contains(&Effect::Resolve { name: "seed.example".into(), port: 1 }));
    let addresses = vec![at("10.9.9.9:1")];
    story.act(P2pAction::Resolved { name: "seed.example".into(), port: 1, addresses });
    assert_eq!(dials(&story.wait(1))[0].1, at("10.9.9.9:1"));
}

#[test]
fn anchors_are_dialled_first_after_a_restart() {
    let peers: Vec<_> = (1..=3).map(|n| at(&format!("10.{n}.1.1:1"))).collect();
    let add_peers = peers.iter().map(|peer| Target::Address(*peer)).collect();
    let mut story = Story::new(P2pConfig { add_peers, ..P2pConfig::default() });
    let mut records = Vec::new();
    for (connection, address) in dials(&story.wait(0)) {
        records.extend(saved(&story.stand(connection, address)));
    }
    let lost = ConnectionId::nth(Direction::Outbound, 0);
    let gone = story.act(P2pAction::Disconnected { connection: lost, cause: DisconnectCause::Broken });
    records.extend(saved(&gone));
    // What a store would hold: the latest of each key.
    let mut held: Vec<Record> = Vec::new();
    for record in records {
        held.retain(|other| (other.table, &other.key) != (record.table, &record.key));
        held.extend(record.value.is_some().then_some(record));
    }
    let config = P2pConfig { outbound_target: 2, private_addresses: true, ..P2pConfig::default() };
    let mut again = Story::with_records(config, &held);
    let dialled: Vec<_> = dials(&again.wait(0)).iter().map(|dial| dial.1).collect();
    assert_eq!(dialled.len(), 2);
    assert!(!dialled.contains(&peers[0]), "the two that were held are the anchors: {dialled:?}");
}

#[test]
fn answers_wait_for_the_low_water_mark() {
    let mut story = Story::new(P2pConfig::default());
    let (connection, _) = story.accept("10.1.1.1");
    let sent = |story: &Story| story.engine.state().channels.sent(connection, polypeer_engine::ChannelId::ONLY);
    for count in 1..=4 {
        story.say(connection, b"x");
        assert_eq!(sent(&story), Some(count));
    }
    story.act(P2pAction::Writable { connection, channel: polypeer_engine::ChannelId::ONLY });
    assert_eq!(sent(&story), Some(0));
}

#[test]
fn draining_says_goodbye_and_lets_nobody_in() {
    let mut story =
        Story::new(P2pConfig { add_peers: vec![Target::Address(at("10.9.9.9:1"))], ..P2pConfig::default() });
    let (connection, _) = story.accept("10.1.1.1");
    let dial = dials(&story.wait(0))[0];
    assert_eq!(closes(&story.act(P2pAction::Command(Command::Drain))), [(connection, Close::Flushed)]);
    assert_eq!(closes(&story.stand(dial.0, dial.1)), [(dial.0, Close::Now)], "a dial under way is closed");
    assert_eq!(closes(&story.accept("10.2.2.2").1).len(), 1);
    assert!(dials(&story.wait(600)).is_empty());
}

#[test]
fn every_action_about_a_connection_that_is_gone_does_nothing() {
    let mut story = Story::new(P2pConfig::default());
    story.effects.clear();
    let connection = ConnectionId::nth(Direction::Inbound, 99);
    let channel = polypeer_engine::ChannelId::ONLY;
    let bad = BadFrame { head: Bytes::new(), reason: 0, fatal: true };
    for action in [
        P2pAction::MessageReceived { connection, channel, frame: Bytes::from_static(b"x") },
        P2pAction::BadFrame { connection, channel, bad },
        P2pAction::Writable { connection, channel },
        P2pAction::Disconnected { connection, cause: DisconnectCause::Theirs },
        P2pAction::Disconnect { connection },
        P2pAction::ConnectionFailed { connection, cause: DialFailure::Refused },
        P2pAction::ChannelOpened { connection, channel, kind: 0, opener: Direction::Inbound },
        P2pAction::ChannelClosed { connection, channel, end: polypeer_engine::ChannelEnd::Reset },
    ] {
        assert!(story.act(action.clone()).is_empty(), "{action:?}");
    }
}

#[test]
fn the_same_seed_and_actions_give_the_same_effects() {
    let play = || {
        let add_peers = (1..=40).map(|n| Target::Address(at(&format!("10.{n}.1.1:1")))).collect();
        let mut story = Story::new(P2pConfig { add_peers, ..P2pConfig::default() });
        let mut digests = Vec::new();
        for round in 0..200u64 {
            let effects = story.wait(round % 7);
            digests.push(journal::digest(&effects));
            for (connection, address) in dials(&effects) {
                let effects = match connection.as_u64() % 3 {
                    0 => story.act(P2pAction::ConnectionFailed { connection, cause: DialFailure::TimedOut }),
                    _ => story.stand(connection, address),
                };
                digests.push(journal::digest(&effects));
            }
            let word: &[u8] = [b"x", b"s", b"b", b"o", b"t"][(round % 5) as usize];
            let (connection, _) = story.accept(&format!("10.0.{}.1", round % 20));
            digests.push(journal::digest(&story.say(connection, word)));
        }
        digests
    };
    assert_eq!(play(), play());
}

#[test]
fn a_journal_gives_back_what_was_put_in_and_names_its_damage() {
    let entries: Vec<_> = (0..20u8)
        .map(|n| journal::Stepped {
            now: Now::default(),
            action: P2pAction::LedgerAnswered { ticket: Some(Ticket(n.into())), answer: n },
            effects: [n; 8],
        })
        .collect();
    let mut file = Vec::new();
    entries.iter().for_each(|entry| journal::put(entry, &mut file).unwrap());
    let mut rest = &file[..];
    for entry in &entries {
        let (payload, length) = journal::entry(rest).unwrap();
        assert_eq!(&journal::take::<journal::Stepped<u8>>(payload).unwrap(), entry);
        rest = &rest[length..];
    }
    assert!(rest.is_empty());
    let (_, first) = journal::entry(&file).unwrap();
    for cut in 0..first {
        assert_eq!(journal::entry(&file[..cut]), Err(journal::Damage::Cut), "cut at {cut}");
    }
    for place in 4..first {
        let mut bent = file[..first].to_vec();
        bent[place] ^= 1;
        assert_eq!(journal::entry(&bent), Err(journal::Damage::Hash), "bent at {place}");
    }
}
