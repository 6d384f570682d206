//! Sends every message in every state, twice.

use crate::story::{Story, address, info, story};
use polypeer_anya::wire::{self, Kind, Name, code, name};
use polypeer_engine::{Close, ConnectionId, P2pAction};

const PEER: &str = "10.0.0.9:5000";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    AwaitConnect,
    AwaitAccepted,
    /// Open, its chain not known.
    Strange,
    Ready,
    Parting,
}

const STATES: [State; 5] = [State::AwaitConnect, State::AwaitAccepted, State::Strange, State::Ready, State::Parting];

/// What must happen.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    /// The answers, all of them, and the connection stays open.
    Answers(Vec<Kind>),
    /// This error, and the connection stays open.
    Kept(Name),
    /// This error, and the connection ends.
    Refused(Name),
    /// The connection ends without a word.
    Cut,
    /// These answers, and the connection ends.
    Ends(Vec<Kind>),
}

use Verdict::{Answers, Cut, Ends, Kept, Refused};

fn enter(story: &mut Story, state: State) -> ConnectionId {
    let peer = match state {
        State::AwaitConnect => story.accept(PEER),
        State::AwaitAccepted => story.dial(PEER),
        State::Strange => story.greeted(PEER),
        State::Ready | State::Parting => story.friend(PEER),
    };
    if state == State::Parting {
        story.act(P2pAction::Disconnect { connection: peer });
    }
    story.skip(peer);
    peer
}

fn payload(kind: Option<Kind>) -> Vec<u8> {
    let own = wire::address(address("10.0.0.9:7333"));
    match kind {
        Some(Kind::Connect | Kind::ConnectionAccepted) => own.to_vec(),
        Some(Kind::Tx) => b"v".to_vec(),
        Some(Kind::Block) => crate::ledger::chain(1, 1)[0].to_vec(),
        Some(Kind::GetBlock) => vec![7; 32],
        Some(Kind::BlockchainInfo) => wire::payload(&info(&[])).to_vec(),
        Some(Kind::Mempool | Kind::Peers) => vec![0; 4],
        Some(Kind::Error) => [name("tx"), code::INVALID_PAYLOAD].concat(),
        None => b"whatever".to_vec(),
        _ => Vec::new(),
    }
}

/// The first time and the second time.
fn verdicts(state: State, kind: Option<Kind>) -> (Verdict, Verdict) {
    let nothing = || Answers(Vec::new());
    let both = |verdict: Verdict| (verdict.clone(), verdict);
    match (state, kind) {
        (State::AwaitConnect, Some(Kind::Connect)) => {
            (Answers(vec![Kind::ConnectionAccepted, Kind::GetBlockchainInfo]), Kept(code::INVALID_MESSAGE))
        }
        (State::AwaitAccepted, Some(Kind::ConnectionAccepted)) => {
            (Answers(vec![Kind::GetBlockchainInfo]), Kept(code::INVALID_MESSAGE))
        }
        (State::AwaitConnect | State::AwaitAccepted, Some(Kind::Error)) => (Cut, nothing()),
        (State::AwaitConnect | State::AwaitAccepted, _) => (Refused(code::INVALID_MESSAGE), nothing()),
        (State::Parting, Some(Kind::DisconnectAck)) => (Ends(Vec::new()), nothing()),
        (State::Parting, Some(Kind::Disconnect)) => (Ends(vec![Kind::DisconnectAck]), nothing()),
        (State::Parting, _) => both(nothing()),
        (_, None) => both(Kept(code::UNKNOWN_MESSAGE_TYPE)),
        (State::Strange, Some(Kind::BlockchainInfo)) => (Answers(vec![Kind::GetMempool]), nothing()),
        (_, Some(kind)) => match kind {
            Kind::Connect | Kind::ConnectionAccepted | Kind::DisconnectAck => both(Kept(code::INVALID_MESSAGE)),
            Kind::Disconnect => (Ends(vec![Kind::DisconnectAck]), nothing()),
            Kind::Ping => both(Answers(vec![Kind::Pong])),
            Kind::GetBlock => both(Kept(code::INVALID_PAYLOAD)),
            Kind::GetBlockchainInfo => both(Answers(vec![Kind::BlockchainInfo])),
            Kind::GetMempool => both(Answers(vec![Kind::Mempool])),
            Kind::GetPeers => both(Answers(vec![Kind::Peers])),
            Kind::Pong | Kind::Tx | Kind::Block | Kind::BlockchainInfo | Kind::Mempool | Kind::Peers | Kind::Error => {
                both(nothing())
            }
        },
    }
}

fn check(story: &mut Story, peer: ConnectionId, offending: Name, verdict: Verdict) {
    let is_open_before = story.is_open(peer);
    match verdict {
        Answers(kinds) => {
            for kind in kinds {
                story.hears(peer, kind);
            }
            assert_eq!(story.is_open(peer), is_open_before);
        }
        Kept(code) => {
            story.hears_error(peer, offending, code);
            assert!(story.is_open(peer));
        }
        Refused(code) => story.is_refused(peer, offending, code),
        Cut => story.is_cut(peer),
        Ends(kinds) => {
            for kind in kinds {
                story.hears(peer, kind);
            }
            assert!(matches!(story.lines[&peer].closed, Some(Close::Lingering | Close::Flushed)));
        }
    }
    story.hears_nothing(peer);
}

#[test]
fn every_message_in_every_state_twice() {
    let kinds = || Kind::ALL.iter().copied().map(Some).chain([None]);
    for state in STATES {
        for kind in kinds() {
            story(|story| {
                let offending = kind.map_or(name("no_such_type"), Kind::name);
                let peer = enter(story, state);
                let (first, second) = verdicts(state, kind);
                for verdict in [first, second] {
                    let bytes = payload(kind);
                    let length = u32::try_from(bytes.len()).expect("short");
                    story.bytes(peer, &[&offending, &length.to_be_bytes()[..], &bytes].concat());
                    check(story, peer, offending, verdict);
                }
            });
        }
    }
}
