//! Lets chance write the stories: any message at any time, slow ledgers, lost connections. The script's own checks
//! (nothing is sent after the end, nothing is closed twice) and the ones here must hold, twice the same.

use crate::ledger::{self, Ledger};
use crate::network::{Network, network};
use crate::story::{Story, address, info, story};
use bytes::Bytes;
use polypeer_anya::wire::{self, Kind, name};
use polypeer_engine::kit::chain::{Hash, Tip};
use polypeer_engine::{ConnectionId, P2pAction, Random};
use std::time::Duration;

const SEEDS: u8 = 20;

pub(crate) struct Chance {
    pub(crate) random: Random,
    // Two branches and blocks that are wrong.
    blocks: Vec<Bytes>,
    bad: Vec<Bytes>,
}

impl Chance {
    pub(crate) fn new(seed: u8) -> Self {
        let (trunk, other) = (ledger::chain(150, 1), ledger::chain(120, 2));
        let flags = [ledger::WORTHLESS, ledger::WRONG, ledger::EARLY];
        let bad =
            flags.into_iter().flat_map(|flag| [10, 100].map(|at| ledger::block(&trunk[at], 7, flag, b""))).collect();
        Self { random: Random::new([seed; 32]), blocks: [trunk, other].concat(), bad }
    }

    fn one_of<'a, T>(random: &mut Random, all: &'a [T]) -> &'a T {
        &all[random.below(all.len())]
    }

    fn hash(&mut self) -> Hash {
        match self.random.below(5) {
            0 => Hash([9; 32]),
            _ => ledger::hash(Self::one_of(&mut self.random, &self.blocks)),
        }
    }

    fn info(&mut self) -> Bytes {
        let (from, count) = if self.random.below(2) == 0 { (0, 150) } else { (150, 120) };
        let honest = info(&self.blocks[from..from + self.random.below(count + 1)]);
        if self.random.below(3) > 0 {
            return honest;
        }
        let mut waypoints = vec![(0, ledger::hash(&ledger::genesis()))];
        for _ in 0..self.random.below(6) {
            let height = waypoints.last().map_or(0, |(height, _)| *height) + 1 + self.random.below(90) as u64;
            waypoints.push((height, self.hash()));
        }
        let (height, hash) = *waypoints.last().expect("genesis");
        let work = u128::from(self.random.number());
        let tip = Tip { hash, height, work, genesis: waypoints[0].1 };
        wire::info(&crate::story::config().network_id, &tip, &waypoints)
    }

    pub(crate) fn message(&mut self) -> Vec<u8> {
        let frame = match self.random.below(24) {
            0..5 => wire::frame(Kind::Block, &Self::one_of(&mut self.random, &self.blocks).clone()),
            5 => wire::frame(Kind::Block, &Self::one_of(&mut self.random, &self.bad).clone()),
            6 => {
                let spoiled = [&Self::one_of(&mut self.random, &self.blocks)[..], &[1]].concat();
                wire::frame(Kind::Block, &spoiled)
            }
            7..10 => self.info(),
            10..13 => wire::frame(Kind::Tx, &[*Self::one_of(&mut self.random, b"vvvnx"), self.random.below(9) as u8]),
            13 => wire::get_block(self.hash()),
            14 => wire::error(&Kind::GetBlock.name(), &wire::code::INVALID_PAYLOAD),
            15 => wire::mempool(&[Bytes::from_static(b"v1"), Bytes::from_static(b"n2"), Bytes::from_static(b"v3")]),
            16 => wire::peers(&[address("10.0.3.3:1")]),
            17 => wire::frame(Kind::Connect, &wire::address(address("10.0.0.9:1"))),
            18 if self.random.below(8) == 0 => wire::empty(Kind::Disconnect),
            19 if self.random.below(20) == 0 => return vec![0xff; 50],
            20 => return [name("weather").as_slice(), &[0, 0, 0, 2, 7, 7]].concat(),
            _ => wire::empty(*Self::one_of(
                &mut self.random,
                &[Kind::Ping, Kind::GetPeers, Kind::GetMempool, Kind::GetBlockchainInfo],
            )),
        };
        frame.to_vec()
    }
}

/// A peer answers what it was asked, in its manner.
fn reply(story: &mut Story, chance: &mut Chance, peer: ConnectionId) {
    let Some(line) = story.lines.get_mut(&peer) else { return };
    let frames: Vec<_> = line.sent.drain(..).collect();
    for frame in frames {
        let answer = match Kind::of(&wire::name_in(&frame)) {
            Some(Kind::GetBlock) if chance.random.below(4) > 0 => {
                let hash = wire::decode_hash(wire::payload(&frame)).expect("ours");
                let block = chance.blocks.iter().chain(&chance.bad).find(|block| ledger::hash(block) == hash);
                block.map_or_else(
                    || wire::error(&Kind::GetBlock.name(), &wire::code::INVALID_PAYLOAD),
                    |block| wire::frame(Kind::Block, block),
                )
            }
            Some(Kind::GetBlockchainInfo) => chance.info(),
            Some(Kind::Disconnect) => wire::empty(Kind::DisconnectAck),
            _ => continue,
        };
        story.bytes(peer, &answer);
    }
}

