//! Stories of the slots: who is let in, who makes room, and what is remembered of it.

mod word;

use polypeer_engine::{
    Address, Command, ConnectionId, DisconnectCause, Effect, P2pAction, P2pConfig, Parting, Reason, Target,
};
use std::net::IpAddr;
use std::time::Duration;
use word::{Story, at};

fn is_in(effects: &[Effect<u8>], connection: ConnectionId) -> bool {
    !effects.iter().any(|effect| matches!(effect, Effect::Close { connection: closed, .. } if *closed == connection))
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an IP address")
}

fn reasons(story: &Story, about: &str) -> Vec<Reason> {
    story.engine.state().reasons.about(ip(about)).map(|record| record.reason.clone()).collect()
}

/// A node whose `max` inbound slots are full: one peer a network group, the first the oldest, and none that shows merit.
fn full(max: u32) -> (Story, Vec<ConnectionId>) {
    let mut story = Story::new(P2pConfig { inbound_max: max, ..P2pConfig::default() });
    let mut peers = Vec::new();
    for n in 0..max {
        let (connection, effects) = story.accept(&format!("20.{n}.1.1"));
        assert!(is_in(&effects, connection));
        peers.push(connection);
        story.wait(1);
    }
    (story, peers)
}

fn stands(story: &Story, connection: ConnectionId) -> bool {
    story.engine.state().peers.contains_key(&connection)
}

#[test]
fn a_newcomer_takes_the_place_of_the_youngest_that_nothing_protects() {
    let (mut story, peers) = full(40);
    let (newcomer, effects) = story.accept("30.1.1.1");
    assert!(is_in(&effects, newcomer));
    let gone: Vec<_> = peers.iter().filter(|peer| !stands(&story, **peer)).collect();
    let [victim] = gone[..] else { panic!("one goes: {gone:?}") };
    assert!(victim.as_u64() > peers[30].as_u64(), "one of the young ones, whatever groups the key favours: {victim}");
    assert_eq!(story.engine.protocol().partings, [(*victim, Parting::Evicted)]);
    let n = peers.iter().position(|peer| peer == victim).expect("one of them");
    let Some(Reason::Evicted { for_whom, protected, in_group, is_discouraged }) =
        reasons(&story, &format!("20.{n}.1.1")).into_iter().find(|reason| matches!(reason, Reason::Evicted { .. }))
    else {
        panic!("it says why")
    };
    assert_eq!((for_whom.ip(), in_group, is_discouraged), (ip("30.1.1.1"), 1, false));
    // Four for their groups, and half of the other 36 for their age.
    assert_eq!(protected, 22);
    assert_eq!(story.engine.state().slots().inbound, 40);
}

#[test]
fn what_a_peer_is_good_for_protects_it() {
    for word in [&b"B"[..], b"T", b"p\x05"] {
        let (mut story, peers) = full(40);
        // The youngest four, that had to go first.
        for peer in &peers[36..] {
            story.say(*peer, word);
        }
        for n in 0..30 {
            story.wait(1);
            story.accept(&format!("30.{n}.1.1"));
        }
        assert!(peers[36..].iter().all(|peer| stands(&story, *peer)), "{word:?}");
        let kept = peers.iter().filter(|peer| stands(&story, **peer)).count();
        assert!(kept < 40, "{word:?}: others made room");
    }
}

#[test]
fn the_oldest_stay_however_many_come() {
    let (mut story, peers) = full(40);
    for n in 0..2_000 {
        story.wait(1);
        story.accept(&format!("{}.{}.1.1", 30 + n / 200, n % 200));
    }
    assert!(peers[..10].iter().all(|peer| stands(&story, *peer)));
}

#[test]
fn a_group_of_many_makes_room_for_others_and_not_for_its_own() {
    let mut story = Story::new(P2pConfig { inbound_max: 60, ..P2pConfig::default() });
    let singles: Vec<_> = (0..20).map(|n| story.accept(&format!("20.{n}.1.1")).0).collect();
    let crowd: Vec<_> = (0..40).map(|n| story.accept(&format!("66.6.{n}.1")).0).collect();
    story.wait(10);
    let (own, effects) = story.accept("66.6.200.1");
    assert!(!is_in(&effects, own));
    assert_eq!(reasons(&story, "66.6.200.1"), [Reason::RefusedFull]);
    for n in 0..10 {
        let (other, effects) = story.accept(&format!("30.{n}.1.1"));
        assert!(is_in(&effects, other));
    }
    assert!(singles.iter().all(|peer| stands(&story, *peer)), "the crowd pays");
    assert_eq!(crowd.iter().filter(|peer| stands(&story, **peer)).count(), 30);
}

