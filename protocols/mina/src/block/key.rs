//! Keys of accounts, and what they sign with.

use crate::binprot::{Fp, Fq, record};

record! {
    /// A compressed public key of Schnorr signatures over Pallas: 33 bytes.
    #[derive(PartialOrd, Ord, Hash)]
    PublicKey {
        /// The point's x.
        x: Fp,
        /// Whether its y is odd.
        is_odd: bool,
    }
}

impl PublicKey {
    /// The key of nobody.
    pub const EMPTY: Self = Self { x: Fp::ZERO, is_odd: false };
}

record! {
    /// A Schnorr signature: 64 bytes.
    Signature {
        /// The nonce point's x.
        r: Fp,
        /// The scalar.
        s: Fq,
    }
}

impl Signature {
    /// (1, 1): what stands for every signature when a transaction's id is made.
    pub const ONE: Self = Self { r: Fp::ONE, s: Fq::ONE };
}
