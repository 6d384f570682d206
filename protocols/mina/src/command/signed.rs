//! Payments and delegations.

use super::Memo;
use crate::binprot::{choice, record};
use crate::block::{PublicKey, Signature, Slot};

record! {
    /// A payment or a delegation. 217 bytes, and one of its kind in front of them, when numbers are large.
    SignedCommand<'a> {
        /// For being included, in nanomina.
        fee: u64,
        /// Who pays it.
        fee_payer: PublicKey,
        /// Its number among the payer's.
        nonce: u32,
        /// The last global slot in which it may be included.
        valid_until: Slot,
        /// A word to the receiver.
        memo: Memo<'a>,
        /// What is done.
        payload: Payload,
        /// Who signs.
        signer: PublicKey,
        /// Over all that is in front of the signer, with the legacy Poseidon.
        signature: Signature,
    }
}

choice! {
    /// What a signed command does.
    Payload {
        /// It pays.
        Payment(Payment) = 0,
        /// It delegates.
        StakeDelegation(StakeDelegation) = 1,
    }
}

record! {
    /// A payment.
    Payment {
        /// To whom.
        receiver: PublicKey,
        /// How much, in nanomina.
        amount: u64,
    }
}

choice! {
    /// A delegation.
    StakeDelegation {
        /// To whom.
        SetDelegate(PublicKey) = 0,
    }
}
