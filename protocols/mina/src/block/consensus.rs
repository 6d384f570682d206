//! The part of the state that chains are chosen by.

use super::{PublicKey, SUB_WINDOWS, Slot};
use crate::binprot::{Binable, BinprotError, Fp, Reader, Writer, record};
use serde::{Deserialize, Serialize};

record! {
    /// What chains are chosen by.
    ConsensusState {
        /// Blocks from genesis to this one.
        blockchain_length: u32,
        /// Epochs that had a block.
        epoch_count: u32,
        /// The fewest blocks that a whole window had.
        min_window_density: u32,
        /// Blocks in each of the last sub-windows.
        sub_window_densities: Densities,
        /// What the producer drew.
        last_vrf_output: [u8; 32],
        /// All there is, in nanomina.
        total_currency: u64,
        /// The block's slot since the hard fork.
        slot: Slot,
        /// Slots of an epoch.
        slots_per_epoch: u32,
        /// The block's slot since the very first genesis.
        global_slot_since_genesis: Slot,
        /// The epoch whose ledger producers are drawn from.
        staking_epoch: EpochData,
        /// The epoch that comes after it.
        next_epoch: EpochData,
        /// Whether another block before it is in the same checkpoint window.
        has_ancestor_in_same_checkpoint_window: bool,
        /// Whose stake won the slot.
        block_stake_winner: PublicKey,
        /// Who made the block.
        block_creator: PublicKey,
        /// Who gets the coinbase.
        coinbase_receiver: PublicKey,
        /// Whether the coinbase is doubled.
        supercharge_coinbase: bool,
    }
}

record! {
    /// An epoch's ledger, seed and checkpoints.
    EpochData {
        /// The ledger's root.
        ledger: Fp,
        /// What is in it, in nanomina.
        total_currency: u64,
        /// What producers are drawn with.
        seed: Fp,
        /// The state hash that the epoch began with.
        start_checkpoint: Fp,
        /// The state hash from which on nothing changes the seed any more.
        lock_checkpoint: Fp,
        /// Blocks of the epoch so far.
        epoch_length: u32,
    }
}

/// Blocks in each sub-window of a window, by the sub-window's number modulo [`SUB_WINDOWS`]. On the wire a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Densities(pub [u32; SUB_WINDOWS]);

impl<'a> Binable<'a> for Densities {
    fn read(reader: &mut Reader<'a>) -> Result<Self, BinprotError> {
        if reader.count(SUB_WINDOWS)? != SUB_WINDOWS {
            return Err(BinprotError::Length);
        }
        let mut densities = [0; SUB_WINDOWS];
        for density in &mut densities {
            *density = u32::read(reader)?;
        }
        Ok(Self(densities))
    }

    fn write(&self, writer: &mut Writer) {
        writer.nat0(SUB_WINDOWS as u64);
        self.0.iter().for_each(|density| density.write(writer));
    }
}
