//! The ledger against a model of chain selection that shares nothing with it: random trees of blocks, in any order in
//! which parents come first, or nearly.

use crate::made::{CONSTANTS, Draft, Made};
use crate::world::World;
use polypeer_engine::Random;
use polypeer_mina::ledger::{Hash, Verdict};
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// Trees that are tried.
const SEEDS: u8 = 8;
/// Blocks of each.
const BLOCKS: usize = 100;

/// What a ledger should think, kept as simply as can be: all blocks for ever, chains walked anew each time.
struct Model {
    blocks: BTreeMap<Hash, Made>,
    tip: Hash,
    /// The length below which nothing changes any more.
    settled: u32,
}

impl Model {
    fn new(first: &Made) -> Self {
        Self { blocks: BTreeMap::from([(first.hash, first.clone())]), tip: first.hash, settled: first.length() }
    }

    /// Whether the block is taken.
    fn take(&mut self, block: &Made) -> bool {
        let Some(parent) = self.blocks.get(&block.parent) else { return false };
        let is_on_final_chain = self.is_above_root(parent);
        if !is_on_final_chain || self.blocks.contains_key(&block.hash) {
            return false;
        }
        self.blocks.insert(block.hash, block.clone());
        if is_better(block, &self.blocks[&self.tip]) {
            self.tip = block.hash;
            self.settled = self.settled.max(block.length().saturating_sub(CONSTANTS.k));
        }
        true
    }

    // It descends from the newest final block, or is that one.
    fn is_above_root(&self, block: &Made) -> bool {
        let root = self.ancestor(self.tip, self.settled.max(1));
        block.length() >= self.settled && self.ancestor(block.hash, self.settled.max(1)) == root
    }

    fn ancestor(&self, from: Hash, length: u32) -> Hash {
        let mut at = from;
        while self.blocks[&at].length() > length {
            at = self.blocks[&at].parent;
        }
        at
    }
}

/// The rule of the consensus document, written down from its text.
pub(crate) fn is_better(candidate: &Made, existing: &Made) -> bool {
    let (one, other) = (&existing.consensus, &candidate.consensus);
    let epoch = |made: &Made| made.slot() / CONSTANTS.slots_per_epoch;
    let is_settled = |made: &Made| (made.slot() % CONSTANTS.slots_per_epoch) + 1 >= CONSTANTS.slots_per_epoch / 3 * 2;
    let is_short = match epoch(candidate).cmp(&epoch(existing)) {
        Ordering::Equal => one.staking_epoch.lock_checkpoint == other.staking_epoch.lock_checkpoint,
        Ordering::Greater => {
            epoch(candidate) - epoch(existing) == 1
                && is_settled(existing)
                && one.next_epoch.lock_checkpoint == other.staking_epoch.lock_checkpoint
        }
        Ordering::Less => {
            epoch(existing) - epoch(candidate) == 1
                && is_settled(candidate)
                && other.next_epoch.lock_checkpoint == one.staking_epoch.lock_checkpoint
        }
    };
    if !is_short {
        let slot = candidate.slot().max(existing.slot());
        match density_at(candidate, slot).cmp(&density_at(existing, slot)) {
            Ordering::Equal => {}
            decided => return decided.is_gt(),
        }
    }
    let digest = |made: &Made| blake2b(&made.consensus.last_vrf_output);
    let reversed = |made: &Made| made.hash.0.iter().rev().copied().collect::<Vec<u8>>();
    let key = |made: &Made| (made.length(), digest(made), reversed(made));
    key(candidate) > key(existing)
}

fn blake2b(bytes: &[u8]) -> Vec<u8> {
    blake2b_simd::Params::new().hash_length(32).hash(bytes).as_bytes().to_vec()
}

/// The least dense window, if the chain's next block came at this slot: counted from the chain's slots.
fn density_at(made: &Made, slot: u32) -> u32 {
    let sub_window = |slot: u32| i64::from(slot / CONSTANTS.slots_per_sub_window);
    let (last, this) = (sub_window(made.slot()), sub_window(slot));
    let grace_end = CONSTANTS.grace_slots + 11 * CONSTANTS.slots_per_sub_window;
    if last == this || slot < grace_end {
        return made.consensus.min_window_density;
    }
    let count = |at: i64| match at {
        ..0 => CONSTANTS.slots_per_sub_window as usize,
        _ => made.chain.iter().filter(|slot| sub_window(**slot) == at).count(),
    };
    let density = (this - 11..this).map(count).sum::<usize>() as u32;
    density.min(made.consensus.min_window_density)
}

/// A random tree: most blocks on one of the newest, at slots with gaps.
fn tree(first: &Made, random: &mut Random) -> Vec<Made> {
    let mut blocks = vec![first.clone()];
    for _ in 0..BLOCKS {
        let back = if random.below(4) == 0 { random.below(12) } else { random.below(3) };
        let parent = blocks[blocks.len() - 1 - back.min(blocks.len() - 1)].clone();
        let gap = if random.below(10) == 0 { random.below(40) } else { random.below(3) };
        let slot = parent.slot() + 1 + gap as u32;
        let block = parent.next(&Draft { slot, drawn: random.below(4) as u8, ..Draft::default() });
        if blocks.iter().all(|other| other.hash != block.hash) {
            blocks.push(block);
        }
    }
    blocks.remove(0);
    blocks
}

