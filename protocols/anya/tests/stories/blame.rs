//! The blame matrix: each fault, how it is provoked, and who pays for it. Nobody else ever does.

use crate::doors::exceed;
use crate::ledger::{self, WRONG};
use crate::story::{Story, address, info, story};
use polypeer_anya::Misbehavior;
use polypeer_anya::wire::{self, Kind, name};
use polypeer_engine::shell::bans::Severity;
use polypeer_engine::{BadFrame, ChannelId, ConnectionId, Misbehavior as _, P2pAction, Reason};
use std::time::Duration;

const GUILTY: &str = "10.0.0.9:5000";
const HONEST: [&str; 2] = ["10.0.0.8:5000", "10.0.0.7:7333"];

/// What a fault costs whoever committed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Price {
    /// Borne, one slip the nearer to the end.
    OneSlip,
    /// The connection, and nothing more: whoever is gone, or only looked in.
    Connection,
    /// The connection, politely, without blame: it is of another network.
    Stranger,
    /// The connection, and a day's discouragement.
    Discouraged,
}

type Row = (Price, fn(&mut Story) -> ConnectionId, Option<Misbehavior>);

/// Its price, how it is provoked, and the fault in the next row. A variant without a row does not compile.
fn row(fault: Misbehavior) -> Row {
    use Misbehavior::*;
    use Price::*;
    match fault {
        MalformedType => (Discouraged, |s| friend_sends(s, &[0xff; 36]), Some(NotGreeting(name("ping")))),
        NotGreeting(_) => (Discouraged, |s| stranger_sends(s, &wire::empty(Kind::Ping)), Some(ErrorFirst)),
        ErrorFirst => {
            let first = |s: &mut Story| stranger_sends(s, &wire::frame(Kind::Error, &[0; 64]));
            (Connection, first, Some(HandshakeTimeout))
        }
        HandshakeTimeout => (Connection, |s| is_silent(s, Story::accept, 6), Some(GreetingPayload(Kind::Connect))),
        GreetingPayload(_) => {
            let short = |s: &mut Story| stranger_sends(s, &wire::frame(Kind::Connect, &[1; 5]));
            (Discouraged, short, Some(GreetingAddress(Kind::Connect)))
        }
        GreetingAddress(_) => {
            let nowhere = |s: &mut Story| stranger_sends(s, &wire::frame(Kind::Connect, &without_port("10.0.0.9:1")));
            (Discouraged, nowhere, Some(PayloadTooLong(Kind::Block)))
        }
        PayloadTooLong(_) => {
            let long = |s: &mut Story| friend_sends(s, &header(Kind::Block.name(), u32::MAX));
            (Discouraged, long, Some(ErrorTooLong))
        }
        ErrorTooLong => {
            let long = |s: &mut Story| friend_sends(s, &wire::frame(Kind::Error, &[0; 65]));
            (Discouraged, long, Some(UnknownTooLong(name("weather"))))
        }
        UnknownTooLong(_) => {
            let long = |s: &mut Story| friend_sends(s, &header(name("weather"), u32::MAX));
            (Discouraged, long, Some(BlockUnreadable))
        }
        BlockUnreadable => (Discouraged, |s| friend_sends(s, &wire::empty(Kind::Block)), Some(BlockInvalid)),
        BlockInvalid => (Discouraged, a_wrong_block, Some(TooManyRequests)),
        TooManyRequests => (Discouraged, questions_without_end, Some(Silent)),
        Silent => (Connection, |s| is_silent(s, Story::friend, 90), Some(OtherNetwork)),
        OtherNetwork => (Stranger, another_network, Some(PayloadUnreadable(Kind::GetBlock))),
        PayloadUnreadable(_) => {
            let short = |s: &mut Story| friend_sends(s, &wire::frame(Kind::GetBlock, &[1; 3]));
            (OneSlip, short, Some(PeersAddress))
        }
        PeersAddress => (OneSlip, a_peer_nowhere, Some(GreetingAgain(Kind::Connect))),
        GreetingAgain(_) => {
            let again =
                |s: &mut Story| friend_sends(s, &wire::frame(Kind::Connect, &wire::address(address("10.0.0.9:1"))));
            (OneSlip, again, Some(AckUnasked))
        }
        AckUnasked => (OneSlip, |s| friend_sends(s, &wire::empty(Kind::DisconnectAck)), Some(TransactionInvalid)),
        TransactionInvalid => {
            (OneSlip, |s| friend_sends(s, &wire::frame(Kind::Tx, b"x1")), Some(PoolTransactionInvalid))
        }
        PoolTransactionInvalid => (OneSlip, a_wrong_pool, Some(TooMuchWork)),
        TooMuchWork => (OneSlip, transactions_for_nothing, None),
    }
}

