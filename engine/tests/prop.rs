//! What must hold of the shell after any sequence of actions.

mod word;

use bytes::Bytes;
use polypeer_engine::shell::slots::Slot;
use polypeer_engine::{
    BadFrame, ChannelId, Command, ConnectionId, DialFailure, Direction, DisconnectCause, Effect, P2pAction, P2pConfig,
    Target,
};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::time::Duration;
use word::{Story, at};

/// Something that may happen, in any order and to any connection, open or not.
#[derive(Clone, Debug)]
enum Move {
    Accept(u8),
    Stand(u64),
    Fail(u64),
    Say(u64, usize),
    Bad(u64, bool),
    Lose(u64),
    Drop(u64),
    Ban(u8),
    Unban(u8),
    Want(u8),
    Wait(u64),
    Writable(u64),
}

fn any_move() -> impl Strategy<Value = Move> {
    let connection = 0..24u64;
    prop_oneof![
        4 => any::<u8>().prop_map(Move::Accept),
        3 => connection.clone().prop_map(Move::Stand),
        1 => connection.clone().prop_map(Move::Fail),
        8 => (connection.clone(), 0..6usize).prop_map(|(connection, word)| Move::Say(connection, word)),
        1 => (connection.clone(), any::<bool>()).prop_map(|(connection, fatal)| Move::Bad(connection, fatal)),
        2 => connection.clone().prop_map(Move::Lose),
        1 => connection.clone().prop_map(Move::Drop),
        1 => (0..8u8).prop_map(Move::Ban),
        1 => (0..8u8).prop_map(Move::Unban),
        1 => (0..8u8).prop_map(Move::Want),
        2 => (0..100u64).prop_map(Move::Wait),
        1 => connection.prop_map(Move::Writable),
    ]
}

const WORDS: [&[u8]; 6] = [b"x", b"s", b"b", b"a", b"o", b"t"];

fn play(story: &mut Story, step: Move) -> Vec<Effect<u8>> {
    let id = ConnectionId::from_u64;
    let ip = |n: u8| format!("10.0.{}.1", n % 8).parse().expect("an IP address");
    match step {
        Move::Accept(n) => story.accept(&format!("10.0.{}.1", n % 8)).1,
        Move::Stand(n) => {
            let connection = ConnectionId::nth(Direction::Outbound, n / 2);
            let dial = story.engine.state().connecting_peers.get(&connection).copied();
            dial.map(|dial| story.stand(connection, dial.address)).unwrap_or_default()
        }
        Move::Fail(n) => {
            let connection = ConnectionId::nth(Direction::Outbound, n / 2);
            story.act(P2pAction::ConnectionFailed { connection, cause: DialFailure::Refused })
        }
        Move::Say(n, word) => story.say(id(n), WORDS[word]),
        Move::Bad(n, fatal) => {
            let bad = BadFrame { head: Bytes::new(), reason: 0, fatal };
            story.act(P2pAction::BadFrame { connection: id(n), channel: ChannelId::ONLY, bad })
        }
        Move::Lose(n) => story.act(P2pAction::Disconnected { connection: id(n), cause: DisconnectCause::Broken }),
        Move::Drop(n) => story.act(P2pAction::Disconnect { connection: id(n) }),
        Move::Ban(n) => story.act(P2pAction::Command(Command::Ban { ip: ip(n), duration: Duration::from_secs(50) })),
        Move::Unban(n) => story.act(P2pAction::Command(Command::Unban { ip: ip(n) })),
        Move::Want(n) => {
            story.act(P2pAction::Command(Command::AddPeer(Target::Address(at(&format!("10.0.{}.1:9", n % 8))))))
        }
        Move::Wait(seconds) => story.wait(seconds),
        Move::Writable(n) => story.act(P2pAction::Writable { connection: id(n), channel: ChannelId::ONLY }),
    }
}

proptest! {
    #[test]
    fn the_shell_keeps_its_books(moves in prop::collection::vec(any_move(), 1..200)) {
        let config = P2pConfig { inbound_max: 6, inbound_per_ip_max: 2, private_addresses: true, ..P2pConfig::default() };
        let mut story = Story::new(config);
        let mut open = BTreeSet::new();
        let mut closed = BTreeSet::new();
        for step in moves {
            for effect in play(&mut story, step) {
                match effect {
                    Effect::Send { connection, .. } => {
                        prop_assert!(!closed.contains(&connection), "sent after it was closed");
                    }
                    Effect::Close { connection, .. } => {
                        prop_assert!(closed.insert(connection), "closed twice");
                    }
                    Effect::Dial { connection, .. } => prop_assert!(open.insert(connection), "an id used twice"),
                    _ => {}
                }
            }
            let state = story.engine.state();
            prop_assert_eq!(state.check(), Ok(()));
            let inbound: Vec<_> =
                state.peers.iter().filter(|(id, _)| id.direction() == Direction::Inbound).map(|(_, peer)| peer).collect();
            // Those that the operator named have a slot beside the six.
            let inbound: Vec<_> = inbound.into_iter().filter(|peer| peer.slot != Slot::Reserved).collect();
            prop_assert_eq!(state.slots().inbound, inbound.len());
            prop_assert!(inbound.len() <= 6);
            for peer in &inbound {
                let same = inbound.iter().filter(|other| other.ends.remote.ip() == peer.ends.remote.ip()).count();
                prop_assert!(same <= 2, "the cap per address");
            }
            prop_assert!(state.peers.values().all(|peer| peer.peer.is_some()), "every peer is back in the table");
            let dialled = state.peers.values().filter_map(|peer| peer.ends.dialled);
            let under_way = state.connecting_peers.values().map(|dial| dial.address);
            let all: Vec<_> = dialled.chain(under_way).collect();
            let distinct: BTreeSet<_> = all.iter().copied().collect();
            prop_assert_eq!(all.len(), distinct.len(), "no address is dialled twice at one time");
            prop_assert!(distinct.iter().all(|address| state.is_dialled(*address)));
        }
        let gone = &story.engine.protocol().gone;
        let once: BTreeSet<_> = gone.iter().map(|(connection, _)| *connection).collect();
        prop_assert_eq!(gone.len(), once.len(), "every departure is told once");
    }
}
