//! What an account update sets.

use super::VerificationKey;
use crate::binprot::{Binable, BinprotError, Fp, Reader, Text, Vector, Writer, choice, record};
use crate::block::{PublicKey, Slot};

/// A new value, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetOrKeep<T> {
    /// 0: a new value.
    Set(T),
    /// 1: as it is.
    Keep,
}

impl<'a, T: Binable<'a>> Binable<'a> for SetOrKeep<T> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, BinprotError> {
        match reader.byte()? {
            0 => T::read(reader).map(Self::Set),
            1 => Ok(Self::Keep),
            _ => Err(BinprotError::Constructor),
        }
    }

    fn write(&self, writer: &mut Writer) {
        match self {
            Self::Set(value) => {
                writer.byte(0);
                value.write(writer);
            }
            Self::Keep => writer.byte(1),
        }
    }
}

record! {
    /// What an account update sets.
    Changes<'a> {
        /// The zkApp's state.
        app_state: Vector<'a, SetOrKeep<Fp>, 8>,
        /// Who votes with the balance.
        delegate: SetOrKeep<PublicKey>,
        /// What proofs are checked with.
        verification_key: SetOrKeep<VerificationKey<'a>>,
        /// Who may do what.
        permissions: SetOrKeep<Permissions>,
        /// Where the zkApp's source is.
        zkapp_uri: SetOrKeep<Text<'a, 255>>,
        /// What the account's token is called.
        token_symbol: SetOrKeep<Text<'a, 6>>,
        /// From when on which part of the balance may be spent.
        timing: SetOrKeep<Timing>,
        /// The state hash that the account votes for.
        voting_for: SetOrKeep<Fp>,
    }
}

record! {
    /// Who may do what with an account.
    Permissions {
        /// Set the state.
        edit_state: AuthRequired,
        /// Touch it at all.
        access: AuthRequired,
        /// Pay out.
        send: AuthRequired,
        /// Pay in.
        receive: AuthRequired,
        /// Delegate.
        set_delegate: AuthRequired,
        /// Set this.
        set_permissions: AuthRequired,
        /// Set the verification key, and the transaction version of which that is the rule.
        set_verification_key: (AuthRequired, u32),
        /// Set the URI.
        set_zkapp_uri: AuthRequired,
        /// Add actions.
        edit_action_state: AuthRequired,
        /// Set the symbol.
        set_token_symbol: AuthRequired,
        /// Raise the nonce.
        increment_nonce: AuthRequired,
        /// Vote.
        set_voting_for: AuthRequired,
        /// Set the timing.
        set_timing: AuthRequired,
    }
}

choice! {
    /// What it takes.
    AuthRequired {
        /// Nothing.
        None = 0,
        /// A signature or a proof.
        Either = 1,
        /// A proof.
        Proof = 2,
        /// A signature.
        Signature = 3,
        /// More than there is.
        Impossible = 4,
    }
}

record! {
    /// From when on which part of the balance may be spent.
    Timing {
        /// What may not be spent at first, in nanomina.
        initial_minimum_balance: u64,
        /// The global slot of the first release.
        cliff_time: Slot,
        /// What it releases.
        cliff_amount: u64,
        /// Slots between releases.
        vesting_period: Slot,
        /// What each of them releases.
        vesting_increment: u64,
    }
}
