//! The protocol state: what a state hash stands for.

use super::{BlockchainState, ConsensusState};
use crate::binprot::{Fp, record};

record! {
    /// A protocol state (Mina spec, section 6.2). Some 1.5 kB, read from front to back; its hash takes
    /// [`crate::hash::state_hash`].
    ProtocolState<'a> {
        /// The state hash of the block below.
        previous: Fp,
        /// The rest.
        body: StateBody<'a>,
    }
}

record! {
    /// All of a protocol state but the block below.
    StateBody<'a> {
        /// The state hash of the network's first block.
        genesis: Fp,
        /// Ledgers, time and the body.
        blockchain: BlockchainState<'a>,
        /// What chains are chosen by.
        consensus: ConsensusState,
        /// What every block of the network says alike.
        constants: Constants,
    }
}

record! {
    /// The constants of a network that its blocks repeat.
    Constants {
        /// Blocks until one is final.
        k: u32,
        /// Slots of an epoch.
        slots_per_epoch: u32,
        /// Slots of a sub-window.
        slots_per_sub_window: u32,
        /// Slots from genesis on in which density is not judged.
        grace_slots: u32,
        /// Slots that a block may be late.
        delta: u32,
        /// When slot 0 began, in milliseconds since 1970.
        genesis_timestamp: u64,
    }
}
