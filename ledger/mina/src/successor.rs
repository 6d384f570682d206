//! Follows the consensus state from one block to the next, as the public consensus document has it.
//!
//! On networks with proofs the proof says that a block's state follows from the one below. Where there are none this is
//! all that says so: what is made is made by these rules, and what comes is compared.

use crate::node::Node;
use crate::rules::Rules;
use polypeer_mina::binprot::Fp;
use polypeer_mina::block::{ConsensusState, Densities, EpochData, PublicKey, SUB_WINDOWS, Slot};
use polypeer_mina::config::Constants;
use polypeer_mina::consensus::min_window_density_at;
use polypeer_mina::hash::poseidon;
use polypeer_mina::ledger::Hash;

/// Checkpoint windows are a twelfth of a year long.
const CHECKPOINT_WINDOW_MS: u64 = 365 * 24 * 60 * 60 * 1_000 / 12;

/// What a producer decides.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Choice {
    /// In which slot, counted from the hard fork.
    pub(crate) slot: u32,
    /// What it drew: 253 bits.
    pub(crate) vrf_output: [u8; 32],
    /// Who made the block and is paid.
    pub(crate) creator: PublicKey,
}

/// The state of a block that follows on `parent`. Nothing when the slot is not behind the parent's, or a number ends.
pub(crate) fn successor(parent: &Node, rules: &Rules, choice: &Choice) -> Option<ConsensusState> {
    let constants = &rules.constants;
    let before = &parent.consensus;
    let (slot, slots_per_epoch) = (choice.slot, constants.slots_per_epoch);
    let slots = slot.checked_sub(before.slot.0).filter(|slots| *slots > 0)?;
    let (epoch, epoch_before) = (slot / slots_per_epoch, before.slot.0 / slots_per_epoch);
    let (staking_epoch, next_epoch) = epochs(parent, constants, choice);
    Some(ConsensusState {
        blockchain_length: before.blockchain_length.checked_add(1)?,
        epoch_count: before.epoch_count.checked_add(u32::from(epoch > epoch_before))?,
        min_window_density: min_window_density_at(before, slot, &rules.stated()),
        sub_window_densities: densities(before, constants, slot),
        last_vrf_output: choice.vrf_output,
        // No coinbase is paid: nobody here holds the ledger that it would go to.
        total_currency: before.total_currency,
        slot: Slot(slot),
        slots_per_epoch,
        global_slot_since_genesis: Slot(before.global_slot_since_genesis.0.checked_add(slots)?),
        staking_epoch,
        next_epoch,
        has_ancestor_in_same_checkpoint_window: checkpoint_window(constants, slot)
            == checkpoint_window(constants, before.slot.0),
        block_stake_winner: choice.creator,
        block_creator: choice.creator,
        coinbase_receiver: choice.creator,
        supercharge_coinbase: false,
    })
}

/// Whether this block's state follows from its parent's, but for what the parent does not decide.
pub(crate) fn follows(parent: &Node, node: &Node, rules: &Rules) -> bool {
    let stated = &node.consensus;
    let choice = Choice { slot: stated.slot.0, vrf_output: stated.last_vrf_output, creator: stated.block_creator };
    let expected = successor(parent, rules, &choice).map(|expected| ConsensusState {
        block_stake_winner: stated.block_stake_winner,
        coinbase_receiver: stated.coinbase_receiver,
        supercharge_coinbase: stated.supercharge_coinbase,
        ..expected
    });
    expected.as_ref() == Some(stated)
}

fn checkpoint_window(constants: &Constants, slot: u32) -> u64 {
    u64::from(slot) / (CHECKPOINT_WINDOW_MS / constants.slot_ms.max(1)).max(1)
}

/// The data of the epoch that stakes now and of the one that comes. In the first two thirds of an epoch each block adds
/// what it drew to the next epoch's seed, and is the last that did.
fn epochs(parent: &Node, constants: &Constants, choice: &Choice) -> (EpochData, EpochData) {
    let before = &parent.consensus;
    let slots_per_epoch = constants.slots_per_epoch;
    let is_new = choice.slot / slots_per_epoch > before.slot.0 / slots_per_epoch;
    let (staking, mut next) = if is_new {
        let next = EpochData {
            // Ledgers are not executed here, so an epoch's is that of the one before.
            start_checkpoint: element(parent.hash),
            lock_checkpoint: Fp::ZERO,
            epoch_length: 1,
            ..before.next_epoch
        };
        (before.next_epoch, next)
    } else {
        let epoch_length = before.next_epoch.epoch_length.saturating_add(1);
        (before.staking_epoch, EpochData { epoch_length, ..before.next_epoch })
    };
    if choice.slot % slots_per_epoch < slots_per_epoch / 3 * 2 {
        next.seed = poseidon::hash("MinaEpochSeed", &[next.seed, Fp(choice.vrf_output)]);
        next.lock_checkpoint = element(parent.hash);
    }
    (staking, next)
}

fn element(hash: Hash) -> Fp {
    Fp(hash.0)
}

/// The densities of the sub-windows with a block more in the slot's.
fn densities(before: &ConsensusState, constants: &Constants, slot: u32) -> Densities {
    let count = SUB_WINDOWS as u32;
    let sub_window = |slot: u32| slot / constants.slots_per_sub_window.max(1);
    let (last, this) = (sub_window(before.slot.0), sub_window(slot));
    let mut densities = before.sub_window_densities.0;
    if this - last > count {
        densities = [0; SUB_WINDOWS];
    }
    // What lies between the two had no block.
    for passed in last.saturating_add(1)..this.min(last.saturating_add(count)) {
        densities[(passed % count) as usize] = 0;
    }
    let own = &mut densities[(this % count) as usize];
    *own = if this == last { own.saturating_add(1) } else { 1 };
    Densities(densities)
}
