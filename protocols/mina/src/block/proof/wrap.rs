//! The wrap proof.

use super::Point;
use crate::binprot::{Fq, Seq, Vector, record};

record! {
    /// The wrap proof.
    WrapProof<'a> {
        /// To polynomials.
        commitments: Commitments<'a>,
        /// Of polynomials.
        evaluations: WrapEvaluations<'a>,
        /// The linearised polynomial at the second point.
        ft: Fq,
        /// The opening.
        bulletproof: Bulletproof<'a>,
    }
}

record! {
    /// To which polynomials the prover is bound.
    Commitments<'a> {
        /// Witnesses.
        w: Vector<'a, Point, 15>,
        /// The permutation's product.
        z: Point,
        /// The quotient.
        t: Vector<'a, Point, 7>,
    }
}

record! {
    /// What they evaluate to, each at zeta and at the point behind it.
    WrapEvaluations<'a> {
        /// Witnesses.
        w: Vector<'a, (Fq, Fq), 15>,
        /// Coefficients.
        coefficients: Vector<'a, (Fq, Fq), 15>,
        /// The permutation's product.
        z: (Fq, Fq),
        /// Permutations.
        s: Vector<'a, (Fq, Fq), 6>,
        /// Where the generic gate is.
        generic: (Fq, Fq),
        /// Where Poseidon is.
        poseidon: (Fq, Fq),
        /// Where points are added.
        complete_add: (Fq, Fq),
        /// Where points are multiplied.
        mul: (Fq, Fq),
        /// Where points are multiplied by an endomorphism.
        emul: (Fq, Fq),
        /// Where scalars are.
        endomul_scalar: (Fq, Fq),
    }
}

record! {
    /// The opening of the commitments.
    Bulletproof<'a> {
        /// A left and a right point for each round.
        lr: Seq<'a, (Point, Point), 16>,
        /// The first scalar.
        z_1: Fq,
        /// The second scalar.
        z_2: Fq,
        /// The point that hides.
        delta: Point,
        /// The commitment that is put off.
        challenge_polynomial_commitment: Point,
    }
}
