//! What an account's proofs are checked with.

use crate::binprot::{Vector, record};
use crate::block::{Point, ProofsVerified};

record! {
    /// What an account's proofs are checked with.
    VerificationKey<'a> {
        /// How many proofs the circuits verify at most.
        max_proofs_verified: ProofsVerified,
        /// How many decide the wrap circuit's size.
        actual_wrap_domain_size: ProofsVerified,
        /// The wrap circuit.
        index: VerificationIndex<'a>,
    }
}

record! {
    /// Commitments to the polynomials of the wrap circuit.
    VerificationIndex<'a> {
        /// Permutations.
        sigma: Vector<'a, Point, 7>,
        /// Coefficients.
        coefficients: Vector<'a, Point, 15>,
        /// Where the generic gate is.
        generic: Point,
        /// Where Poseidon is.
        poseidon: Point,
        /// Where points are added.
        complete_add: Point,
        /// Where points are multiplied.
        mul: Point,
        /// Where points are multiplied by an endomorphism.
        emul: Point,
        /// Where scalars are.
        endomul_scalar: Point,
    }
}
