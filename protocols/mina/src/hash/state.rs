//! The state hash: what names a block (Mina spec, section 6.3).

use super::packing::Input;
use super::{Hash, poseidon};
use crate::binprot::Fp;
use crate::block::{
    BlockchainState, ConsensusState, Constants, EpochData, FeeExcess, LocalState, ProtocolState, PublicKey, Registers,
    Sign, SignedAmount, StagedLedgerHash, StateBody, Statement,
};
use sha2::{Digest as _, Sha256};

/// The hash of a protocol state. It takes some 35 permutations, so a fraction of a millisecond.
pub fn state_hash(state: &ProtocolState<'_>) -> Hash {
    state_hash_above(&state.previous, &body_hash(&state.body)).into()
}

/// The state hash of the block above the one with hash `previous`, given the hash of all else in it: a link of the
/// chains of hashes that peers prove ancestry with (section 5.5).
pub fn state_hash_above(previous: &Fp, body: &Fp) -> Fp {
    poseidon::hash("MinaProtoState", &[*previous, *body])
}

/// The hash of all of a protocol state but the block below.
pub fn body_hash(body: &StateBody<'_>) -> Fp {
    let mut input = Input::new("MinaProtoStateBody");
    input.constants(&body.constants);
    input.element(&body.genesis);
    input.blockchain(&body.blockchain);
    input.consensus(&body.consensus);
    input.finish()
}

// The order is not the wire's.
impl Input {
    fn constants(&mut self, constants: &Constants) {
        self.number(constants.k);
        self.number(constants.delta);
        self.number(constants.slots_per_epoch);
        self.number(constants.slots_per_sub_window);
        self.number(constants.grace_slots);
        self.long(constants.genesis_timestamp);
    }

    fn blockchain(&mut self, state: &BlockchainState<'_>) {
        self.staged_ledger(&state.staged_ledger);
        self.element(&state.genesis_ledger);
        self.statement(&state.statement);
        self.long(state.timestamp);
        self.flags(&state.body_reference, 256);
    }

    fn staged_ledger(&mut self, staged: &StagedLedgerHash) {
        let mut ledger = staged.ledger.0;
        ledger.reverse();
        let digest = Sha256::new_with_prefix(ledger).chain_update(staged.aux).chain_update(staged.pending_coinbase_aux);
        self.flags(&digest.finalize(), 256);
        self.element(&staged.pending_coinbase);
    }

    fn statement(&mut self, statement: &Statement<'_>) {
        self.registers(&statement.source);
        self.registers(&statement.target);
        self.element(&statement.connecting_ledger_left);
        self.element(&statement.connecting_ledger_right);
        self.amount(&statement.supply_increase);
        self.excess(&statement.fee_excess_left);
        self.excess(&statement.fee_excess_right);
    }

    fn registers(&mut self, registers: &Registers<'_>) {
        self.element(&registers.first_pass_ledger);
        self.element(&registers.second_pass_ledger);
        self.element(&registers.coinbase_data);
        self.element(&registers.coinbase_state_init);
        self.element(&registers.coinbase_state_current);
        self.local(&registers.local);
    }

    fn local(&mut self, local: &LocalState<'_>) {
        self.element(&local.stack_frame);
        self.element(&local.call_stack);
        self.element(&local.commitment);
        self.element(&local.full_commitment);
        self.amount(&local.excess);
        self.amount(&local.supply_increase);
        self.element(&local.ledger);
        self.number(local.account_update_index);
        self.flag(local.success);
        self.flag(local.will_succeed);
    }

    fn amount(&mut self, amount: &SignedAmount) {
        self.long(amount.magnitude);
        self.flag(amount.sign == Sign::Positive);
    }

    fn excess(&mut self, excess: &FeeExcess) {
        self.element(&excess.token);
        self.amount(&excess.amount);
    }

    fn consensus(&mut self, state: &ConsensusState) {
        self.number(state.blockchain_length);
        self.number(state.epoch_count);
        self.number(state.min_window_density);
        state.sub_window_densities.0.iter().for_each(|density| self.number(*density));
        // The output has 253 bits.
        self.flags(&state.last_vrf_output, 253);
        self.long(state.total_currency);
        self.number(state.slot.0);
        self.number(state.slots_per_epoch);
        self.number(state.global_slot_since_genesis.0);
        self.flag(state.has_ancestor_in_same_checkpoint_window);
        self.flag(state.supercharge_coinbase);
        self.epoch(&state.staking_epoch);
        self.epoch(&state.next_epoch);
        self.key(&state.block_stake_winner);
        self.key(&state.block_creator);
        self.key(&state.coinbase_receiver);
    }

    fn epoch(&mut self, epoch: &EpochData) {
        self.element(&epoch.seed);
        self.element(&epoch.start_checkpoint);
        self.number(epoch.epoch_length);
        self.element(&epoch.ledger);
        self.long(epoch.total_currency);
        self.element(&epoch.lock_checkpoint);
    }

    fn key(&mut self, key: &PublicKey) {
        self.element(&key.x);
        self.flag(key.is_odd);
    }
}
