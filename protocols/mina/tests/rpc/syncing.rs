//! Catching up: best tips of several peers, missing blocks from whoever has them, and liars among them.

use crate::chain::{Made, UNIX_MS, best_tip, chain, rules};
use bytes::Bytes;
use polypeer_engine::{ChannelId, ConnectionId, Direction, Frame, Now, Time};
use polypeer_mina::checks::Rules;
use polypeer_mina::hash::Hash;
use polypeer_mina::ledger::Verdict;
use polypeer_mina::rpc::{self, Message, Method, Query, Reply, Rpc, handshake, read_hashes, write_menu};
use polypeer_mina::sync::{Blame, Hands, Output, Sync, TIPS_MAX};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// How a made-up peer answers for blocks.
#[derive(Clone, Copy, PartialEq)]
enum Habit {
    Honest,
    /// It says that it has none.
    Forgetful,
    /// It brings others.
    Lying,
    /// It says nothing.
    Silent,
    /// Its path is wrong.
    Unproven,
}

struct Peer {
    chain: Vec<Made>,
    habit: Habit,
}

/// A node that catches up, its peers, and its ledger.
struct Stage {
    sync: Sync,
    rpc: Rpc,
    rules: Rules,
    now: Time,
    peers: BTreeMap<ConnectionId, Peer>,
    next: u32,
    // What the ledger holds, in the order in which it came.
    held: Vec<Hash>,
    have: BTreeSet<Hash>,
    own: Option<Hash>,
    refuses: Option<Hash>,
    has_refused: bool,
    wire: VecDeque<rpc::Output>,
    out: VecDeque<Output>,
    catching_up: Vec<bool>,
    blamed: Vec<(ConnectionId, Blame)>,
    // Methods that were asked for.
    asked: Vec<(ConnectionId, Method, usize)>,
}

impl Stage {
    fn new() -> Self {
        Self {
            sync: Sync::new(Duration::from_secs(60)),
            rpc: Rpc::new(rpc::Config::default()),
            rules: rules(),
            now: Time::ZERO,
            peers: BTreeMap::new(),
            next: 0,
            held: Vec::new(),
            have: BTreeSet::new(),
            own: None,
            refuses: None,
            has_refused: false,
            wire: VecDeque::new(),
            out: VecDeque::new(),
            catching_up: Vec::new(),
            blamed: Vec::new(),
            asked: Vec::new(),
        }
    }