#[test]
fn the_discouraged_go_first_whatever_they_are_good_for() {
    let mut story = Story::new(P2pConfig { inbound_max: 40, ..P2pConfig::default() });
    let (first, _) = story.accept("66.6.6.6");
    let (second, _) = story.accept("66.6.6.6");
    story.say(first, b"B");
    story.say(first, b"p\x01");
    story.say(second, b"b");
    for n in 0..39 {
        let (connection, effects) = story.accept(&format!("20.{n}.1.1"));
        assert!(is_in(&effects, connection));
    }
    assert!(stands(&story, first), "while there is room it may stay");
    story.accept("30.1.1.1");
    assert!(!stands(&story, first));
    let discouraged = |reason: &Reason| matches!(reason, Reason::Evicted { is_discouraged: true, protected: 0, .. });
    assert!(reasons(&story, "66.6.6.6").iter().any(discouraged));
}

#[test]
fn few_slots_are_all_protected() {
    let (mut story, peers) = full(4);
    let (newcomer, effects) = story.accept("30.1.1.1");
    assert!(!is_in(&effects, newcomer));
    assert!(peers.iter().all(|peer| stands(&story, *peer)));
    assert_eq!(reasons(&story, "30.1.1.1"), [Reason::RefusedFull]);
}

#[test]
fn whoever_takes_its_time_to_go_holds_no_slot_and_they_are_bounded() {
    let (mut story, peers) = full(40);
    story.say(peers[0], b"w");
    let mut refused = Vec::new();
    for n in 0..200 {
        let (connection, effects) = story.accept(&format!("30.{n}.1.1"));
        refused.extend((!is_in(&effects, connection)).then_some(connection));
    }
    let slots = story.engine.state().slots();
    assert_eq!((slots.inbound, slots.leaving), (40, 64), "no more are told to go than may be on their way out");
    assert_eq!(reasons(&story, "30.199.1.1"), [Reason::RefusedFull]);
    let partings = story.engine.protocol().partings.clone();
    for connection in partings.into_iter().map(|(connection, _)| connection).chain(refused) {
        story.act(P2pAction::Disconnected { connection, cause: DisconnectCause::Theirs });
    }
    assert_eq!(story.engine.state().slots().leaving, 0);
    let (newcomer, effects) = story.accept("31.1.1.1");
    assert!(is_in(&effects, newcomer));
}

#[test]
fn a_peer_that_the_operator_named_gets_in_when_all_is_full_and_never_makes_room() {
    let friend = at("50.5.5.5:7333");
    let add_peers = vec![Target::Address(friend)];
    let mut story = Story::new(P2pConfig { inbound_max: 30, add_peers, ..P2pConfig::default() });
    story.wait(0);
    for n in 0..30 {
        story.accept(&format!("20.{n}.1.1"));
    }
    let (named, effects) = story.accept("50.5.5.5");
    assert!(is_in(&effects, named));
    assert_eq!(story.engine.protocol().partings, [], "nobody made room for it");
    assert_eq!(story.engine.state().slots().reserved, 2, "it, and our own dial to it");
    for n in 0..500 {
        story.wait(1);
        story.accept(&format!("{}.{}.1.1", 30 + n / 200, n % 200));
    }
    assert!(stands(&story, named));
    let (second, _) = story.accept("50.5.5.5");
    assert_eq!(story.engine.state().slots().reserved, 2, "once for each time that it was named");
    assert!(!stands(&story, second) || story.engine.state().slots().inbound == 30);
    story.act(P2pAction::Command(Command::ForgetPeer(Target::Address(friend))));
    story.act(P2pAction::Disconnected { connection: named, cause: DisconnectCause::Theirs });
    let (again, _) = story.accept("50.5.5.5");
    assert_eq!(story.engine.state().slots().reserved, 1, "no longer named: one of all");
    let _ = again;
}

#[test]
fn named_peers_leave_the_outbound_slots_to_others() {
    let add_peers = (1..=8).map(|n| Target::Address(at(&format!("50.{n}.1.1:1")))).collect();
    let config = P2pConfig { add_peers, outbound_target: 2, private_addresses: true, ..P2pConfig::default() };
    let mut story = Story::new(config);
    story.wait(0);
    let slots = story.engine.state().slots();
    assert_eq!((slots.reserved, slots.outbound), (8, 0));
}

