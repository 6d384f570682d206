//! Reads and writes SNARK work, and names it (Mina spec, section 4.3).
//!
//! The layouts of the statement and of the proof are facts of the public type definitions (`Transaction_snark.Stable.V2`,
//! `Network_pool.Snark_pool.Diff_versioned.Stable.V2`).

use crate::binprot::{OneOrTwo, Whole, choice, record};
use crate::block::{Proof, PublicKey, Statement};
use crate::hash::{Hash, blake2b};

record! {
    /// Work that a block buys.
    Work<'a> {
        /// What it costs, in nanomina.
        fee: u64,
        /// The proofs.
        proofs: OneOrTwo<Whole<'a, LedgerProof<'a>>>,
        /// Who made them.
        prover: PublicKey,
    }
}

record! {
    /// A proof of transactions.
    LedgerProof<'a> {
        /// What it proves.
        statement: Statement<'a>,
        /// Blake2s of fee and prover, so that nobody else can sell it.
        sok_digest: [u8; 32],
        /// The proof.
        proof: Whole<'a, Proof<'a>>,
    }
}

record! {
    /// What is to be proven, or was, by whoever it may be.
    WorkStatement<'a> {
        /// The statement.
        statement: Statement<'a>,
        /// Stands where a proof's statement has a digest.
        sok_digest: (),
    }
}

choice! {
    /// What is gossiped about work.
    SnarkDiff<'a> {
        /// Someone has done some.
        AddSolvedWork(SolvedWork<'a>) = 0,
        /// Nothing.
        Empty = 1,
    }
}

record! {
    /// Work that is for sale.
    SolvedWork<'a> {
        /// What was to be proven.
        statements: OneOrTwo<Whole<'a, WorkStatement<'a>>>,
        /// The proofs.
        proofs: OneOrTwo<Whole<'a, LedgerProof<'a>>>,
        /// What it costs, in nanomina.
        fee: u64,
        /// Who made them.
        prover: PublicKey,
    }
}

impl SolvedWork<'_> {
    /// What names the work, whoever does it and for how much: Blake2b-256 of the statements' bytes.
    pub fn id(&self) -> Hash {
        let (first, second) = self.statements.parts();
        blake2b(&[first.bytes(), second.map_or(&[], |second| second.bytes())])
    }

    /// Whether there is a proof for each statement, and of just that.
    pub fn is_consistent(&self) -> bool {
        let is_of = |statement: &Whole<'_, WorkStatement<'_>>, proof: &Whole<'_, LedgerProof<'_>>| {
            // The statement without its unit is what the proof begins with.
            let length = statement.bytes().len().saturating_sub(1);
            statement.bytes().get(..length) == proof.bytes().get(..length)
        };
        match (self.statements.parts(), self.proofs.parts()) {
            ((first, None), (proof, None)) => is_of(first, proof),
            ((first, Some(second)), (proof, Some(other))) => is_of(first, proof) && is_of(second, other),
            _ => false,
        }
    }
}
