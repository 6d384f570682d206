//! Charges one account at every door, says what happens when it is overdrawn, and lets nothing visit twice.

use crate::ledger;
use crate::story::{Story, config, info, p2p, story};
use bytes::Bytes;
use polypeer_anya::Anya;
use polypeer_anya::wire::{self, Kind};
use polypeer_engine::kit::chain::{Answer, Request, TransactionOutcome};
use polypeer_engine::kit::cost::Class;
use polypeer_engine::{ChannelId, ConnectionId, Direction, Effect, Ends, Engine, Frame, Now, P2pAction};
use std::time::Duration;

const PEER: &str = "10.0.0.9:5000";

fn left(story: &Story, peer: ConnectionId) -> i64 {
    story.engine.state().peers[&peer].account.left()
}

fn refused(story: &Story, class: Class) -> u64 {
    story.engine.state().costs.refused[class as usize]
}

fn orphan(number: u64) -> Bytes {
    let nowhere = ledger::block(&ledger::genesis(), 1_000 + number, 0, b"not here");
    ledger::block(&nowhere, number, 0, b"")
}

fn pool(transactions: &[&[u8]]) -> Bytes {
    let frame = wire::mempool(&transactions.iter().map(|bytes| Bytes::copy_from_slice(bytes)).collect::<Vec<_>>());
    frame.slice(wire::HEADER_BYTES..)
}

type Door = fn(&mut Story, ConnectionId);

const DOORS: [(&str, Door); 9] = [
    ("a pushed transaction", |story, peer| story.says(peer, Kind::Tx, b"n pushed")),
    ("a transaction never valid", |story, peer| story.says(peer, Kind::Tx, b"wrong")),
    ("a pushed block", |story, peer| story.says(peer, Kind::Block, &orphan(1))),
    ("a fetched block", |story, peer| {
        let parent = ledger::block(&ledger::genesis(), 1_002, 0, b"not here");
        story.says(peer, Kind::Block, &orphan(2));
        let before = left(story, peer);
        // It was asked for after the orphan came, and comes without its own parent.
        story.says(peer, Kind::Block, &parent);
        assert!(left(story, peer) <= before);
    }),
    ("a block asked of us", |story, peer| story.says(peer, Kind::GetBlock, &ledger::hash(&ledger::genesis()).0)),
    ("an unknown block", |story, peer| story.says(peer, Kind::GetBlock, &[7; 32])),
    ("the chain's info", |story, peer| story.says(peer, Kind::GetBlockchainInfo, &[])),
    ("the mempool", |story, peer| story.says(peer, Kind::GetMempool, &[])),
    ("addresses", |story, peer| story.says(peer, Kind::GetPeers, &[])),
];

#[test]
fn every_door_charges_the_same_account() {
    story(|story| {
        for (number, (name, enter)) in DOORS.iter().enumerate() {
            let peer = story.friend(&format!("10.0.1.{number}:5000"));
            let before = left(story, peer);
            enter(story, peer);
            assert!(left(story, peer) < before, "{name} is free");
        }
        // What a mempool lists is charged like what is pushed.
        let lister = story.ready(PEER, &[]);
        story.hears(lister, Kind::GetMempool);
        let before = left(story, lister);
        story.says(lister, Kind::Mempool, &pool(&[b"n listed", b"n too"]));
        let price = Class::TransactionCheck.price(0).times(2).time();
        assert!(i128::from(before - left(story, lister)) >= price.as_nanos() as i128);
    });
}

#[test]
fn what_is_useful_is_free_in_the_end_at_any_speed() {
    story(|story| {
        let peer = story.friend(PEER);
        let full = left(story, peer);
        for number in 0..500u64 {
            story.says(peer, Kind::Tx, &[b"v".as_slice(), &number.to_be_bytes()].concat());
        }
        for block in ledger::chain(200, 7) {
            story.says(peer, Kind::Block, &block);
            story.skip(peer);
        }
        assert_eq!((left(story, peer), story.ledger.tip.height), (full, 200));
        let lister = story.ready("10.0.0.8:1", &ledger::chain(200, 7));
        let listed: Vec<Vec<u8>> =
            (0..300u64).map(|number| [b"v listed".as_slice(), &number.to_be_bytes()].concat()).collect();
        story.hears(lister, Kind::GetMempool);
        let before = left(story, lister);
        story.says(lister, Kind::Mempool, &pool(&listed.iter().map(Vec::as_slice).collect::<Vec<_>>()));
        assert_eq!((left(story, lister), story.ledger.pool.len()), (before, 800));
    });
}

