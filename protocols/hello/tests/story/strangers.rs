//! What one peer sends never changes what is asked of another.

use crate::stage::*;
use crate::toy::{Kind, Toy, block, chain, genesis, hash_of, id_of, transaction};
use bytes::Bytes;
use polypeer_engine::{ConnectionId, P2pConfig, Random};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::VecDeque;

const HONEST: &str = "10.0.0.8:40000";

/// What the node asked of a peer since this was looked at last.
fn asked(stage: &mut Stage, peer: ConnectionId) -> VecDeque<Value> {
    stage.hears(peer).into_iter().filter(|message| message.get("GETBLOCK").is_some()).collect()
}

/// Something about what the honest peer is asked for, or about nothing.
fn message(random: &mut Random, blocks: &[Bytes]) -> Value {
    let block_of = |random: &mut Random| blocks[random.below(blocks.len())].clone();
    let one = block_of(random);
    let number = u64::from(one[40]);
    match random.below(12) {
        // The right hash, and a body that does not fit: the case of CVE-2024-52921.
        0 | 1 => json!({"BLOCK": {"number": number, "data": hex([&one[..], b"\xff"].concat())}}),
        2 => json!({"BLOCK": {"number": number + 1, "data": hex(&one)}}),
        3 => json!({"NOTFOUND": {"hash": hex(hash_of(&one))}}),
        4 => json!({"NOTFOUND": {"number": number}}),
        5 => json!({"BROADCASTBLOCK": {"number": number, "hash": hex(hash_of(&one))}}),
        6 => json!({"BROADCASTBLOCK": {"number": random.below(60)}}),
        7 => json!({"PUSHTRANSACTION": [hex(transaction(random.below(3) as u8, random.below(9) as u64))]}),
        8 => json!({"BROADCASTTRANSACTION": {"id": hex(id_of(&transaction(0, random.below(9) as u64)))}}),
        9 => {
            let end = random.below(blocks.len());
            let hashes: Vec<_> = blocks[..end].iter().rev().map(|block| hex(hash_of(block))).collect();
            json!({"LISTOFBLOCKS": {"from": 0, "latest": end, "parent": hex(hash_of(&genesis())), "hashes": hashes}})
        }
        10 => {
            let odd = block(hash_of(&genesis()), 1, Kind::BadState, random.number(), b"");
            json!({"BLOCK": {"number": 1, "data": hex(odd)}})
        }
        _ => json!({"REJECT": {"method": "GETBLOCK", "reason": "no"}}),
    }
}

/// The other one does its worst, again from another address when it was thrown out.
fn rave(stage: &mut Stage, random: &mut Random, blocks: &[Bytes], messages: usize) {
    let mut raver = None;
    for n in 0..messages {
        let peer = match raver.filter(|peer| stage.is_open(*peer)) {
            Some(peer) => peer,
            None => {
                let peer = stage.accept(&format!("10.9.{}.{}:5000", random.below(250), 1 + n % 250));
                stage.says(peer, hello(1));
                stage.says(peer, hey(1));
                peer
            }
        };
        raver = Some(peer);
        let message = message(random, blocks);
        stage.says(peer, message);
        stage.hears(peer);
    }
}

fn answer(stage: &mut Stage, honest: ConnectionId, blocks: &[Bytes], question: &Value) {
    let question = &question["GETBLOCK"];
    let is_meant =
        |block: &&Bytes| question["hash"] == hex(hash_of(block)) || question["number"] == u64::from(block[40]);
    match blocks.iter().find(is_meant) {
        Some(block) => stage.delivers(honest, block),
        None => stage.says(honest, json!({"NOTFOUND": question})),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn what_one_sends_never_changes_what_is_asked_of_another(seed in any::<u8>(), messages in 1..80usize, length in 1..40usize) {
        let p2p = P2pConfig { outbound_target: 0, ..p2p() };
        let mut stage = Stage::new(config(), p2p, Toy::new(), 1);
        let mut random = Random::new([seed; 32]);
        let blocks = chain(hash_of(&genesis()), 0, length, 7_777);
        let honest = stage.accept(HONEST);
        stage.says(honest, hello(length as u64 + 1));
        stage.says(honest, hey(length as u64 + 1));
        stage.hears(honest);
        let hashes: Vec<_> = blocks.iter().map(|block| hash_of(block)).collect();
        stage.lists(honest, 0, length as u64, hash_of(&genesis()), &hashes);
        let mut open = asked(&mut stage, honest);
        prop_assert!(!open.is_empty(), "it is asked for what it listed");
        rave(&mut stage, &mut random, &blocks, messages);
        // Nothing was taken back, put twice or given to the other: what it answers now is what was asked.
        let again = asked(&mut stage, honest);
        prop_assert!(again.iter().all(|question| !open.contains(question)), "nothing is asked of it a second time");
        open.extend(again);
        while let Some(question) = open.pop_front() {
            answer(&mut stage, honest, &blocks, &question);
            prop_assert!(stage.is_open(honest), "an answer to a question is no fault");
            rave(&mut stage, &mut random, &blocks, 2);
            open.extend(asked(&mut stage, honest));
        }
        stage.wait(seconds(1));
        prop_assert!(stage.ledger.has(&hashes[length - 1]), "all that it was asked for is here");
        prop_assert!(stage.engine.state().peers[&honest].slips.is_empty());
        prop_assert!(stage.engine.state().bans.get(stage.now, address(HONEST).ip()).is_none());
        prop_assert_eq!(stage.engine.state().check(), Ok(()));
    }
}
