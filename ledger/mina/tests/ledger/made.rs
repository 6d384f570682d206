//! Makes blocks and commands, by rules that are written down here anew: nothing of the ledger's own is used.
//!
//! A chain is the list of its blocks' slots; the numbers of a consensus state are counted from that list.

use bytes::Bytes;
use polypeer_ledger_mina::Rules;
use polypeer_mina::binprot::{Binable as _, Fp, Seq, Whole, Writer};
use polypeer_mina::block::{
    Block, BlockchainState, Body, ConsensusState, Densities, EpochData, FirstDiff, Header, Judged, ProtocolState,
    PublicKey, Signature, Slot, StateBody, Status,
};
use polypeer_mina::command::{Memo, Payload, Payment, SignedCommand, UserCommand, transaction_id};
use polypeer_mina::config::Constants;
use polypeer_mina::hash::{body_reference, poseidon, state_hash};
use polypeer_mina::ledger::Hash;

/// Small numbers, so that epochs, windows and finality come soon.
pub(crate) const CONSTANTS: Constants = Constants {
    k: 6,
    slots_per_epoch: 30,
    slots_per_sub_window: 2,
    grace_slots: 3,
    delta: 0,
    genesis_timestamp_ms: 1_700_000_000_000,
    slot_ms: 1_000,
};
/// Sub-windows of a window.
const WINDOW: i64 = 11;

/// The tests' private network.
pub(crate) fn rules() -> Rules {
    Rules::private(&"7".repeat(64), CONSTANTS).unwrap()
}

/// A block, and the chain that it ends.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    pub(crate) hash: Hash,
    pub(crate) bytes: Bytes,
    pub(crate) parent: Hash,
    pub(crate) consensus: ConsensusState,
    /// The slots, from the first block on.
    pub(crate) chain: Vec<u32>,
}

/// What differs between blocks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Draft {
    pub(crate) slot: u32,
    /// What is drawn, in one byte.
    pub(crate) drawn: u8,
    pub(crate) commands: Vec<Bytes>,
}

impl Made {
    /// A network's first block.
    pub(crate) fn read(bytes: &Bytes) -> Self {
        let block = Block::decode(bytes).unwrap();
        let state = block.header.state;
        let (hash, consensus) = (state_hash(&state), state.body.consensus);
        let parent = Hash(state.previous.0);
        Self { hash, bytes: bytes.clone(), parent, consensus, chain: vec![consensus.slot.0] }
    }

    pub(crate) fn length(&self) -> u32 {
        self.consensus.blockchain_length
    }

    pub(crate) fn slot(&self) -> u32 {
        self.consensus.slot.0
    }

    /// The next block.
    pub(crate) fn next(&self, draft: &Draft) -> Self {
        self.next_changed(draft, |_| {})
    }

    /// The next block, with something else in its state.
    pub(crate) fn next_changed(&self, draft: &Draft, change: impl FnOnce(&mut ConsensusState)) -> Self {
        let block = Block::decode(&self.bytes).unwrap();
        let before = block.header.state;
        let judged: Vec<_> = draft
            .commands
            .iter()
            .map(|command| Judged { command: Whole::decode(command).unwrap(), status: Status::Applied })
            .collect();
        let first = FirstDiff { commands: Seq::of(&judged).unwrap(), ..Body::EMPTY.first };
        let body = Body { first, second: None }.encode();
        let mut consensus = self.successor(draft);
        change(&mut consensus);
        let blockchain = BlockchainState {
            timestamp: CONSTANTS.genesis_timestamp_ms + u64::from(draft.slot) * CONSTANTS.slot_ms,
            body_reference: body_reference(&body).0,
            ..before.body.blockchain
        };
        let genesis = Fp::checked(rules().genesis.0).unwrap();
        let previous = Fp::checked(self.hash.0).unwrap();
        let body_of_state = StateBody { genesis, blockchain, consensus, ..before.body };
        let state = ProtocolState { previous, body: body_of_state };
        let delta_proof = polypeer_mina::block::DeltaProof { from: previous, bodies: Seq::EMPTY };
        let header = Header { state, delta_proof, ..block.header };
        let bytes = Block { header, body: Whole::decode(&body).unwrap() }.encode();
        let hash = state_hash(&state);
        let mut chain = self.chain.clone();
        chain.push(draft.slot);
        Self { hash, bytes, parent: self.hash, consensus, chain }
    }

    /// So many blocks on this one, a slot each.
    pub(crate) fn line(&self, count: u32, drawn: u8) -> Vec<Self> {
        let mut blocks: Vec<Self> = Vec::new();
        for _ in 0..count {
            let last = blocks.last().unwrap_or(self);
            let draft = Draft { slot: last.slot() + 1, drawn, ..Draft::default() };
            blocks.push(last.next(&draft));
        }
        blocks
    }