fn act(story: &mut Story, chance: &mut Chance, peers: &mut Vec<ConnectionId>) {
    let peer = (!peers.is_empty()).then(|| *Chance::one_of(&mut chance.random, peers));
    match (chance.random.below(20), peer) {
        (0, _) | (_, None) => {
            let remote = format!("10.0.{}.{}:5000", chance.random.below(4), 1 + chance.random.below(250));
            let peer = story.accept(&remote);
            peers.push(peer);
            story.says(peer, Kind::Connect, &wire::address(address("10.0.9.9:1")));
        }
        (1, Some(peer)) => {
            peers.retain(|other| *other != peer);
            story.gone(peer);
        }
        (2, _) => story.wait(Duration::from_millis(chance.random.below(4_000) as u64)),
        (3, _) => story.is_prompt = !story.is_prompt,
        (4, _) => story.answer(),
        (5, _) => {
            let tip = story.ledger.mine(chance.random.number());
            story.ledger_says(tip);
        }
        (6, Some(peer)) if chance.random.below(5) == 0 => story.act(P2pAction::Disconnect { connection: peer }),
        (6..12, Some(peer)) => reply(story, chance, peer),
        (_, Some(peer)) => {
            let message = chance.message();
            story.bytes(peer, &message);
        }
    }
    peers.retain(|peer| story.is_open(*peer));
}

#[test]
fn anything_at_any_time_harms_nothing() {
    for seed in 0..SEEDS {
        story(|story| {
            let mut chance = Chance::new(seed);
            let mut peers = Vec::new();
            for _ in 0..600 {
                act(story, &mut chance, &mut peers);
            }
            // Then one honest peer, and time.
            story.is_prompt = true;
            story.answer();
            for peer in peers {
                story.gone(peer);
            }
            let far = ledger::chain_on(&story.ledger.blocks[&story.ledger.tip.hash].clone(), 200, 99, b"");
            let honest = story.greeted("10.0.7.7:1");
            let whole = story.ledger.main_blocks();
            story.bytes(honest, &info(&[&whole[1..], &far[..]].concat()));
            for _ in 0..200 {
                let frames: Vec<_> = story.lines.get_mut(&honest).expect("it connected").sent.drain(..).collect();
                for frame in frames {
                    if Kind::of(&wire::name_in(&frame)) == Some(Kind::GetBlock) {
                        let hash = wire::decode_hash(wire::payload(&frame)).expect("ours");
                        let block = far
                            .iter()
                            .chain(&whole)
                            .find(|block| ledger::hash(block) == hash)
                            .expect("one that it claimed");
                        story.says(honest, Kind::Block, &block.clone());
                    }
                }
            }
            assert_eq!(story.ledger.tip.hash, ledger::hash(&far[199]), "seed {seed}");
            assert!(!story.engine.protocol().is_catching_up());
        });
    }
}

#[test]
fn nodes_that_mine_meet_and_part_at_random_agree_in_the_end() {
    for seed in 0..SEEDS {
        let ledgers = || (0..5).map(|at| Ledger::with(&ledger::chain(20 * at, 1 + at % 2))).collect();
        network(ledgers, |network| {
            let mut random = Random::new([seed; 32]);
            for _ in 0..80 {
                let (one, other) = (random.below(5), random.below(5));
                match random.below(4) {
                    0 if one != other => network.join(one, other),
                    1 => mine(network, one, random.number()),
                    2 => part(network, one, &mut random),
                    _ => network.wait(Duration::from_millis(300)),
                }
            }
            for one in 1..5 {
                network.join(one, 0);
            }
            network.wait(Duration::from_secs(30));
            mine(network, 2, 77);
            network.wait(Duration::from_secs(30));
            let tips: Vec<_> = network.nodes.iter().map(|node| node.ledger.tip).collect();
            assert!(
                tips.iter().all(|tip| *tip == tips[0]),
                "seed {seed}: {:?}",
                tips.iter().map(|tip| tip.height).collect::<Vec<_>>()
            );
        });
    }
}

fn mine(network: &mut Network, node: usize, nonce: u64) {
    let tip = network.nodes[node].ledger.mine(nonce);
    network.nodes[node].ledger_says(tip);
    network.run();
}

fn part(network: &mut Network, node: usize, random: &mut Random) {
    let open: Vec<_> = network.nodes[node].engine.state().peers.keys().copied().collect();
    if !open.is_empty() {
        let connection = *Chance::one_of(random, &open);
        network.nodes[node].act(P2pAction::Disconnect { connection });
        network.run();
    }
}
