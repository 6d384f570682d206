//! Amounts that may be below 0.

use crate::binprot::{choice, record};

record! {
    /// A signed amount, in nanomina.
    SignedAmount {
        /// How much.
        magnitude: u64,
        /// Which way.
        sign: Sign,
    }
}

impl SignedAmount {
    /// Nothing.
    pub const ZERO: Self = Self { magnitude: 0, sign: Sign::Positive };
}

choice! {
    /// The sign of an amount.
    Sign {
        /// 0 or more.
        Positive = 0,
        /// 0 or less: the reference has two zeros, too.
        Negative = 1,
    }
}