    // Counted from the chain.
    fn successor(&self, draft: &Draft) -> ConsensusState {
        let mut drawn = [draft.drawn; 32];
        drawn[31] &= 0x1f;
        let spe = CONSTANTS.slots_per_epoch;
        let mut slots = self.chain.clone();
        slots.push(draft.slot);
        let mut epochs: Vec<u32> = slots.iter().map(|slot| slot / spe).collect();
        epochs.dedup();
        let sub_window = |slot: u32| i64::from(slot / CONSTANTS.slots_per_sub_window);
        let this = sub_window(draft.slot);
        let densities: Vec<u32> = (0..WINDOW)
            .map(|place| {
                // The newest sub-window up to this one that has this place.
                let at = this - (this - place).rem_euclid(WINDOW);
                self.blocks_in(&slots, at)
            })
            .collect();
        let least = self.least_density(&slots);
        let (staking_epoch, next_epoch) = self.epochs(draft.slot, drawn);
        let last = self.consensus.slot.0;
        // A twelfth of a year, in slots.
        let checkpoint = |slot: u32| u64::from(slot) * CONSTANTS.slot_ms / (31_536_000_000 / 12);
        ConsensusState {
            blockchain_length: self.length() + 1,
            epoch_count: u32::try_from(epochs.len()).unwrap() - 1,
            min_window_density: least,
            sub_window_densities: Densities(densities.try_into().unwrap()),
            last_vrf_output: drawn,
            slot: Slot(draft.slot),
            global_slot_since_genesis: Slot(draft.slot),
            staking_epoch,
            next_epoch,
            has_ancestor_in_same_checkpoint_window: checkpoint(last) == checkpoint(draft.slot),
            supercharge_coinbase: false,
            block_creator: key(draft.drawn),
            block_stake_winner: key(draft.drawn),
            coinbase_receiver: key(draft.drawn),
            ..self.consensus
        }
    }

    /// Blocks of a sub-window. Those before the first block count as full.
    fn blocks_in(&self, slots: &[u32], sub_window: i64) -> u32 {
        if sub_window < 0 {
            return CONSTANTS.slots_per_sub_window;
        }
        let is_in = |slot: &&u32| i64::from(**slot / CONSTANTS.slots_per_sub_window) == sub_window;
        u32::try_from(slots.iter().filter(is_in).count()).unwrap()
    }

    /// The least of all windows that ended when a block began a new sub-window, the grace time aside.
    fn least_density(&self, slots: &[u32]) -> u32 {
        let full = CONSTANTS.slots_per_sub_window * 11;
        let grace_end = CONSTANTS.grace_slots + full;
        let mut least = full;
        for (place, pair) in slots.windows(2).enumerate() {
            let (last, this) = (pair[0] / CONSTANTS.slots_per_sub_window, pair[1] / CONSTANTS.slots_per_sub_window);
            if last != this && pair[1] >= grace_end {
                let this = i64::from(this);
                let density = (this - WINDOW..this).map(|at| self.blocks_in(&slots[..=place], at)).sum();
                least = least.min(density);
            }
        }
        least
    }

    /// The data of the two epochs, from the block below on.
    fn epochs(&self, slot: u32, drawn: [u8; 32]) -> (EpochData, EpochData) {
        let spe = CONSTANTS.slots_per_epoch;
        let (mut staking, mut next) = (self.consensus.staking_epoch, self.consensus.next_epoch);
        if self.slot() / spe != slot / spe {
            staking = next;
            next.start_checkpoint = Fp(self.hash.0);
            next.lock_checkpoint = Fp::ZERO;
            next.epoch_length = 0;
        }
        next.epoch_length += 1;
        // The seed changes in the first two thirds.
        if slot % spe < spe / 3 * 2 {
            next.lock_checkpoint = Fp(self.hash.0);
            next.seed = poseidon::hash("MinaEpochSeed", &[next.seed, Fp(drawn)]);
        }
        (staking, next)
    }
}

/// The key of a number.
pub(crate) fn key(number: u8) -> PublicKey {
    let mut x = [number; 32];
    x[31] &= 0x3f;
    PublicKey { x: Fp(x), is_odd: false }
}

/// A payment, from the key of a number, with a signature that nobody verifies.
pub(crate) fn payment(payer: u8, nonce: u32, fee: u64) -> Bytes {
    payment_until(payer, nonce, fee, u32::MAX)
}

/// A payment up to a slot.
pub(crate) fn payment_until(payer: u8, nonce: u32, fee: u64, valid_until: u32) -> Bytes {
    UserCommand::Signed(SignedCommand {
        fee,
        fee_payer: key(payer),
        nonce,
        valid_until: Slot(valid_until),
        memo: Memo::EMPTY,
        payload: Payload::Payment(Payment { receiver: key(99), amount: 1 }),
        signer: key(payer),
        signature: Signature::ONE,
    })
    .encode()
}

/// A command's id.
pub(crate) fn id(command: &Bytes) -> Hash {
    transaction_id(command).unwrap()
}

/// A list as it is gossiped.
pub(crate) fn list(commands: &[Bytes]) -> Bytes {
    let mut writer = Writer::default();
    writer.nat0(commands.len() as u64);
    commands.iter().for_each(|command| writer.raw(command));
    writer.finish()
}
