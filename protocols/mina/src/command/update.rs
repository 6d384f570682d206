//! Account updates.

use super::{Changes, EVENTS_MAX, Preconditions};
use crate::binprot::{Fp, Seq, Whole, choice, record};
use crate::block::{Proof, PublicKey, Signature, SignedAmount};

/// What an update tells the world: for each event some field elements.
pub type Events<'a> = Seq<'a, Seq<'a, Fp, 16>, EVENTS_MAX>;

record! {
    /// A change of one account, and what allows it.
    AccountUpdate<'a> {
        /// The change.
        body: Whole<'a, UpdateBody<'a>>,
        /// What allows it.
        authorization: Authorization<'a>,
    }
}

record! {
    /// A change of one account.
    UpdateBody<'a> {
        /// Whose account.
        public_key: PublicKey,
        /// Of which token.
        token_id: Fp,
        /// What is set.
        changes: Changes<'a>,
        /// What is paid in, or out.
        balance_change: SignedAmount,
        /// Whether the nonce grows by 1.
        increment_nonce: bool,
        /// What is told.
        events: Events<'a>,
        /// What is told and remembered.
        actions: Events<'a>,
        /// What callers give to those that they call.
        call_data: Fp,
        /// When it happens.
        preconditions: Preconditions<'a>,
        /// Whether fee payer and memo are signed too.
        use_full_commitment: bool,
        /// Whether a new account is paid for out of its balance.
        implicit_account_creation_fee: bool,
        /// Whose token it may use.
        may_use_token: MayUseToken,
        /// What will allow it.
        authorization_kind: AuthorizationKind,
    }
}

choice! {
    /// Whose token an update may use.
    MayUseToken {
        /// None.
        No = 0,
        /// Its caller's own.
        ParentsOwn = 1,
        /// What its caller may use.
        Inherit = 2,
    }
}

choice! {
    /// What will allow an update.
    AuthorizationKind {
        /// A signature.
        Signature = 0,
        /// A proof for the verification key with this hash.
        Proof(Fp) = 1,
        /// Nothing.
        None = 2,
    }
}

choice! {
    /// What allows an update.
    Authorization<'a> {
        /// A proof, of some 10 kB.
        Proof(Whole<'a, Proof<'a>>) = 0,
        /// A signature.
        Signature(Signature) = 1,
        /// Nothing.
        None = 2,
    }
}