#[test]
fn loopback_that_the_operator_named_reserves_nothing() {
    let add_peers = vec![Target::Address(at("127.0.0.1:9"))];
    let mut story = Story::new(P2pConfig { inbound_max: 1, add_peers, ..P2pConfig::default() });
    let (first, effects) = story.accept("127.0.0.1");
    assert!(is_in(&effects, first));
    let (second, effects) = story.accept("127.0.0.1");
    assert!(!is_in(&effects, second), "everyone on this machine has that address");
}

#[test]
fn caps_count_hosts_and_groups() {
    let config = P2pConfig { inbound_per_ip_max: 2, inbound_per_group_max: 3, ..P2pConfig::default() };
    let rows: [(&[&str], Option<Reason>); 6] = [
        (&["20.1.1.1", "20.1.1.1"], None),
        (&["20.1.1.1", "20.1.1.1", "20.1.1.1"], Some(Reason::RefusedPerIp)),
        (&["20.1.1.1", "::ffff:20.1.1.1", "20.1.1.1"], Some(Reason::RefusedPerIp)),
        (&["2a00:1:2:3::1", "2a00:1:2:3::2", "2a00:1:2:3:ffff::9"], Some(Reason::RefusedPerIp)),
        (&["20.1.1.1", "20.1.2.1", "20.1.3.1", "20.1.4.1"], Some(Reason::RefusedPerGroup)),
        (&["127.0.0.1", "127.0.0.1", "127.0.0.1", "127.0.0.1"], None),
    ];
    for (ips, refusal) in rows {
        let mut story = Story::new(config.clone());
        let (last, before) = ips.split_last().expect("a row has addresses");
        for ip in before {
            let (connection, effects) = story.accept(ip);
            assert!(is_in(&effects, connection), "{ips:?}");
        }
        let (connection, effects) = story.accept(last);
        assert_eq!(is_in(&effects, connection), refusal.is_none(), "{ips:?}");
        let said = reasons(&story, &ip(last).to_canonical().to_string()).into_iter().find(Reason::is_refusal);
        assert_eq!(said, refusal, "{ips:?}");
    }
}

#[test]
fn no_dial_passes_the_gate_that_may_not() {
    let own = at("20.9.9.9:7333");
    let mut story = Story::new(P2pConfig { external: Some(own), inbound_per_ip_max: 2, ..P2pConfig::default() });
    let ban = Command::Ban { ip: ip("::ffff:20.1.1.1"), duration: Duration::from_secs(60) };
    story.act(P2pAction::Command(ban));
    let (bad, _) = story.accept("20.2.2.2");
    story.say(bad, b"b");
    let rows = [
        ("20.1.1.1:1", Reason::RefusedBanned),
        ("[::ffff:20.1.1.1]:2", Reason::RefusedBanned),
        ("20.2.2.2:1", Reason::RefusedDiscouraged),
        ("20.9.9.9:7333", Reason::RefusedSelf),
        ("0.0.0.0:1", Reason::RefusedNoHost),
        ("20.3.3.3:0", Reason::RefusedNoHost),
    ];
    for (address, reason) in rows {
        let address = at(address);
        let effects = story.act(P2pAction::Connect { address });
        assert!(!effects.iter().any(|effect| matches!(effect, Effect::Dial { .. })), "{address}");
        assert_eq!(reasons(&story, &address.ip().to_string()).first(), Some(&reason), "{address}");
    }
    story.act(P2pAction::Command(Command::Drain));
    story.act(P2pAction::Connect { address: at("20.4.4.4:1") });
    assert_eq!(reasons(&story, "20.4.4.4"), [Reason::RefusedDraining]);
}

