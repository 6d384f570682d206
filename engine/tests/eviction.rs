//! What must hold of whoever has to go: the protected stay, and many addresses buy few slots.

mod word;

use polypeer_engine::shell::eviction::{BY_BLOCK, BY_PING, BY_TRANSACTION, Candidate, Merit, Victim, choose};
use polypeer_engine::{
    ConnectionId, Direction, DisconnectCause, Effect, NetworkGroup, P2pAction, P2pConfig, Random, Time,
};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::time::Duration;
use word::Story;

fn any_candidate() -> impl Strategy<Value = Candidate> {
    let merit = (prop::option::of(0..50u64), prop::option::of(0..50u64), prop::option::of(0..50u64));
    (0..6u8, prop::bool::weighted(0.9), 0..100u64, merit, prop::bool::weighted(0.02)).prop_map(
        |(group, is_grouped, connected, (ping, block, transaction), is_discouraged)| Candidate {
            connection: ConnectionId::from_u64(0),
            group: is_grouped.then_some(NetworkGroup::V4([20, group])),
            group_rank: u64::from(group).wrapping_mul(0x9e37_79b9_7f4a_7c15),
            connected: Time::from_micros(connected),
            merit: Merit {
                ping_min: ping.map(Duration::from_millis),
                last_block: block.map(Time::from_micros),
                last_transaction: transaction.map(Time::from_micros),
            },
            is_discouraged,
        },
    )
}

/// How many are better by this measure, the older one of two alike.
fn better<T: Ord>(all: &[Candidate], victim: &Candidate, value: impl Fn(&Candidate) -> Option<T>) -> Option<usize> {
    let age = |candidate: &Candidate| (candidate.connected, candidate.connection);
    let own = (value(victim)?, age(victim));
    Some(all.iter().filter(|other| value(other).is_some_and(|value| (value, age(other)) < own)).count())
}

proptest! {
    /// A walk of its own, by every measure: whoever goes is not among the best of any.
    #[test]
    fn the_protected_never_go(
        mut all in prop::collection::vec(any_candidate(), 1..150),
        newcomer in 0..8u8,
    ) {
        for (n, candidate) in all.iter_mut().enumerate() {
            candidate.connection = ConnectionId::nth(Direction::Inbound, n as u64);
        }
        let newcomer = NetworkGroup::V4([20, newcomer]);
        let has_discouraged = all.iter().any(|candidate| candidate.is_discouraged);
        let Some(victim) = choose(&all, newcomer) else {
            prop_assert!(!has_discouraged, "a discouraged one can always go");
            return Ok(());
        };
        let Victim { connection, protected, in_group, is_discouraged } = victim;
        let victim = all.iter().find(|candidate| candidate.connection == connection).expect("one of them");
        prop_assert_eq!((is_discouraged, victim.is_discouraged), (has_discouraged, has_discouraged));
        let size = |group| all.iter().filter(|other| other.group == group).count();
        let own_size = if victim.group.is_some() { size(victim.group) } else { 1 };
        prop_assert_eq!(in_group as usize, own_size);
        if is_discouraged {
            return Ok(());
        }
        let best = [
            (better(&all, victim, |c| c.merit.ping_min), BY_PING),
            (better(&all, victim, |c| c.merit.last_block.map(std::cmp::Reverse)), BY_BLOCK),
            (better(&all, victim, |c| c.merit.last_transaction.map(std::cmp::Reverse)), BY_TRANSACTION),
        ];
        for (place, count) in best {
            prop_assert!(place.is_none_or(|place| place >= count), "among the best {count} by one measure: {place:?}");
        }
        prop_assert!(protected as usize >= all.len() / 2, "half stay for their age or better");
        prop_assert!(size(Some(newcomer)) < own_size, "nobody goes for a group that would be larger");
        let again = choose(&all, newcomer).expect("the same");
        prop_assert_eq!(again.connection, connection);
        all.reverse();
        prop_assert_eq!(choose(&all, newcomer).map(|v| v.connection), Some(connection), "in any order");
    }
}

/// A node whose 117 slots are full of honest peers, in `honest_groups` network groups, who bring what peers bring.
fn honest(honest_groups: usize) -> (Story, Vec<ConnectionId>) {
    let mut story = Story::new(P2pConfig::default());
    let mut peers = Vec::new();
    for n in 0..117 {
        let (connection, effects) = story.accept(&format!("20.{}.{n}.1", n % honest_groups));
        assert!(!effects.iter().any(|effect| matches!(effect, Effect::Close { .. })));
        peers.push(connection);
        story.wait(10);
    }
    for (n, peer) in peers.iter().enumerate() {
        story.say(*peer, [&b"x"[..], b"p\x32", b"x", b"B", b"x", b"T"][n % 6]);
    }
    (story, peers)
}

/// Honest peers that are left when someone with hosts in `groups` network groups has knocked 10,000 times. The
/// attacker's peers answer at once, which a machine close by can; whoever is let go knocks again with another host.
fn left_after_attack(groups: usize, honest_groups: usize) -> (usize, usize) {
    let (mut story, peers) = honest(honest_groups);
    let mut random = Random::new([groups as u8; 32]);
    let mut held = BTreeSet::new();
    let mut told = 0;
    for n in 0..10_000usize {
        story.is_recounted = n % 50 == 0;
        let (group, host) = (n % groups, random.below(60_000));
        let (connection, effects) = story.accept(&format!("66.{group}.{}.{}", host / 250, 1 + host % 250));
        let is_refused =
            |effect: &Effect<u8>| matches!(effect, Effect::Close { connection: c, .. } if *c == connection);
        if effects.iter().any(is_refused) {
            story.act(P2pAction::Disconnected { connection, cause: DisconnectCause::Ours });
        } else {
            story.say(connection, b"p\x01");
            held.insert(connection);
        }
        let gone: Vec<_> = story.engine.protocol().gone[told..].iter().map(|(connection, _)| *connection).collect();
        told += gone.len();
        for connection in gone {
            story.act(P2pAction::Disconnected { connection, cause: DisconnectCause::Ours });
            held.remove(&connection);
        }
        if n % 100 == 0 {
            story.wait(1);
        }
    }
    let stands = |connection: &&ConnectionId| story.engine.state().peers.contains_key(connection);
    (peers.iter().filter(stands).count(), held.len())
}

#[test]
fn many_addresses_in_few_groups_buy_few_slots() {
    // Against honest peers that share few groups an attacker with more groups gets its share of groups, no more.
    const ROWS: [(usize, usize, usize); 6] =
        [(1, 117, 116), (8, 117, 109), (32, 117, 105), (1, 30, 112), (8, 30, 90), (32, 30, 58)];
    for (groups, honest_groups, at_least) in ROWS {
        let (left, held) = left_after_attack(groups, honest_groups);
        println!("{groups} groups against {honest_groups}: {left} of 117 are left, the attacker holds {held}");
        assert!(left >= at_least, "{groups} groups against {honest_groups}: {left} honest peers are left");
    }
}
