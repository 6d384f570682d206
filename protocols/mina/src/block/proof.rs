//! The recursive proof: its layout, not its meaning. Nothing here verifies.
//!
//! The layout is a fact of the public type definitions (`Pickles.Proof.Proofs_verified_2.Repr.Stable.V2`). Challenges are
//! 128 bits in two limbs, digests 256 bits in four; points are affine, x before y. The wrap proof is about Pallas, so its
//! points are of [`Fp`] and what is evaluated is of [`Fq`]; the step proof's evaluations are of [`Fp`], and the one
//! commitment that it hands on is a point of Vesta, of [`Fq`].

mod evaluations;
mod statement;
mod wrap;

pub use evaluations::{Column, Columns, Evaluations};
pub use statement::{
    BranchData, Challenge, Digest, FeatureFlags, Plonk, ProofState, ProofStatement, ProofsVerified, StepMessages,
    WrapMessages,
};
pub use wrap::{Bulletproof, Commitments, WrapEvaluations, WrapProof};

use crate::binprot::{Fp, record};

/// A proof in the right form that proves nothing: `Proof.transaction_dummy`, 10,368 bytes. It is a constant of the
/// protocol, because it stands for every proof when a transaction's id is made, and all nodes have it as data (openmina's
/// `dummy_transaction_proof.bin`, Apache-2.0). Blocks of networks that ignore proofs can bear it.
pub static DUMMY_PROOF: &[u8] = include_bytes!("proof/dummy.bin");

/// A point of Pallas, x and y.
pub type Point = (Fp, Fp);

record! {
    /// A recursive proof: of a chain in a block's header, of transactions in work, of a circuit in an account update.
    Proof<'a> {
        /// What is proven, and what is put off until the next proof.
        statement: ProofStatement<'a>,
        /// What the step proof's polynomials evaluate to.
        evaluations: Evaluations<'a>,
        /// The wrap proof.
        wrap: WrapProof<'a>,
    }
}