#[test]
fn random_trees_have_the_ends_that_the_model_says() {
    let (mut long, mut refused) = (0, 0);
    for seed in 0..SEEDS {
        let mut random = Random::new([seed; 32]);
        let mut world = World::new();
        let first = world.first();
        let mut model = Model::new(&first);
        for (place, block) in tree(&first, &mut random).iter().enumerate() {
            let before = model.tip;
            let parent_is_kept = model.blocks.get(&block.parent).is_some_and(|parent| model.is_above_root(parent));
            let is_taken = model.take(block);
            let (verdict, wants) = world.judge(block);
            let expected = if is_taken { Verdict::Unverified } else { Verdict::Ignore };
            // A block whose parent was refused, or is kept no longer, waits for it or is too old.
            if parent_is_kept {
                assert_eq!((verdict, wants), (expected, None), "seed {seed}, block {place}");
            } else {
                assert_ne!(verdict, Verdict::Reject);
            }
            refused += u32::from(!is_taken);
            long += u32::from(is_taken && model.tip == before && block.length() > model.blocks[&before].length());
            assert_eq!(world.tip().hash, model.tip, "seed {seed}, block {place}");
        }
    }
    println!("{refused} refused, {long} longer and not better");
    assert!(refused > 0 && long > 0, "both rules were needed: {refused}, {long}");
}

#[test]
fn blocks_that_come_before_their_parents_wait_for_them() {
    for seed in 0..SEEDS {
        let mut random = Random::new([100 + seed; 32]);
        let mut world = World::new();
        let line = world.first().line(CONSTANTS.k, seed);
        let mut order: Vec<usize> = (0..line.len()).collect();
        for place in (1..order.len()).rev() {
            order.swap(place, random.below(place + 1));
        }
        let mut come = Vec::new();
        for place in order {
            let (verdict, wants) = world.judge(&line[place]);
            come.push(place);
            assert_eq!(verdict, Verdict::Unverified);
            let whole = (0..line.len()).take_while(|place| come.contains(place)).count();
            // Below it the first that is not here.
            let missing = (0..place).rev().find(|below| !come.contains(below)).map(|below| line[below].hash);
            assert_eq!(wants, missing, "seed {seed}");
            assert_eq!(world.tip().length, 1 + whole as u32, "seed {seed}");
        }
        world.check_holds(&line);
    }
}

#[test]
fn every_number_of_a_state_that_does_not_follow_is_refused() {
    let mut world = World::new();
    let line = world.first().line(3, 1);
    world.take_all(&line);
    let draft = Draft { slot: 40, drawn: 2, ..Draft::default() };
    type Change = fn(&mut polypeer_mina::block::ConsensusState);
    let changes: [(&str, Change); 12] = [
        ("length", |state| state.blockchain_length += 1),
        ("epochs", |state| state.epoch_count += 1),
        ("least density", |state| state.min_window_density += 1),
        ("densities", |state| state.sub_window_densities.0[0] += 1),
        ("currency", |state| state.total_currency += 1),
        ("slots of an epoch", |state| state.slots_per_epoch += 1),
        ("global slot", |state| state.global_slot_since_genesis.0 += 1),
        ("seed", |state| state.next_epoch.seed.0[0] ^= 1),
        ("lock", |state| state.next_epoch.lock_checkpoint.0[0] ^= 1),
        ("start", |state| state.staking_epoch.start_checkpoint.0[0] ^= 1),
        ("epoch's length", |state| state.next_epoch.epoch_length += 1),
        ("checkpoint window", |state| state.has_ancestor_in_same_checkpoint_window ^= true),
    ];
    for (what, change) in changes {
        let block = line[2].next_changed(&draft, change);
        assert_eq!(world.judge(&block), (Verdict::Reject, None), "{what}");
    }
    for slot in [0, 1, 3] {
        let early = line[2].next_changed(&Draft { slot: 5, drawn: 1, ..Draft::default() }, |state| {
            state.slot.0 = slot;
            state.global_slot_since_genesis.0 = slot;
        });
        assert_eq!(world.judge(&early), (Verdict::Reject, None), "slot {slot}");
    }
    let right = line[2].next(&draft);
    assert_eq!(world.judge(&right), (Verdict::Unverified, None));
    assert_eq!(world.judge(&right), (Verdict::Ignore, None), "it is here");
    let mut other = right.hash;
    other.0[5] ^= 1;
    assert_eq!(world.judge_bytes(other, &right.bytes), (Verdict::Reject, None), "it has another hash");
    assert_eq!(world.judge_bytes(other, &right.bytes.slice(1..)), (Verdict::Reject, None), "it is no block");
}
