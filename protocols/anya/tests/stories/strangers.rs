//! What one peer sends never changes what is asked of another.

use crate::chaos::Chance;
use crate::ledger;
use crate::story::{Story, address, info, p2p};
use bytes::Bytes;
use polypeer_anya::wire::{self, Kind, code};
use polypeer_engine::{ConnectionId, P2pConfig};
use proptest::prelude::*;
use std::collections::VecDeque;
use std::time::Duration;

const HONEST: &str = "10.0.0.8:5000";

/// The blocks that the node asked of a peer since this was looked at last.
fn asked(story: &mut Story, peer: ConnectionId) -> VecDeque<Bytes> {
    let frames = story.lines.get_mut(&peer).expect("it connected").sent.drain(..);
    frames.filter(|frame| Kind::of(&wire::name_in(frame)) == Some(Kind::GetBlock)).collect()
}

/// Something about the very blocks that the honest peer is asked for.
fn about(chance: &mut Chance, blocks: &[Bytes]) -> Vec<u8> {
    let block = blocks[chance.random.below(blocks.len())].clone();
    match chance.random.below(6) {
        // The right hash, and a body that does not fit: the case of CVE-2024-52921.
        0 | 1 => wire::frame(Kind::Block, &[&block[..], &[0xee]].concat()).to_vec(),
        2 => wire::error(&Kind::GetBlock.name(), &code::INVALID_PAYLOAD).to_vec(),
        3 => wire::frame(Kind::Block, &block[..block.len() - 1]).to_vec(),
        4 => info(&blocks[..chance.random.below(blocks.len())]).to_vec(),
        _ => wire::get_block(ledger::hash(&block)).to_vec(),
    }
}

/// The other one does its worst: whatever comes to mind, again from another address when it was thrown out.
fn rave(story: &mut Story, chance: &mut Chance, blocks: &[Bytes], messages: usize) {
    let mut raver = None;
    for n in 0..messages {
        let peer = match raver.filter(|peer| story.is_open(*peer)) {
            Some(peer) => peer,
            None => {
                let peer = story.accept(&format!("10.9.{}.{}:5000", n / 250, 1 + n % 250));
                story.says(peer, Kind::Connect, &wire::address(address("10.9.9.9:1")));
                peer
            }
        };
        raver = Some(peer);
        let message = if chance.random.below(3) == 0 { chance.message() } else { about(chance, blocks) };
        story.bytes(peer, &message);
        story.skip(peer);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn what_one_sends_never_changes_what_is_asked_of_another(seed in any::<u8>(), messages in 1..80usize, length in 1..40u64) {
        let mut story = Story::new(crate::story::config(), P2pConfig { outbound_target: 0, ..p2p() }, ledger::Ledger::new());
        let mut chance = Chance::new(seed);
        // A chain that nobody else has.
        let blocks = ledger::chain(length, 7_777);
        let honest = story.ready(HONEST, &blocks);
        let mut open = asked(&mut story, honest);
        prop_assert!(!open.is_empty(), "it is asked for what it claims");
        rave(&mut story, &mut chance, &blocks, messages);
        // Nothing was taken back, put twice or given to the other: what it answers now is what was asked.
        let again = asked(&mut story, honest);
        prop_assert!(again.iter().all(|frame| !open.contains(frame)), "nothing is asked of it a second time");
        open.extend(again);
        while let Some(question) = open.pop_front() {
            let hash = wire::decode_hash(wire::payload(&question)).expect("ours");
            if let Some(block) = blocks.iter().find(|block| ledger::hash(block) == hash) {
                story.says(honest, Kind::Block, &block.clone());
            } else {
                story.bytes(honest, &wire::error(&Kind::GetBlock.name(), &code::INVALID_PAYLOAD));
            }
            prop_assert!(story.is_open(honest), "an answer to a question is no fault");
            rave(&mut story, &mut chance, &blocks, 2);
            open.extend(asked(&mut story, honest));
        }
        story.wait(Duration::from_secs(1));
        let held = story.ledger.blocks.contains_key(&ledger::hash(&blocks[blocks.len() - 1]));
        prop_assert!(held, "all that it was asked for is here");
        let peer = &story.engine.state().peers[&honest];
        prop_assert!(peer.slips.is_empty());
        prop_assert!(story.engine.state().bans.get(story.both_clocks(), address(HONEST).ip()).is_none());
        prop_assert_eq!(story.engine.state().check(), Ok(()));
    }
}