// Sends what cannot be taken until it is not looked at any more.
fn overdraw(story: &mut Story, peer: ConnectionId) {
    for number in 0..100_000u64 {
        story.says(peer, Kind::Tx, &[b"n".as_slice(), &number.to_be_bytes()].concat());
        if refused(story, Class::TransactionCheck) > 0 {
            return;
        }
    }
    panic!("a hundred thousand signatures were checked for nothing");
}

/// Goes on when nothing more is done for it, until that is a fault. How many transactions that took.
pub(crate) fn exceed(story: &mut Story, peer: ConnectionId) -> u64 {
    overdraw(story, peer);
    let price = Class::TransactionCheck.price(0).time().as_nanos();
    let excess = u64::try_from(polypeer_engine::kit::cost::EXCESS.as_nanos() / price).unwrap();
    for number in 0..=excess {
        if !story.engine.state().peers[&peer].slips.is_empty() {
            return number;
        }
        story.says(peer, Kind::Tx, &[b"m".as_slice(), &number.to_be_bytes()].concat());
    }
    excess
}

#[test]
fn who_is_overdrawn_at_one_door_is_so_at_all_and_nobody_else_is() {
    let mut story = Story::with(ledger::Ledger::new());
    let (peer, other) = (story.friend(PEER), story.friend("10.0.0.8:1"));
    overdraw(&mut story, peer);
    let (asked, taken) = (story.asked.len(), story.ledger.taken.len());
    story.says(peer, Kind::Tx, b"v a good one, but not now");
    story.says(peer, Kind::Block, &orphan(5));
    assert_eq!((story.asked.len(), story.ledger.taken.len(), story.ledger.pool.len()), (asked, taken, 0));
    assert!(refused(&story, Class::TransactionCheck) >= 2 && refused(&story, Class::HeaderCheck) == 1);
    // Requests wait; a keep-alive does not.
    story.skip(peer);
    story.says(peer, Kind::GetBlock, &ledger::hash(&ledger::genesis()).0);
    story.says(peer, Kind::GetPeers, &[]);
    story.says(peer, Kind::Ping, &[]);
    story.hears(peer, Kind::Pong);
    story.hears_nothing(peer);
    // Another peer's transaction is taken, and even relayed to this one.
    story.says(other, Kind::Tx, b"v");
    story.hears(peer, Kind::Tx);
    assert!(story.is_open(peer) && story.engine.state().peers[&peer].slips.is_empty(), "overdrawn is no fault");
    story.wait(Duration::from_secs(1));
    let heard = [Kind::Peers, Kind::Block].map(|kind| story.hears(peer, kind).len());
    assert!(heard.iter().all(|length| *length > 0), "what waited is answered");
    story.wait(Duration::from_secs(10));
    story.says(peer, Kind::Tx, b"v again");
    story.hears(other, Kind::Tx);
}

#[test]
fn a_mempool_is_read_on_when_its_sender_has_credit_again() {
    let mut story = Story::with(ledger::Ledger::new());
    let peer = story.ready(PEER, &[]);
    story.hears(peer, Kind::GetMempool);
    overdraw(&mut story, peer);
    let listed: Vec<Vec<u8>> = (0..100u64).map(|number| [b"v".as_slice(), &number.to_be_bytes()].concat()).collect();
    story.says(peer, Kind::Mempool, &pool(&listed.iter().map(Vec::as_slice).collect::<Vec<_>>()));
    assert_eq!(story.ledger.pool.len(), 0);
    story.wait(Duration::from_secs(1));
    assert_eq!(story.ledger.pool.len(), 100);
}

#[test]
fn coming_back_buys_no_new_account() {
    let mut story = Story::with(ledger::Ledger::new());
    let peer = story.friend(PEER);
    overdraw(&mut story, peer);
    let before = left(&story, peer);
    story.gone(peer);
    let again = story.friend(PEER);
    assert!(left(&story, again) <= before);
    story.gone(again);
    story.wait(Duration::from_secs(20));
    let later = story.friend(PEER);
    assert!(left(&story, later) > before + 1_000_000_000, "time heals");
}

#[test]
fn only_gross_excess_is_a_slip_without_a_word() {
    let mut story = Story::with(ledger::Ledger::new());
    let peer = story.friend(PEER);
    assert!(exceed(&mut story, peer) > 10_000, "too soon");
    assert_eq!(story.engine.state().peers[&peer].slips.len(), 1);
    assert!(story.is_open(peer));
    story.hears_nothing(peer);
}