fn header(name: wire::Name, length: u32) -> Vec<u8> {
    [name.as_slice(), &length.to_be_bytes()].concat()
}

fn without_port(text: &str) -> Vec<u8> {
    let mut bytes = wire::address(address(text)).to_vec();
    bytes[16..18].fill(0);
    bytes
}

fn friend_sends(story: &mut Story, bytes: &[u8]) -> ConnectionId {
    let guilty = story.friend(GUILTY);
    story.bytes(guilty, bytes);
    guilty
}

fn stranger_sends(story: &mut Story, bytes: &[u8]) -> ConnectionId {
    let guilty = story.accept(GUILTY);
    story.bytes(guilty, bytes);
    guilty
}

fn is_silent(story: &mut Story, comes: fn(&mut Story, &str) -> ConnectionId, seconds: u32) -> ConnectionId {
    let guilty = comes(story, GUILTY);
    wait_a_while(story, seconds);
    guilty
}

fn transactions_for_nothing(story: &mut Story) -> ConnectionId {
    let guilty = story.friend(GUILTY);
    exceed(story, guilty);
    guilty
}

fn a_wrong_block(story: &mut Story) -> ConnectionId {
    let wrong = ledger::block(&ledger::genesis(), 1, WRONG, b"");
    friend_sends(story, &wire::frame(Kind::Block, &wrong))
}

fn questions_without_end(story: &mut Story) -> ConnectionId {
    let guilty = story.friend(GUILTY);
    story.is_prompt = false;
    for _ in 0..100_000 {
        if !story.is_open(guilty) {
            break;
        }
        story.says(guilty, Kind::GetBlock, &[7; 32]);
    }
    story.is_prompt = true;
    story.answer();
    guilty
}

fn another_network(story: &mut Story) -> ConnectionId {
    let guilty = story.greeted(GUILTY);
    let mut strange = wire::payload(&info(&[])).to_vec();
    let genesis = ledger::hash(&ledger::genesis()).0;
    // Wherever it stands, as genesis, as tip, and as the one waypoint.
    for at in (0..strange.len() - 31).filter(|at| strange[*at..at + 32] == genesis).collect::<Vec<_>>() {
        strange[at] ^= 1;
    }
    story.says(guilty, Kind::BlockchainInfo, &strange);
    story.says(guilty, Kind::DisconnectAck, &[]);
    guilty
}

fn a_peer_nowhere(story: &mut Story) -> ConnectionId {
    let guilty = story.dial(GUILTY);
    story.says(guilty, Kind::ConnectionAccepted, &wire::address(address(GUILTY)));
    story.bytes(guilty, &info(&[]));
    story.says(guilty, Kind::Peers, &[&[0, 0, 0, 1][..], &without_port("10.0.0.50:1")].concat());
    guilty
}

fn a_wrong_pool(story: &mut Story) -> ConnectionId {
    let guilty = story.ready(GUILTY, &[]);
    story.bytes(guilty, &wire::mempool(&[bytes::Bytes::from_static(b"x2")]));
    guilty
}

/// Two that do nothing wrong: one dialled us, one was dialled.
fn honest(story: &mut Story) -> [ConnectionId; 2] {
    let inbound = story.friend(HONEST[0]);
    let outbound = story.dial(HONEST[1]);
    story.says(outbound, Kind::ConnectionAccepted, &wire::address(address(HONEST[1])));
    story.bytes(outbound, &info(&[]));
    story.says(outbound, Kind::Mempool, &[0; 4]);
    [inbound, outbound]
}

