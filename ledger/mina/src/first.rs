//! Makes the blocks of private networks: the first, and those that follow.
//!
//! They have all parts of a real block. Nothing is executed, so ledgers stay those of the first block; the proof is one of
//! the right form that proves nothing, and only networks that ask for no proofs take it.

use blake2b_simd::Params;
use bytes::Bytes;
use polypeer_mina::binprot::{Binable as _, Fp, Seq, Whole};
use polypeer_mina::block::{
    Block, BlockchainState, Body, ConsensusState, Constants as Stated, DeltaProof, Densities, FirstCoinbase, FirstDiff,
    Header, Judged, Proof, ProtocolState, SUB_WINDOWS, StateBody, Status, Version,
};
use polypeer_mina::config::Constants;
use polypeer_mina::hash::body_reference;

/// A protocol state of height 1, from which that of a private network's first block is made.
static STATE: &[u8] = include_bytes!("private/first-state.bin");
/// A proof that proves nothing.
static PROOF: &[u8] = include_bytes!("private/dummy-proof.bin");

/// The first block of the network with this chain id. Nothing when the constants are out of range.
pub(crate) fn block(chain_id: &str, constants: &Constants, version: Version) -> Option<Bytes> {
    let like = ProtocolState::decode(STATE).ok()?;
    let before = before_first(chain_id)?;
    let body = Body::EMPTY.encode();
    let density = constants.slots_per_sub_window;
    // Every sub-window counts as full, but for the one that the first block begins.
    let mut densities = [density; SUB_WINDOWS];
    densities[0] = 1;
    let consensus = ConsensusState {
        slots_per_epoch: constants.slots_per_epoch,
        min_window_density: density.checked_mul(SUB_WINDOWS as u32)?,
        sub_window_densities: Densities(densities),
        ..like.body.consensus
    };
    let blockchain = BlockchainState {
        timestamp: constants.genesis_timestamp_ms,
        body_reference: body_reference(&body).0,
        ..like.body.blockchain
    };
    let constants = Stated {
        k: constants.k,
        slots_per_epoch: constants.slots_per_epoch,
        slots_per_sub_window: constants.slots_per_sub_window,
        grace_slots: constants.grace_slots,
        delta: constants.delta,
        genesis_timestamp: constants.genesis_timestamp_ms,
    };
    // The first block's own hash cannot stand in it: what it names as genesis is what comes before.
    let body_of_state = StateBody { genesis: before, blockchain, consensus, constants };
    put_together(ProtocolState { previous: before, body: body_of_state }, &body, version)
}

/// What the first block follows on: the hash of no block. It is another for every chain id.
fn before_first(chain_id: &str) -> Option<Fp> {
    let digest = Params::new().hash_length(32).personal(b"polypeer-private").hash(chain_id.as_bytes());
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest.as_bytes());
    // 254 bits are below the modulus.
    bytes[31] &= 0x3f;
    Fp::checked(bytes)
}

/// A block's body with these commands, each with its kind in front, of which it says that they were applied.
pub(crate) fn body(commands: &[Bytes]) -> Option<Bytes> {
    let commands = commands.iter().map(applied).collect::<Option<Vec<_>>>()?;
    let (works, internals) = (Seq::EMPTY, Seq::EMPTY);
    let first = FirstDiff { works, commands: Seq::of(&commands)?, coinbase: FirstCoinbase::Zero, internals };
    Some(Body { first, second: None }.encode())
}

fn applied(command: &Bytes) -> Option<Judged<'_>> {
    Some(Judged { command: Whole::decode(command).ok()?, status: Status::Applied })
}

/// A block of a state and a body, to which the state already refers.
pub(crate) fn put_together(state: ProtocolState<'_>, body: &[u8], version: Version) -> Option<Bytes> {
    let proof = Whole::<Proof<'_>>::decode(PROOF).ok()?;
    let delta_proof = DeltaProof { from: state.previous, bodies: Seq::EMPTY };
    let header = Header { state, proof, delta_proof, version, proposed_version: None };
    Some(Block { header, body: Whole::decode(body).ok()? }.encode())
}