/// The forms in which one host can be named, in every place where it is asked who someone is.
#[test]
fn every_form_of_an_address_is_the_same_host() {
    let forms = ["20.1.1.1", "::ffff:20.1.1.1", "::ffff:1401:101"];
    for caught in forms {
        for comes in forms {
            let mut story = Story::new(P2pConfig { inbound_per_ip_max: 1, ..P2pConfig::default() });
            let (held, _) = story.accept(caught);
            let (second, effects) = story.accept(comes);
            assert!(!is_in(&effects, second), "the cap: {caught} {comes}");
            story.say(held, b"a");
            story.act(P2pAction::Disconnected { connection: held, cause: DisconnectCause::Ours });
            let (again, effects) = story.accept(comes);
            assert!(!is_in(&effects, again), "the ban: {caught} {comes}");
            for port in [1, 2, 65_535] {
                let effects = story.act(P2pAction::Connect { address: Address::new(ip(comes), port) });
                assert!(!effects.iter().any(|effect| matches!(effect, Effect::Dial { .. })), "a dial: {comes}:{port}");
            }
            assert!(reasons(&story, "20.1.1.1").contains(&Reason::RefusedBanned), "the reasons: {caught} {comes}");
            story.act(P2pAction::Command(Command::Unban { ip: ip(comes) }));
            let (pardoned, effects) = story.accept(caught);
            assert!(is_in(&effects, pardoned), "the pardon: {caught} {comes}");
        }
    }
}

#[test]
fn reconnecting_does_not_wash_slips_off() {
    let mut story = Story::new(P2pConfig::default());
    let (first, _) = story.accept("20.1.1.1");
    story.say(first, b"s");
    story.say(first, b"s");
    story.act(P2pAction::Disconnected { connection: first, cause: DisconnectCause::Theirs });
    let (other, _) = story.accept("20.2.2.2");
    let (second, _) = story.accept("20.1.1.1");
    story.say(other, b"s");
    story.say(second, b"s");
    assert!(stands(&story, other), "another host's slips are its own");
    assert!(!stands(&story, second), "the third within ten seconds");
    assert!(story.engine.state().bans.get(story.now, ip("20.1.1.1")).is_some());
    // Slips fade while nobody is there, too.
    let (third, _) = story.accept("20.3.3.3");
    story.say(third, b"s");
    story.say(third, b"s");
    story.act(P2pAction::Disconnected { connection: third, cause: DisconnectCause::Theirs });
    story.wait(11);
    let (fourth, _) = story.accept("20.3.3.3");
    story.say(fourth, b"s");
    assert!(stands(&story, fourth));
}

#[test]
fn slips_of_hosts_that_left_are_bounded_and_loopback_has_none() {
    let mut story = Story::new(P2pConfig::default());
    for n in 0..3_000 {
        let host = if n % 2 == 0 { format!("20.{}.{}.1", n / 250, n % 250) } else { "127.0.0.1".into() };
        let (connection, _) = story.accept(&host);
        story.say(connection, b"s");
        story.act(P2pAction::Disconnected { connection, cause: DisconnectCause::Theirs });
    }
    assert_eq!(story.engine.state().slips().len(), polypeer_engine::shell::slips::HOSTS_MAX);
    let (connection, _) = story.accept("127.0.0.1");
    assert!(story.engine.state().peers[&connection].slips.is_empty());
}

#[test]
fn a_refusal_that_repeats_is_counted_and_said_once() {
    let mut story = Story::new(P2pConfig { inbound_max: 1, ..P2pConfig::default() });
    story.accept("20.1.1.1");
    let mut said = 0;
    for _ in 0..1_000 {
        let (connection, effects) = story.accept("66.6.6.6");
        let is_reason = |effect: &&Effect<u8>| matches!(effect, Effect::Publish(polypeer_engine::Event::Reason(_)));
        said += effects.iter().filter(is_reason).count();
        story.act(P2pAction::Disconnected { connection, cause: DisconnectCause::Ours });
    }
    let times = |story: &Story| -> Vec<u32> {
        story.engine.state().reasons.about(ip("66.6.6.6")).map(|record| record.times).collect()
    };
    assert_eq!((said, times(&story)), (1, vec![1_000]));
    story.wait(61);
    story.accept("66.6.6.6");
    assert_eq!(times(&story), [1, 1_000], "a minute later it is news again, newest first");
}

#[test]
fn dropped_gossip_leaves_a_reason_and_decides_nothing() {
    let mut story = Story::new(P2pConfig::default());
    let (connection, _) = story.accept("20.1.1.1");
    let effects = story.act(P2pAction::Dropped { connection, frames: 7 });
    assert!(matches!(&effects[..], [Effect::Publish(_)]), "{effects:?}");
    assert_eq!(reasons(&story, "20.1.1.1"), [Reason::Dropped { frames: 7 }]);
    story.act(P2pAction::Disconnected { connection, cause: DisconnectCause::Theirs });
    assert!(story.act(P2pAction::Dropped { connection, frames: 1 }).is_empty(), "gone");
}
