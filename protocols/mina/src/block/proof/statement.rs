//! What a recursive proof proves, and what it puts off.

use super::Point;
use crate::binprot::{Fq, Seq, Vector, choice, record};

/// 128 bits, the low half first.
pub type Challenge<'a> = Vector<'a, u64, 2>;
/// 256 bits, lowest limb first.
pub type Digest<'a> = Vector<'a, u64, 4>;

record! {
    /// The statement of a recursive proof.
    ProofStatement<'a> {
        /// What is put off, and for whom.
        state: ProofState<'a>,
        /// For the next step proof.
        step: StepMessages<'a>,
    }
}

record! {
    /// What is put off.
    ProofState<'a> {
        /// Challenges of the step proof.
        plonk: Plonk<'a>,
        /// Challenges of its opening.
        bulletproof_challenges: Vector<'a, Challenge<'a>, 16>,
        /// Which circuit it was.
        branch: BranchData,
        /// The sponge's state before the evaluations.
        sponge_digest: Digest<'a>,
        /// For the next wrap proof.
        wrap: WrapMessages<'a>,
    }
}

record! {
    /// Challenges of the step proof.
    Plonk<'a> {
        /// Joins constraints.
        alpha: Challenge<'a>,
        /// Of the permutation.
        beta: Challenge<'a>,
        /// Of the permutation.
        gamma: Challenge<'a>,
        /// Where polynomials are evaluated.
        zeta: Challenge<'a>,
        /// Joins the columns of look-ups, if there are any.
        joint_combiner: Option<Challenge<'a>>,
        /// Which gates the circuit has.
        feature_flags: FeatureFlags,
    }
}

record! {
    /// Which optional gates a circuit has.
    FeatureFlags {
        /// The first half of a range check.
        range_check0: bool,
        /// The second half of a range check.
        range_check1: bool,
        /// Addition in a foreign field.
        foreign_field_add: bool,
        /// Multiplication in a foreign field.
        foreign_field_mul: bool,
        /// Exclusive or.
        xor: bool,
        /// Rotation.
        rot: bool,
        /// Look-ups.
        lookup: bool,
        /// Tables that are made while proving.
        runtime_tables: bool,
    }
}

record! {
    /// Which circuit it was.
    BranchData {
        /// How many proofs it verifies.
        proofs_verified: ProofsVerified,
        /// The logarithm of its size.
        domain_log2: u8,
    }
}

choice! {
    /// How many proofs a circuit verifies.
    ProofsVerified {
        /// None.
        None = 0,
        /// One.
        One = 1,
        /// Two.
        Two = 2,
    }
}

record! {
    /// What the next wrap proof has to check.
    WrapMessages<'a> {
        /// A point of Vesta.
        challenge_polynomial_commitment: (Fq, Fq),
        /// Challenges of the two proofs that were verified.
        old_bulletproof_challenges: Vector<'a, Vector<'a, Challenge<'a>, 15>, 2>,
    }
}

record! {
    /// What the next step proof has to check.
    StepMessages<'a> {
        /// What the circuit's own statement would be; it is known from elsewhere.
        app_state: (),
        /// A point for each proof that was verified.
        challenge_polynomial_commitments: Seq<'a, Point, 2>,
        /// The challenges of each.
        old_bulletproof_challenges: Seq<'a, Vector<'a, Challenge<'a>, 16>, 2>,
    }
}