/// Time passes; those that are honest are heard of in it.
fn wait_a_while(story: &mut Story, seconds: u32) {
    for _ in 0..seconds {
        story.wait(Duration::from_secs(1));
        for connection in story.engine.state().peers.keys().copied().collect::<Vec<_>>() {
            if is_honest(story, connection) {
                story.says(connection, Kind::Ping, &[]);
            }
        }
    }
}

fn is_honest(story: &Story, connection: ConnectionId) -> bool {
    let remote = story.engine.state().peers[&connection].ends.remote.to_string();
    HONEST.contains(&remote.as_str())
}

fn reasons(story: &Story, of: &str) -> Vec<Reason> {
    story.engine.state().reasons.about(address(of).ip()).map(|record| record.reason.clone()).collect()
}

fn severity(story: &Story, of: &str) -> Option<Severity> {
    story.engine.state().bans.get(story.both_clocks(), address(of).ip()).map(|ban| ban.severity)
}

/// The guilty one pays the price, for this fault.
fn pays(story: &Story, guilty: ConnectionId, price: Price, fault: &str) {
    let (severity, peer) = (severity(story, GUILTY), story.engine.state().peers.get(&guilty));
    let said = reasons(story, GUILTY);
    let is_said = |reason: fn(String) -> Reason| said.contains(&reason(fault.to_owned()));
    match price {
        Price::OneSlip => {
            assert_eq!(peer.map(|peer| peer.slips.len()), Some(1), "{fault}");
            assert!(story.is_open(guilty) && severity.is_none() && is_said(Reason::Slip), "{fault}: {said:?}");
        }
        Price::Connection => {
            assert!(peer.is_none() && severity.is_none() && is_said(Reason::Convicted), "{fault}: {said:?}");
        }
        Price::Stranger => {
            assert!(peer.is_none() && severity.is_none() && is_said(Reason::Closed), "{fault}: {said:?}");
        }
        Price::Discouraged => {
            assert!(peer.is_none() && is_said(Reason::Convicted), "{fault}: {said:?}");
            assert_eq!(severity, Some(Severity::Discouraged), "{fault}");
        }
    }
}

/// Nobody else does: still there, still served, without a mark.
fn pays_nothing(story: &mut Story, honest: ConnectionId, of: &str, fault: &str) {
    assert!(story.is_open(honest), "{fault}: {of}");
    let peer = &story.engine.state().peers[&honest];
    assert!(peer.slips.is_empty(), "{fault}: {of}");
    assert_eq!(severity(story, of), None, "{fault}: {of}");
    let said = reasons(story, of);
    let is_harmless = |reason: &Reason| matches!(reason, Reason::DialledForOperator | Reason::DialledToProve);
    assert!(said.iter().all(is_harmless), "{fault}: {of}: {said:?}");
    story.skip(honest);
    story.says(honest, Kind::Ping, &[]);
    story.hears(honest, Kind::Pong);
}

#[test]
fn exactly_the_guilty_one_pays_for_each_fault() {
    let mut next = Some(Misbehavior::MalformedType);
    let mut rows = 0;
    while let Some(fault) = next {
        let (price, provoke, after) = row(fault);
        story(|story| {
            let honest = honest(story);
            let guilty = provoke(story);
            pays(story, guilty, price, fault.name());
            for (connection, of) in honest.into_iter().zip(HONEST) {
                pays_nothing(story, connection, of, fault.name());
            }
            assert_eq!(story.engine.state().check(), Ok(()));
        });
        rows += 1;
        next = after;
    }
    assert_eq!(rows, 21, "every row is in the chain");
}

/// What the host refuses for reasons of its own is nobody's fault.
#[test]
fn the_hosts_own_reasons_cost_the_connection_and_no_blame() {
    for reason in [BadFrame::TOO_SLOW, BadFrame::OVER_BUDGET] {
        story(|story| {
            let honest = honest(story);
            let guilty = story.friend(GUILTY);
            let (channel, bad) = (ChannelId::ONLY, BadFrame::of_host(reason));
            story.act(P2pAction::BadFrame { connection: guilty, channel, bad });
            assert!(!story.is_open(guilty));
            assert_eq!(severity(story, GUILTY), None);
            for (connection, of) in honest.into_iter().zip(HONEST) {
                pays_nothing(story, connection, of, "the host's");
            }
        });
    }
}
