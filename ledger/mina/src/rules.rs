//! Says by which rules a network's blocks follow each other.

use crate::config::OpenError;
use crate::first;
use crate::node::Node;
use crate::successor::follows;
use blake2b_simd::Params;
use bytes::Bytes;
use polypeer_mina::block::{Constants as Stated, Version};
use polypeer_mina::checks;
use polypeer_mina::config::Constants;
use polypeer_mina::consensus::{End, choose};
use polypeer_mina::ledger::Hash;

/// A network's rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The state hash of the first block.
    pub genesis: Hash,
    /// What every block repeats.
    pub constants: Constants,
    /// Transaction, network and patch version.
    pub protocol_version: [u32; 3],
    /// Whether a block's proof says that its state follows from the one below. Where it does not, that is computed here.
    pub has_proofs: bool,
    first: Option<Bytes>,
}

impl Rules {
    /// Those of a network whose first block is not held here: the first chain comes from peers. Its blocks have proofs.
    pub fn public(genesis: Hash, constants: Constants) -> Self {
        Self { genesis, constants, protocol_version: [3, 0, 0], has_proofs: true, first: None }
    }

    /// Those of a private network without proofs, whose first block follows from chain id and constants.
    ///
    /// # Errors
    /// [`OpenError::Constants`] when the constants make no chain.
    pub fn private(chain_id: &str, constants: Constants) -> Result<Self, OpenError> {
        let protocol_version = [3, 0, 0];
        check(&constants)?;
        let block = first::block(chain_id, &constants, version(protocol_version)).ok_or(OpenError::Constants)?;
        let genesis = Node::of(&block).map_err(|_| OpenError::Constants)?.hash;
        Ok(Self { genesis, constants, protocol_version, has_proofs: false, first: Some(block) })
    }

    /// The first block, where it is known.
    pub(crate) fn first(&self) -> Option<&Bytes> {
        self.first.as_ref()
    }

    /// Whether this is the first block of a network in which nobody had paid before it. Ledgers of public networks began
    /// with accounts that had.
    pub(crate) fn begins_with(&self, node: &Node) -> bool {
        !self.has_proofs && node.hash == self.genesis
    }

    pub(crate) fn check(&self) -> Result<(), OpenError> {
        check(&self.constants)
    }

    /// The constants as blocks have them.
    pub(crate) fn stated(&self) -> Stated {
        let [transaction_version, ..] = self.protocol_version;
        checks::Rules { genesis: self.genesis, constants: self.constants, transaction_version }.constants()
    }

    pub(crate) fn version(&self) -> Version {
        version(self.protocol_version)
    }

    /// By what the store knows the network.
    pub(crate) fn name(&self) -> Hash {
        let Constants { k, slots_per_epoch, slots_per_sub_window, grace_slots, delta, genesis_timestamp_ms, slot_ms } =
            self.constants;
        let numbers = [k, slots_per_epoch, slots_per_sub_window, grace_slots, delta].map(u64::from);
        let mut state = Params::new().hash_length(32).to_state();
        state.update(&self.genesis.0).update(&[u8::from(self.has_proofs)]);
        for number in numbers.into_iter().chain([genesis_timestamp_ms, slot_ms]) {
            state.update(&number.to_be_bytes());
        }
        let mut name = Hash::default();
        name.0.copy_from_slice(state.finalize().as_bytes());
        name
    }

    /// Whether a chain that ends with `candidate` is better than the one that ends with `existing` (Mina spec, section
    /// 6.4).
    pub(crate) fn is_better(&self, candidate: &Node, existing: &Node) -> bool {
        let [existing, candidate] = [existing, candidate].map(|node| End { state: &node.consensus, hash: &node.hash });
        choose(existing, candidate, &self.stated()).is_candidate
    }

    /// Whether a block may follow on another. What a proof says is computed where there are none; elsewhere only what
    /// follows from the numbers alone is compared.
    pub(crate) fn follows(&self, parent: &Node, node: &Node) -> bool {
        let is_next = parent.length.checked_add(1) == Some(node.length);
        let slots = node.slot().checked_sub(parent.slot()).filter(|slots| *slots > 0);
        let is_later = slots.is_some() && slots == node.global_slot().checked_sub(parent.global_slot());
        is_next && is_later && (self.has_proofs || follows(parent, node, self))
    }

    /// The global slot at this time, as a chain with this end counts them.
    pub(crate) fn global_slot(&self, tip: &Node, unix_ms: u64) -> u32 {
        let slot = self.constants.slot_at_ms(unix_ms).unwrap_or(0).max(tip.slot());
        tip.global_slot().saturating_add(slot - tip.slot())
    }
}

fn version([transaction, network, patch]: [u32; 3]) -> Version {
    Version { transaction, network, patch }
}

fn check(constants: &Constants) -> Result<(), OpenError> {
    let Constants { k, slots_per_epoch, slots_per_sub_window, delta, slot_ms, .. } = *constants;
    // Three thirds of an epoch tell what still changes the next one's seed.
    let is_right = k > 0 && slots_per_epoch > 2 && slots_per_sub_window > 0 && slot_ms > 0 && delta == 0;
    if is_right { Ok(()) } else { Err(OpenError::Constants) }
}
