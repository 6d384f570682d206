//! Chains are chosen as the network chooses them.

use super::fixtures::*;
use polypeer_mina::binprot::Fp;
use polypeer_mina::block::{ConsensusState, Constants, Densities, Slot};
use polypeer_mina::consensus::{Choice, Criterion, End, Fork, choose, fork, min_window_density_at};
use polypeer_mina::hash::{Hash, text};
use proptest::prelude::*;
use serde_json::Value;

// A state of a network before the current one: only what chains are chosen by can be read.
fn read(json: &Value) -> (ConsensusState, Constants) {
    let bytes = file(MAINNET_STATE);
    let (known, constants) = (&json["body"]["consensus_state"], &json["body"]["constants"]);
    let small = |value: &Value| number(value) as u32;
    let checkpoint = |epoch: &str| {
        Fp(text::read_state_hash(super::fixtures::text(&known[epoch]["lock_checkpoint"])).expect("a hash").0)
    };
    let densities: Vec<u32> = known["sub_window_densities"].as_array().expect("a list").iter().map(small).collect();
    let mut state = state(&bytes).body.consensus;
    state.blockchain_length = small(&known["blockchain_length"]);
    state.epoch_count = small(&known["epoch_count"]);
    state.min_window_density = small(&known["min_window_density"]);
    state.sub_window_densities = Densities(densities.try_into().expect("eleven"));
    state.last_vrf_output = base64(super::fixtures::text(&known["last_vrf_output"])).try_into().expect("32 bytes");
    state.slot = Slot(small(&known["curr_global_slot"]["slot_number"]));
    state.slots_per_epoch = small(&known["curr_global_slot"]["slots_per_epoch"]);
    state.staking_epoch.lock_checkpoint = checkpoint("staking_epoch_data");
    state.next_epoch.lock_checkpoint = checkpoint("next_epoch_data");
    let constants = Constants {
        k: small(&constants["k"]),
        slots_per_epoch: small(&constants["slots_per_epoch"]),
        slots_per_sub_window: small(&constants["slots_per_sub_window"]),
        // That network had none.
        grace_slots: 0,
        delta: small(&constants["delta"]),
        genesis_timestamp: number(&constants["genesis_state_timestamp"]),
    };
    (state, constants)
}

/// The names say the kind of the fork, the answer, what decides, two numbers and both hashes.
#[test]
fn the_five_forks_are_decided_as_their_names_say() {
    let files = folder("fork-choice");
    let mut count = 0;
    for (name, tip) in files.iter().filter(|(name, _)| name.ends_with("-tip.json")) {
        let candidate = file(&format!("fork-choice/{}", name.replace("-tip.json", "-cnd.json")));
        let words: Vec<&str> = name.split('-').collect();
        let [range, answer, by, _, _, tip_hash, candidate_hash, _] = words[..] else { panic!("{name}") };
        let (tip, constants) = read(&serde_json::from_slice(tip).expect("JSON"));
        let (candidate, _) = read(&serde_json::from_slice(&candidate).expect("JSON"));
        let hashes = [tip_hash, candidate_hash].map(|text| text::read_state_hash(text).expect("a hash"));
        let ends = [(&tip, &hashes[0]), (&candidate, &hashes[1])].map(|(state, hash)| End { state, hash });
        let fork = if range == "short" { Fork::ShortRange } else { Fork::LongRange };
        let by = match by {
            "density" => Criterion::Density,
            "length" => Criterion::Length,
            "vrf" => Criterion::Vrf,
            other => panic!("{other}"),
        };
        let chosen = choose(ends[0], ends[1], &constants);
        assert_eq!(chosen, Choice { is_candidate: answer == "take", fork, by }, "{name}");
        // The other way round the other one is chosen, for the same reason.
        let turned = choose(ends[1], ends[0], &constants);
        assert_eq!(turned, Choice { is_candidate: answer != "take", fork, by }, "{name}");
        count += 1;
    }
    assert_eq!(count, 5);
}

const CONSTANTS: Constants = Constants {
    k: 290,
    slots_per_epoch: 7_140,
    slots_per_sub_window: 7,
    grace_slots: 2_160,
    delta: 0,
    genesis_timestamp: 0,
};

// A state in which everything is alike but what is changed.
fn plain(change: impl FnOnce(&mut ConsensusState)) -> ConsensusState {
    let bytes = file(MAINNET_STATE);
    let mut state = state(&bytes).body.consensus;
    state.slots_per_epoch = CONSTANTS.slots_per_epoch;
    state.slot = Slot(20_000);
    state.min_window_density = 60;
    state.sub_window_densities = Densities([1, 2, 3, 4, 5, 6, 7, 1, 2, 3, 4]);
    change(&mut state);
    state
}

fn checkpoint(number: u8) -> Fp {
    Fp([number; 32])
}

/// Around the example of the consensus document (section 5.4.9): the window ends with sub-window 11, so with index 0,
/// and indices 1 and on are the oldest.
#[test]
fn windows_advance_as_in_the_consensus_document() {
    // Sub-window 11 modulo 11, far behind the grace period.
    let first = 11 * 7 * 40;
    let state = plain(|state| state.slot = Slot(first));
    let sum = |range: &[u32]| range.iter().sum::<u32>();
    let densities = state.sub_window_densities.0;
    for (ahead, expected) in [
        (0, 60),
        // The next sub-window: all eleven are previous ones.
        (1, sum(&densities)),
        (2, sum(&densities) - sum(&densities[1..2])),
        // Four ahead: three without blocks.
        (4, sum(&densities) - sum(&densities[1..4])),
        (10, densities[0] + densities[10]),
        (11, densities[0]),
        (12, 0),
        (500, 0),
    ] {
        assert_eq!(min_window_density_at(&state, first + 7 * ahead, &CONSTANTS), expected, "{ahead} ahead");
    }
    // The last slot of the same sub-window.
    assert_eq!(min_window_density_at(&state, first + 6, &CONSTANTS), 60);
}

