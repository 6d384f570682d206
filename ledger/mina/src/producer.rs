//! Produces blocks on private networks without proofs.
//!
//! Who may make a slot's block is drawn: each producer for itself, with the share of slots that it was given. Two that win
//! the same slot fork the chain, and everyone chooses alike (Mina spec, section 6.4).

use crate::first::{body, put_together};
use crate::node::Node;
use crate::rules::Rules;
use crate::successor::{Choice, successor};
use blake2b_simd::Params;
use bytes::Bytes;
use polypeer_engine::{Now, Time};
use polypeer_mina::binprot::{Binable as _, Fp};
use polypeer_mina::block::{BlockchainState, COMMANDS_MAX, ProtocolState, PublicKey, StateBody};
use polypeer_mina::hash::body_reference;
use std::time::Duration;

/// Bytes of commands in a block that is made here. Real blocks full of zkApp commands have up to 3 MB (Mina spec, section
/// 4.4); relays take 4 MiB.
pub(crate) const BODY_BYTES_MAX: usize = 2 << 20;
/// As many as a block has room for.
pub(crate) const COMMANDS: usize = COMMANDS_MAX;

/// What a producer needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Producer {
    /// What is drawn from, and by what the maker of a block is named. Two producers with one seed would make the same
    /// blocks.
    pub seed: [u8; 32],
    /// Of a hundred slots, how many are won on average; 100 and more win all.
    pub slots_percent: u32,
}

/// A producer at work.
///
/// ```text
/// new ──► waits for the next slot ──► the slot begins: drawn ──won──► makes a block on the tip
///              ▲                             └──lost──┐                     │
///              └──────────────────────────────────────┴─────────────────────┘
///         paused while catching up
/// ```
#[derive(Debug)]
pub(crate) struct Production {
    producer: Producer,
    creator: PublicKey,
    /// The last slot that was drawn.
    drawn: Option<u32>,
    is_paused: bool,
}

impl Production {
    pub(crate) fn new(producer: Producer) -> Self {
        let mut x = digest(&producer.seed, b"creator", 0);
        // 254 bits are below the modulus.
        x[31] &= 0x3f;
        let creator = PublicKey { x: Fp(x), is_odd: false };
        Self { producer, creator, drawn: None, is_paused: false }
    }

    pub(crate) fn catch_up(&mut self, catches_up: bool) {
        self.is_paused = catches_up;
    }

    /// When the next slot begins that was not drawn yet.
    pub(crate) fn next_wake(&self, rules: &Rules, now: Now) -> Option<Time> {
        if self.is_paused {
            return None;
        }
        let constants = &rules.constants;
        let slot = match (constants.slot_at_ms(now.unix_ms), self.drawn) {
            (Some(slot), Some(drawn)) if slot <= drawn => drawn.checked_add(1)?,
            (Some(slot), _) => slot,
            (None, _) => 0,
        };
        let wait = constants.slot_begins_ms(slot).saturating_sub(now.unix_ms);
        Some(now.monotonic + Duration::from_millis(wait))
    }

    /// The slot that is to have a block of ours now, if there is one.
    pub(crate) fn draw(&mut self, rules: &Rules, now: Now) -> Option<u32> {
        let slot = rules.constants.slot_at_ms(now.unix_ms).filter(|_| !self.is_paused)?;
        if self.drawn.is_some_and(|drawn| slot <= drawn) {
            return None;
        }
        self.drawn = Some(slot);
        let [first, second, ..] = digest(&self.producer.seed, b"slot", slot);
        let drawn = u32::from(u16::from_be_bytes([first, second])) * 100 / (1 << 16);
        (drawn < self.producer.slots_percent).then_some(slot)
    }

    /// A block of this slot on the tip with these commands; nothing when the tip is as late.
    pub(crate) fn make(&self, rules: &Rules, tip: &Node, slot: u32, commands: &[Bytes]) -> Option<Bytes> {
        let mut vrf_output = digest(&self.producer.seed, b"vrf", slot);
        // 253 bits.
        vrf_output[31] &= 0x1f;
        let choice = Choice { slot, vrf_output, creator: self.creator };
        let consensus = successor(tip, rules, &choice)?;
        let before = ProtocolState::decode(&tip.state).ok()?;
        let body = body(commands)?;
        let blockchain = BlockchainState {
            timestamp: rules.constants.slot_begins_ms(slot),
            body_reference: body_reference(&body).0,
            ..before.body.blockchain
        };
        let genesis = Fp::checked(rules.genesis.0)?;
        let state = ProtocolState {
            previous: Fp::checked(tip.hash.0)?,
            body: StateBody { genesis, blockchain, consensus, ..before.body },
        };
        put_together(state, &body, rules.version())
    }
}

fn digest(seed: &[u8; 32], purpose: &[u8], slot: u32) -> [u8; 32] {
    let mut state = Params::new().hash_length(32).key(seed).to_state();
    state.update(purpose).update(&slot.to_be_bytes());
    let mut digest = [0; 32];
    digest.copy_from_slice(state.finalize().as_bytes());
    digest
}