    fn meet(&mut self, agent: &str, chain: &[Made], habit: Habit) -> ConnectionId {
        self.next += 1;
        let connection = ConnectionId::nth(Direction::Outbound, u64::from(self.next));
        self.peers.insert(connection, Peer { chain: chain.to_vec(), habit });
        self.rpc.on_connected(connection);
        self.rpc.on_identified(connection, agent);
        self.tell(|sync, hands| sync.meet(connection, hands));
        connection
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let wake = self.rpc.next_wake().map_or(self.sync.next_wake(), |at| at.min(self.sync.next_wake()));
            if wake > end {
                break;
            }
            self.now = self.now.max(wake);
            let mut wire = Vec::new();
            self.rpc.wake(self.now, &mut wire);
            self.wire.extend(wire);
            self.settle();
            if self.sync.next_wake() <= self.now {
                self.tell(Sync::wake);
            }
        }
        self.now = end;
    }

    fn tell(&mut self, tell: impl FnOnce(&mut Sync, &mut Hands<'_>)) {
        self.tell_only(tell);
        self.settle();
    }

    fn tell_only(&mut self, tell: impl FnOnce(&mut Sync, &mut Hands<'_>)) {
        let (mut wire, mut out) = (Vec::new(), Vec::new());
        let now = Now { monotonic: self.now, unix_ms: UNIX_MS };
        let (rules, own, rpc) = (&self.rules, self.own, &mut self.rpc);
        tell(&mut self.sync, &mut Hands { now, rules, own, rpc, wire: &mut wire, out: &mut out });
        self.wire.extend(wire);
        self.out.extend(out);
    }

    // Does what is wanted, in the order in which it was.
    fn settle(&mut self) {
        loop {
            if let Some(output) = self.out.pop_front() {
                self.do_for_sync(output);
            } else if let Some(output) = self.wire.pop_front() {
                self.do_for_rpc(output);
            } else {
                return;
            }
        }
    }

    fn do_for_sync(&mut self, output: Output) {
        match output {
            Output::Candidate { connection, root, tip, path, .. } => {
                assert!(!root.is_empty() && !tip.is_empty());
                let wants = path.into_iter().filter(|hash| !self.have.contains(hash)).collect();
                self.tell_only(|sync, hands| sync.on_candidate(connection, wants, hands));
            }
            Output::Block { hash, block, header_end, .. } => {
                assert!((header_end as usize) < block.len());
                let verdict = if self.refuses == Some(hash) { Verdict::Reject } else { Verdict::Unverified };
                // Nothing follows what is refused.
                if verdict != Verdict::Reject && !self.has_refused {
                    self.held.push(hash);
                    self.have.insert(hash);
                }
                self.has_refused |= verdict == Verdict::Reject;
                self.tell_only(|sync, hands| sync.on_judged(&hash, verdict, None, hands));
            }
            Output::CatchingUp(is_so) => self.catching_up.push(is_so),
            Output::Blame { connection, blame } => self.blamed.push((connection, blame)),
        }
    }

    fn do_for_rpc(&mut self, output: rpc::Output) {
        let mut wire = Vec::new();
        match output {
            rpc::Output::Open { connection } => {
                self.next += 1;
                let channel = ChannelId(self.next);
                self.rpc.on_opened(self.now, connection, channel, Direction::Outbound, &mut wire);
                let frame = handshake();
                self.rpc.on_frame(self.now, connection, channel, Frame::from(&frame), &mut wire);
            }
            rpc::Output::Send { connection, channel, frame } => {
                if let Some(frame) = self.answer(connection, &frame) {
                    self.rpc.on_frame(self.now, connection, channel, Frame::from(&frame), &mut wire);
                }
            }
            rpc::Output::Answered { connection, ask, answer, .. } => {
                self.tell_only(|sync, hands| sync.on_answered(connection, ask, answer.as_ref(), hands));
            }
            rpc::Output::Failed { connection, ask, .. } => {
                self.tell_only(|sync, hands| sync.on_answered(connection, ask, None, hands));
            }
            rpc::Output::Fault { fault, .. } => panic!("{fault:?}"),
            _ => {}
        }
        self.wire.extend(wire);
    }

    // What a made-up peer says to a frame.
    fn answer(&mut self, connection: ConnectionId, frame: &[u8]) -> Option<Bytes> {
        let Ok(Message::Query(Query { tag, version, id, payload })) = Message::decode(frame) else { return None };
        let peer = self.peers.get(&connection)?;
        let method = Method::of(tag, version).expect("a method that there is");
        let mut cost = 1;
        let answer: Bytes = match (method, peer.habit) {
            (Method::Menu, _) => {
                write_menu([Method::BestTip, Method::TransitionChain].iter().map(|it| (it.tag(), it.version())))
            }
            (Method::BestTip, habit) => {
                let mut tip = best_tip(&peer.chain);
                if habit == Habit::Unproven {
                    tip.bodies.reverse();
                }
                [&[1], &tip.encode()[..]].concat().into()
            }
            (_, Habit::Silent) => return None,
            (_, Habit::Forgetful) => Bytes::from_static(&[0]),
            (_, habit) => {
                let hashes = read_hashes(payload, 20).expect("hashes");
                cost = hashes.len();
                let find = |hash: &Hash| {
                    let block = peer.chain.iter().find(|block| block.hash == *hash);
                    let lie = if habit == Habit::Lying { peer.chain.first() } else { block };
                    lie.map(|block| block.bytes.clone())
                };
                let blocks: Vec<Bytes> = hashes.iter().filter_map(find).collect();
                [&[1, blocks.len() as u8][..], &blocks.concat()].concat().into()
            }
        };
        self.asked.push((connection, method, cost));
        Some(Message::Reply(Reply { id, result: Ok(&answer) }).encode())
    }

    fn asked_for(&self, method: Method) -> usize {
        self.asked.iter().filter(|(_, asked, _)| *asked == method).count()
    }
}

fn hashes(chain: &[Made]) -> Vec<Hash> {
    chain[1..].iter().map(|block| block.hash).collect()
}

#[test]
fn missing_blocks_come_in_their_order_from_one_peer() {
    let chain = chain(1, 40);
    let mut stage = Stage::new();
    stage.meet("reference", &chain, Habit::Honest);
    stage.run(Duration::from_secs(200));
    assert_eq!(stage.held, hashes(&chain));
    assert_eq!(stage.catching_up, [true, false]);
    assert!(!stage.sync.is_catching_up());
    assert_eq!(stage.blamed, []);
    // The tip came with the proof; the others eight at a time.
    assert_eq!(stage.asked_for(Method::TransitionChain), 39_usize.div_ceil(8));
}

#[test]
fn a_rust_node_is_asked_for_one_block_at_a_time() {
    let chain = chain(1, 12);
    let mut stage = Stage::new();
    stage.meet("openmina", &chain, Habit::Honest);
    stage.run(Duration::from_secs(100));
    assert_eq!(stage.held, hashes(&chain));
    assert!(stage.asked.iter().all(|(_, _, cost)| *cost == 1));
}

#[test]
fn what_one_peer_does_not_bring_another_does() {
    let chain = chain(1, 30);
    for habit in [Habit::Forgetful, Habit::Lying, Habit::Silent] {
        let mut stage = Stage::new();
        let bad = stage.meet("reference", &chain, habit);
        stage.meet("reference", &chain, Habit::Honest);
        stage.run(Duration::from_secs(300));
        assert_eq!(stage.held, hashes(&chain));
        let blamed = stage.blamed.contains(&(bad, Blame::OtherBlocks));
        assert_eq!(blamed, habit == Habit::Lying);
    }
}

#[test]
fn a_tip_that_is_not_proven_is_blamed_and_followed_by_nobody() {
    let chain = chain(1, 5);
    let mut stage = Stage::new();
    let liar = stage.meet("reference", &chain, Habit::Unproven);
    stage.run(Duration::from_secs(30));
    assert_eq!((&stage.held[..], &stage.blamed[..]), (&[][..], &[(liar, Blame::UnprovenTip)][..]));
    assert_eq!(stage.catching_up, [false; 0]);
}

#[test]
fn a_chain_in_which_the_ledger_refuses_a_block_is_given_up() {
    let chain = chain(1, 20);
    let mut stage = Stage::new();
    stage.refuses = Some(chain[4].hash);
    let liar = stage.meet("reference", &chain, Habit::Honest);
    stage.run(Duration::from_secs(30));
    assert_eq!(stage.held, hashes(&chain[..4]));
    assert_eq!(stage.blamed, [(liar, Blame::RefusedChain)]);
    assert_eq!(stage.catching_up, [true, false]);
}

#[test]
fn peers_are_asked_a_few_at_a_time_and_again_when_a_minute_is_over() {
    let chain = chain(1, 0);
    let mut stage = Stage::new();
    stage.own = Some(chain[0].hash);
    for _ in 0..10 {
        stage.meet("reference", &chain, Habit::Honest);
    }
    stage.run(Duration::from_secs(59));
    assert_eq!(stage.asked_for(Method::BestTip), 10);
    stage.run(Duration::from_secs(60));
    assert_eq!(stage.asked_for(Method::BestTip), 20);
    assert_eq!(TIPS_MAX, 3);
}

#[test]
fn a_peer_that_goes_takes_nothing_with_it() {
    let chain = chain(1, 30);
    let mut stage = Stage::new();
    let goes = stage.meet("reference", &chain, Habit::Silent);
    stage.run(Duration::from_secs(1));
    stage.meet("reference", &chain, Habit::Honest);
    stage.peers.remove(&goes);
    let mut wire = Vec::new();
    stage.rpc.on_disconnected(goes, &mut wire);
    stage.wire.extend(wire);
    stage.settle();
    stage.tell(|sync, hands| sync.forget(goes, hands));
    stage.run(Duration::from_secs(200));
    assert_eq!(stage.held, hashes(&chain));
}

#[test]
fn a_block_below_one_of_gossip_is_fetched_and_given_up_when_nobody_has_it() {
    let chain = chain(1, 3);
    let mut stage = Stage::new();
    stage.own = Some(chain[3].hash);
    stage.meet("reference", &chain, Habit::Honest);
    stage.tell(|sync, hands| sync.want(&chain[2].hash, hands));
    assert_eq!(stage.held, [chain[2].hash]);
    assert!(stage.catching_up.is_empty(), "one block is no catching up");
    let unknown = Hash([9; 32]);
    stage.tell(|sync, hands| sync.want(&unknown, hands));
    stage.run(Duration::from_secs(300));
    stage.tell(|sync, hands| sync.want(&chain[1].hash, hands));
    assert_eq!(stage.held, [chain[2].hash, chain[1].hash], "the unknown one does not stand in the way for ever");
}