#[test]
fn history_waits_for_the_upload_cap_and_news_and_pings_do_not() {
    let p2p = polypeer_engine::P2pConfig { upload_rate: 100_000, ..p2p() };
    let blocks = ledger::chain_on(&ledger::genesis(), 30, 1, &[1; 20_000]);
    let mut story = Story::new(config(), p2p, ledger::Ledger::with(&blocks));
    let (peer, other) = (story.friend_of(PEER, &blocks), story.friend_of("10.0.0.8:1", &blocks));
    for block in &blocks {
        story.says(peer, Kind::GetBlock, &ledger::hash(block).0);
        story.says(other, Kind::GetBlock, &ledger::hash(block).0);
    }
    let served =
        |story: &Story| [peer, other].map(|peer| story.lines[&peer].sent.iter().map(Bytes::len).sum::<usize>());
    let at_once: usize = served(&story).iter().sum();
    assert!((50_000..1_500_000).contains(&at_once), "{at_once} bytes at once");
    story.says(peer, Kind::Ping, &[]);
    assert!(story.lines[&peer].sent.iter().any(|frame| wire::name_in(frame) == Kind::Pong.name()));
    story.says(other, Kind::Tx, b"v news");
    assert!(story.lines[&peer].sent.iter().any(|frame| wire::name_in(frame) == Kind::Tx.name()));
    story.wait(Duration::from_secs(25));
    for block in &blocks {
        for peer in [peer, other] {
            while let Some(frame) = story.lines.get_mut(&peer).and_then(|line| line.sent.pop_front()) {
                if wire::name_in(&frame) == Kind::Block.name() {
                    assert_eq!(frame.slice(wire::HEADER_BYTES..), block);
                    break;
                }
            }
        }
    }
    let sent = story.engine.state().serving.sent;
    assert!(sent[2] >= 2 * 30 * 20_000, "all of it in the end: {sent:?}");
}

// More than ten times as many as are remembered visit a node once each, and again: nothing is relayed a second time.
#[test]
fn nothing_visits_twice_though_ten_times_as_much_came_meanwhile() {
    const REMEMBERED: u64 = 65_536;
    let mut effects = Vec::new();
    let mut node: Engine<Anya<ledger::Format>> =
        Engine::new(Now::default(), p2p(), config(), [7; 32], &[], &mut effects);
    let peers = [0, 1].map(|number| ConnectionId::nth(Direction::Inbound, number));
    for peer in peers {
        let at = |port| polypeer_engine::Address::new([10, 0, 0, 2].into(), port);
        let ends = Ends {
            direction: Direction::Inbound,
            local: at(1),
            remote: at(2),
            dialled: None,
            identity: None,
            takes_compressed: false,
        };
        node.step(Now::default(), P2pAction::Connected { connection: peer, ends }, &mut effects);
        for frame in [wire::connect(None, at(2)), info(&[])] {
            let action = P2pAction::MessageReceived { connection: peer, channel: ChannelId::ONLY, frame };
            node.step(Now::default(), action, &mut effects);
        }
    }
    let mut held = std::collections::HashSet::new();
    let mut relayed = 0u64;
    let mut visit = |node: &mut Engine<Anya<ledger::Format>>, number: u64, micros: u64| {
        let now = Now { monotonic: polypeer_engine::Time::from_micros(micros), unix_ms: 0 };
        let frame = wire::frame(Kind::Tx, &[b"v".as_slice(), &number.to_be_bytes()].concat());
        let mut lent = Some(Frame::from(&frame));
        node.receive(now, peers[0], ChannelId::ONLY, &mut effects, |_| lent.take());
        let asked = std::mem::take(&mut effects);
        for effect in asked {
            let Effect::Ask { ticket, request: Request::TakeTransactions { transactions, .. } } = effect else {
                continue;
            };
            let id = <ledger::Format as polypeer_engine::kit::chain::ChainFormat>::transaction_id(&transactions[0]);
            // The ledger is the last to know: it holds every one, in its mempool or chain.
            let outcome = if held.insert(id) { TransactionOutcome::Accepted } else { TransactionOutcome::Known };
            let answer = Answer::TransactionsTaken(vec![(id, outcome)]);
            node.step(now, P2pAction::LedgerAnswered { ticket: Some(ticket), answer }, &mut effects);
        }
        relayed += effects.drain(..).filter(|effect| matches!(effect, Effect::Send { .. })).count() as u64;
        relayed
    };
    let mut last = 0;
    for number in 0..10 * REMEMBERED + 10 {
        last = visit(&mut node, number, number * 50);
    }
    assert_eq!(last, 10 * REMEMBERED + 10, "each is relayed to the one other peer");
    let end = (10 * REMEMBERED + 10) * 50;
    for number in (0..10 * REMEMBERED).step_by(101) {
        assert_eq!(visit(&mut node, number, end + number * 50), last, "{number} is relayed again");
    }
}
