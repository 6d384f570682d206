//! Stories of the dialer: whom it takes from the book, and when.

mod word;

use polypeer_engine::shell::book::Which;
use polypeer_engine::shell::peers::Errand;
use polypeer_engine::{
    Address, Command, ConnectionId, DialFailure, DisconnectCause, Effect, ImportedAddress, P2pAction, P2pConfig,
    Reason, Record, Table, Target,
};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use word::{Story, at};

fn public(group: u32, host: u32) -> Address {
    let ip = Ipv4Addr::new(11 + (group / 250) as u8, (group % 250) as u8, (host / 250) as u8, (host % 250) as u8);
    Address::new(IpAddr::V4(ip), 8_333)
}

fn imported(address: Address, is_tried: bool) -> ImportedAddress {
    let last_success_ms = u64::from(is_tried);
    let source = Some(public(900, 1).ip());
    let (last_tried_ms, last_seen_ms, failures) = (0, 0, 0);
    ImportedAddress { address, source, is_tried, last_tried_ms, last_success_ms, last_seen_ms, failures }
}

fn import(story: &mut Story, addresses: Vec<ImportedAddress>) {
    story.act(P2pAction::Command(Command::Import(addresses)));
}

fn dials(effects: &[Effect<u8>]) -> Vec<(ConnectionId, Address)> {
    let dial = |effect: &Effect<u8>| match effect {
        Effect::Dial { connection, address } => Some((*connection, *address)),
        _ => None,
    };
    effects.iter().filter_map(dial).collect()
}

fn reasons(story: &Story, address: Address) -> Vec<Reason> {
    story.engine.state().reasons.about(address.ip()).map(|record| record.reason.clone()).collect()
}

// Lets time pass; whoever `answers` takes the call.
fn live(story: &mut Story, seconds: u64, answers: impl Fn(Address) -> bool) -> Vec<Address> {
    let mut dialled = Vec::new();
    for _ in 0..seconds {
        for (connection, address) in dials(&story.wait(1)) {
            dialled.push(address);
            if answers(address) {
                for effect in story.stand(connection, address) {
                    if let Effect::Close { connection, .. } = effect {
                        story.act(P2pAction::Disconnected { connection, cause: DisconnectCause::Ours });
                    }
                }
            } else {
                story.act(P2pAction::ConnectionFailed { connection, cause: DialFailure::TimedOut });
            }
        }
    }
    dialled
}

fn outbound(story: &Story) -> Vec<(Address, Errand)> {
    let peers = story.engine.state().peers.values();
    peers.filter_map(|peer| Some((peer.ends.dialled?, peer.errand))).collect()
}

#[test]
fn every_slot_is_in_another_network_group_while_there_is_one() {
    let mut story = Story::new(P2pConfig::default());
    let mut known: Vec<_> = (0..400).map(|n| imported(public(1, n), true)).collect();
    known.extend((0..400).map(|n| imported(public(2, n), false)));
    known.extend((3..9).map(|group| imported(public(group, 1), group % 2 == 0)));
    import(&mut story, known);
    live(&mut story, 60, |_| true);
    let held = outbound(&story);
    let groups: BTreeSet<_> = held.iter().map(|(address, _)| address.group()).collect();
    assert_eq!((held.len(), groups.len()), (8, 8), "{held:?}");
}

#[test]
fn a_second_one_in_a_group_comes_when_nobody_else_is_left() {
    let mut story = Story::new(P2pConfig::default());
    import(&mut story, (0..300).map(|n| imported(public(1 + n % 3, n), n % 2 == 0)).collect());
    live(&mut story, 60, |_| true);
    let held = outbound(&story);
    assert_eq!(held.len(), 8, "never below the target while candidates are left");
    let groups: BTreeSet<_> = held.iter().map(|(address, _)| address.group()).collect();
    assert_eq!(groups.len(), 3);
    let together =
        |(address, _): &&(Address, Errand)| reasons(&story, *address).contains(&Reason::DialledForSlotTogether);
    assert_eq!(held.iter().filter(together).count(), 5, "and the reason says so");
}

#[test]
fn the_last_candidate_of_a_large_book_is_found() {
    for group in 2..8 {
        let named = public(1, 39_000);
        let add_peers = vec![Target::Address(named)];
        let mut story = Story::new(P2pConfig { outbound_target: 1, add_peers, ..P2pConfig::default() });
        let last = imported(public(group, 1), false);
        let crowd = (0..8_000)
            .map(|n| ImportedAddress { source: Some(public(500 + n % 200, 1).ip()), ..imported(public(1, n), false) });
        import(&mut story, [last].into_iter().chain(crowd).collect());
        let known = story.engine.state().discovery.book.len();
        assert!(known > 4_000, "{known} of one group");
        let dialled = live(&mut story, 10, |_| true);
        assert_eq!(dialled, [named, last.address]);
    }
}

#[test]
fn half_of_the_slots_go_to_each_table() {
    let mut story = Story::new(P2pConfig::default());
    let tried = (0..40).map(|group| imported(public(group, 1), true));
    import(&mut story, tried.chain((100..500).map(|group| imported(public(group, 1), false))).collect());
    live(&mut story, 30, |address| address.ip() != public(100, 1).ip());
    let from = |which| outbound(&story).iter().filter(|(_, errand)| *errand == Errand::Slot(which)).count();
    assert_eq!((from(Which::Tried), from(Which::New)), (4, 4));
}