#[test]
fn the_least_density_only_falls() {
    let state = plain(|state| (state.slot, state.min_window_density) = (Slot(11 * 7 * 40), 3));
    assert_eq!(min_window_density_at(&state, 11 * 7 * 40 + 7, &CONSTANTS), 3);
}

#[test]
fn densities_are_not_judged_in_the_grace_period() {
    let end = CONSTANTS.grace_slots + 77;
    let state = plain(|state| state.slot = Slot(100));
    assert_eq!(min_window_density_at(&state, end - 1, &CONSTANTS), 60);
    assert_eq!(min_window_density_at(&state, end, &CONSTANTS), 0);
}

#[test]
fn chains_of_one_epoch_part_behind_the_checkpoint_that_both_have() {
    let one = plain(|_| {});
    let other = plain(|state| state.staking_epoch.lock_checkpoint = checkpoint(9));
    assert_eq!(fork(&one, &one, &CONSTANTS), Fork::ShortRange);
    assert_eq!(fork(&one, &other, &CONSTANTS), Fork::LongRange);
}

/// One epoch apart: from the slot on behind which the seed is settled.
#[test]
fn chains_of_neighbouring_epochs_part_behind_what_the_older_one_settled_on() {
    let settled = 2 * CONSTANTS.slots_per_epoch + 4_760 - 1;
    let older = |slot: u32| {
        plain(|state| {
            state.slot = Slot(slot);
            state.next_epoch.lock_checkpoint = checkpoint(5);
        })
    };
    let newer = |slot: u32| {
        plain(|state| {
            state.slot = Slot(slot);
            state.staking_epoch.lock_checkpoint = checkpoint(5);
        })
    };
    let later = newer(3 * CONSTANTS.slots_per_epoch);
    for (slot, expected) in [(settled, Fork::ShortRange), (settled - 1, Fork::LongRange)] {
        assert_eq!(fork(&older(slot), &later, &CONSTANTS), expected);
        assert_eq!(fork(&later, &older(slot), &CONSTANTS), expected, "either way");
    }
    let two_later = newer(4 * CONSTANTS.slots_per_epoch);
    assert_eq!(fork(&older(settled), &two_later, &CONSTANTS), Fork::LongRange);
}

/// A chain that was silent is denser by its own account, but not when the window reaches the present.
#[test]
fn a_chain_that_stopped_does_not_win_by_its_past() {
    let stopped = plain(|state| state.staking_epoch.lock_checkpoint = checkpoint(1));
    let alive = plain(|state| {
        state.slot = Slot(20_700);
        state.min_window_density = 30;
        state.staking_epoch.lock_checkpoint = checkpoint(2);
    });
    let hash = Hash::ZERO;
    let choice = choose(End { state: &stopped, hash: &hash }, End { state: &alive, hash: &hash }, &CONSTANTS);
    assert_eq!(choice, Choice { is_candidate: true, fork: Fork::LongRange, by: Criterion::Density });
}

/// Little endian: the last byte weighs most.
#[test]
fn the_last_tie_is_decided_by_the_hash_as_a_number() {
    let state = plain(|_| {});
    let (mut low, mut high) = (Hash([0xff; 32]), Hash([0; 32]));
    (low.0[31], high.0[31]) = (1, 2);
    let choice = choose(End { state: &state, hash: &low }, End { state: &state, hash: &high }, &CONSTANTS);
    assert_eq!(choice, Choice { is_candidate: true, fork: Fork::ShortRange, by: Criterion::StateHash });
    let same = choose(End { state: &state, hash: &low }, End { state: &state, hash: &low }, &CONSTANTS);
    assert!(!same.is_candidate, "none is better than itself");
}

prop_compose! {
    fn any_state()(
        slot in 0_u32..30_000, length in 0_u32..3, density in 0_u32..78, densities: [u8; 11], vrf in 0_u8..3,
        staking in 0_u8..3, next in 0_u8..3,
    ) -> ConsensusState {
        plain(|state| {
            state.slot = Slot(slot);
            state.blockchain_length = length;
            state.min_window_density = density;
            state.sub_window_densities = Densities(densities.map(|density| u32::from(density % 8)));
            state.last_vrf_output = [vrf; 32];
            state.staking_epoch.lock_checkpoint = checkpoint(staking);
            state.next_epoch.lock_checkpoint = checkpoint(next);
        })
    }
}

proptest! {
    /// Of two different ends exactly one is better, whichever is ours.
    #[test]
    fn the_choice_does_not_depend_on_which_came_first(one in any_state(), other in any_state(), hashes in (0_u8..3, 0_u8..3)) {
        let (a, b) = (Hash([hashes.0; 32]), Hash([hashes.1; 32]));
        let (one, other) = (End { state: &one, hash: &a }, End { state: &other, hash: &b });
        let (forth, back) = (choose(one, other, &CONSTANTS), choose(other, one, &CONSTANTS));
        prop_assert_eq!((forth.fork, forth.by), (back.fork, back.by));
        prop_assert!(!(forth.is_candidate && back.is_candidate));
        if a != b {
            prop_assert!(forth.is_candidate || back.is_candidate);
        }
    }
}
