//! Blocks whose states have the consensus parts of the fork fixtures: the ledger takes or keeps as their names say.
//!
//! The pairs come from a network before the last hard fork, so their hashes cannot be computed again, and they follow on
//! nothing here. So each side is the first block of a chain of its own: the ledger has one and is offered the other.

use crate::made::{Made, rules};
use crate::world::World;
use bytes::Bytes;
use polypeer_ledger_mina::{Config, Rules};
use polypeer_mina::binprot::{Binable as _, Fp, Seq};
use polypeer_mina::block::{
    Block, ConsensusState, DeltaProof, Densities, EpochData, Header, ProtocolState, Slot, StateBody,
};
use polypeer_mina::config::Constants;
use polypeer_mina::hash::text::Kind;
use polypeer_mina::ledger::{Answer, Hash, Request};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A fixture's consensus state, as far as it has the fields of today.
fn consensus(json: &Value, like: &ConsensusState) -> ConsensusState {
    let state = &json["body"]["consensus_state"];
    let number = |value: &Value| value.as_str().unwrap().parse::<u64>().unwrap();
    let small = |value: &Value| u32::try_from(number(value)).unwrap();
    let hash = |value: &Value| Fp(Kind::State.read(value.as_str().unwrap()).unwrap());
    let epoch = |json: &Value, like: &EpochData| EpochData {
        lock_checkpoint: hash(&json["lock_checkpoint"]),
        start_checkpoint: hash(&json["start_checkpoint"]),
        epoch_length: small(&json["epoch_length"]),
        ..*like
    };
    let densities: Vec<u32> = state["sub_window_densities"].as_array().unwrap().iter().map(small).collect();
    ConsensusState {
        blockchain_length: small(&state["blockchain_length"]),
        epoch_count: small(&state["epoch_count"]),
        min_window_density: small(&state["min_window_density"]),
        sub_window_densities: Densities(densities.try_into().unwrap()),
        last_vrf_output: drawn(state["last_vrf_output"].as_str().unwrap()),
        slot: Slot(small(&state["curr_global_slot"]["slot_number"])),
        slots_per_epoch: small(&state["curr_global_slot"]["slots_per_epoch"]),
        global_slot_since_genesis: Slot(small(&state["global_slot_since_genesis"])),
        staking_epoch: epoch(&state["staking_epoch_data"], &like.staking_epoch),
        next_epoch: epoch(&state["next_epoch_data"], &like.next_epoch),
        ..*like
    }
}

// Base64 of 32 bytes, with the letters of addresses.
fn drawn(text: &str) -> [u8; 32] {
    let value = |letter: u8| match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'-' | b'+' => 62,
        b'_' | b'/' => 63,
        other => panic!("{other}"),
    };
    let mut bits = 0_u32;
    let mut count = 0;
    let mut bytes = Vec::new();
    for letter in text.bytes().filter(|letter| *letter != b'=') {
        bits = bits << 6 | u32::from(value(letter));
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    bytes.try_into().unwrap()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../protocols/mina/tests/fixtures/fork-choice")
}

/// A block with this consensus state and nothing below it that is known.
fn block(like: &Made, consensus: ConsensusState) -> Bytes {
    let block = Block::decode(&like.bytes).unwrap();
    let before = block.header.state;
    let state = ProtocolState { body: StateBody { consensus, ..before.body }, ..before };
    let delta_proof = DeltaProof { from: state.previous, bodies: Seq::EMPTY };
    Block { header: Header { state, delta_proof, ..block.header }, ..block }.encode()
}

/// Offers a peer's best chain that is one block, and says whether it is served now.
fn offer(world: &mut World, block: &Bytes) -> bool {
    let request = Request::Candidate { root: block.clone(), tip: block.clone(), path: Vec::new() };
    let Answer::Candidate { wants } = world.ask(request) else { panic!("a candidate is answered") };
    assert_eq!(wants, Vec::<Hash>::new());
    world.tip().hash == Made::read(block).hash
}

#[test]
fn the_fixtures_pairs_are_decided_as_their_names_say() {
    let public = Constants { slots_per_epoch: 30, grace_slots: 0, ..Constants::DEVNET };
    let like = World::open(Config::in_memory(rules())).first();
    let mut pairs = 0;
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let Some(stem) = name.strip_suffix("-tip.json") else { continue };
        let read = |path: &Path| serde_json::from_str::<Value>(&std::fs::read_to_string(path).unwrap()).unwrap();
        let (ours, theirs) = (read(&path), read(&folder().join(format!("{stem}-cnd.json"))));
        let sides = [&ours, &theirs].map(|json| block(&like, consensus(json, &like.consensus)));
        let mut world = World::open(Config::in_memory(Rules::public(Hash([1; 32]), public)));
        assert_eq!(world.tip().length, 0, "a public network begins with nothing");
        assert!(offer(&mut world, &sides[0]), "{stem}: whatever comes first is taken");
        let takes = stem.contains("-take-");
        assert_eq!(offer(&mut world, &sides[1]), takes, "{stem}");
        pairs += 1;
    }
    assert_eq!(pairs, 5);
}