#[test]
fn while_the_slots_are_full_a_newcomer_is_tested_every_two_minutes() {
    let mut story = Story::new(P2pConfig { outbound_target: 2, ..P2pConfig::default() });
    import(&mut story, (0..200).map(|group| imported(public(group, 1), false)).collect());
    live(&mut story, 30, |_| true);
    assert_eq!(outbound(&story).len(), 2);
    let tried = |story: &Story| story.engine.state().discovery.book.all().filter(|(_, entry)| entry.is_tried).count();
    assert_eq!(tried(&story), 2);
    let tested = live(&mut story, 3_600, |address| address.ip() != public(7, 1).ip());
    assert!((22..=42).contains(&tested.len()), "{} tests in an hour", tested.len());
    assert!(tested.iter().all(|address| reasons(&story, *address).contains(&Reason::DialledToTest)));
    assert_eq!(outbound(&story).len(), 2, "a test fills no slot and ends");
    let there: BTreeSet<_> = tested.iter().filter(|address| address.ip() != public(7, 1).ip()).collect();
    assert!(tried(&story) + 2 >= there.len() && there.len() > 20, "{} of {}", tried(&story), there.len());
}

#[test]
fn private_addresses_share_no_group() {
    let mut story = Story::new(P2pConfig { private_addresses: true, ..P2pConfig::default() });
    import(&mut story, (1..9).map(|n| imported(at(&format!("127.0.0.1:{n}")), n % 2 == 0)).collect());
    live(&mut story, 5, |_| true);
    assert_eq!(outbound(&story).len(), 8);
    let is_together = |record: &polypeer_engine::ReasonRecord| record.reason == Reason::DialledForSlotTogether;
    assert!(!story.engine.state().reasons.all().any(is_together));
}

#[test]
fn named_peers_are_dialled_whatever_their_group() {
    let add_peers = (1..4).map(|host| Target::Address(public(1, host))).collect();
    let mut story = Story::new(P2pConfig { add_peers, ..P2pConfig::default() });
    import(&mut story, (0..100).map(|n| imported(public(n % 20, n), false)).collect());
    live(&mut story, 30, |_| true);
    let in_group = |group| outbound(&story).iter().filter(|(it, _)| it.group() == public(group, 1).group()).count();
    assert_eq!(in_group(1), 3, "all that were named, and nobody beside them");
    assert_eq!(outbound(&story).len(), 3 + 8, "the named ones fill none of the eight slots");
}

// Whoever is dialled takes the call and ends it after so long. When each dial was made, in seconds.
fn calls(story: &mut Story, seconds: u64, lasts: u64) -> Vec<u64> {
    let (mut called, mut open) = (Vec::new(), None);
    for second in 0..seconds {
        if let Some(&(connection, address)) = dials(&story.wait(1)).first() {
            called.push(second);
            story.stand(connection, address);
            open = Some((connection, second + lasts));
        }
        if let Some((connection, _)) = open.take_if(|(_, end)| *end <= second) {
            story.act(P2pAction::Disconnected { connection, cause: DisconnectCause::Theirs });
        }
    }
    called
}

fn naming(address: Address) -> Story {
    let add_peers = vec![Target::Address(address)];
    Story::new(P2pConfig { add_peers, discovery: false, private_addresses: true, ..P2pConfig::default() })
}

#[test]
fn a_named_peer_that_shakes_hands_and_leaves_is_left_alone_longer_each_time() {
    let mut story = naming(at("127.0.0.1:9"));
    let called = calls(&mut story, 600, 0);
    assert!((18..=30).contains(&called.len()), "{} dials in ten minutes", called.len());
    let waits: Vec<u64> = called.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(waits[0] <= 2 && waits[1] <= 4 && waits[5..].iter().all(|wait| *wait >= 20), "{waits:?}");
    // One that lasts makes up for it.
    let called = calls(&mut story, 300, 61);
    let waits: Vec<u64> = called.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(waits.iter().all(|wait| (62..=64).contains(wait)) && waits.len() >= 2, "{waits:?}");
}

#[test]
fn a_named_peer_that_was_refused_and_came_once_is_not_dialled_every_second() {
    let mut story = naming(at("127.0.0.1:9"));
    live(&mut story, 120, |_| false);
    let called = calls(&mut story, 600, 5);
    assert!((12..=26).contains(&called.len()), "{} dials in ten minutes", called.len());
}

#[test]
fn the_secret_and_the_book_survive_a_restart() {
    let held = |saved: &mut BTreeMap<_, Record>, effects: Vec<Effect<u8>>| {
        for effect in effects {
            if let Effect::Save(record) = effect {
                saved.insert((record.table, record.key.clone()), record);
            }
        }
    };
    let mut story = Story::new(P2pConfig::default());
    let mut saved = BTreeMap::new();
    held(&mut saved, std::mem::take(&mut story.effects));
    for group in 0..50 {
        let effects = story.act(P2pAction::Command(Command::Import(vec![imported(public(group, 1), group % 2 == 0)])));
        held(&mut saved, effects);
        held(&mut saved, story.wait(0));
    }
    let records: Vec<_> = saved.into_values().collect();
    let mut again = Story::with_records(P2pConfig::default(), &records);
    let (one, other) = (&story.engine.state().discovery.book, &again.engine.state().discovery.book);
    assert_eq!(one.secret(), other.secret());
    assert!(other.len() == 50 && one.all().all(|(it, _)| one.placement(it) == other.placement(it)));
    let is_address = |effect: &&Effect<u8>| matches!(effect, Effect::Save(record) if record.table == Table::Addresses);
    assert_eq!(std::mem::take(&mut again.effects).iter().filter(is_address).count(), 0, "nothing is written again");
}
