//! Reads and writes user commands, and names them (Mina spec, section 4.3).
//!
//! | part of a zkApp command | type |
//! |---|---|
//! | command | [`ZkappCommand`]: [`FeePayer`], a forest of [`Call`]s, [`Memo`] |
//! | call | [`Call`]: [`AccountUpdate`], unit, the calls that it makes, unit |
//! | account update | [`AccountUpdate`]: [`UpdateBody`], [`Authorization`] |
//! | body of an update | [`UpdateBody`]: whose account, [`Changes`], balance, events, actions, [`Preconditions`], flags |
//!
//! The layouts are facts of the public type definitions (`Mina_base.User_command.Stable.V2`,
//! `Mina_base.Account_update.Stable.V1`).

mod call;
mod changes;
mod id;
mod memo;
mod preconditions;
mod signed;
mod update;
mod verification_key;

pub use call::{Call, FeePayer, ZkappCommand};
pub use changes::{AuthRequired, Changes, Permissions, SetOrKeep, Timing};
pub use id::transaction_id;
pub use memo::{MEMO_BYTES, Memo};
pub use preconditions::{
    AccountPrecondition, CheckOrIgnore, EpochPrecondition, Preconditions, ProtocolPrecondition, Range,
};
pub use signed::{Payload, Payment, SignedCommand, StakeDelegation};
pub use update::{AccountUpdate, Authorization, AuthorizationKind, Events, MayUseToken, UpdateBody};
pub use verification_key::{VerificationIndex, VerificationKey};

use crate::binprot::{Seq, Whole, choice};
use crate::block::PublicKey;

/// Account updates that one may hold directly. The network's cost limit lets a command have some 14 in all.
pub const UPDATES_MAX: usize = 64;
/// Events, or actions, of an account update. The network allows 100 field elements in all events of a command; events
/// without elements are not counted.
pub const EVENTS_MAX: usize = 1_024;
/// Commands of a gossiped diff: as many as a pool holds (`pool_max_size`, section 1.3).
pub const DIFF_COMMANDS_MAX: usize = 3_000;

/// A gossiped diff of the transaction pool.
pub type Commands<'a> = Seq<'a, Whole<'a, UserCommand<'a>>, DIFF_COMMANDS_MAX>;

choice! {
    /// What a user wants done.
    UserCommand<'a> {
        /// A payment or a delegation.
        Signed(SignedCommand<'a>) = 0,
        /// Account updates.
        Zkapp(ZkappCommand<'a>) = 1,
    }
}

impl UserCommand<'_> {
    /// Whose fee and nonce it takes.
    pub fn fee_payer(&self) -> &PublicKey {
        match self {
            Self::Signed(command) => &command.fee_payer,
            Self::Zkapp(command) => &command.fee_payer.public_key,
        }
    }

    /// Its number among the payer's.
    pub fn nonce(&self) -> u32 {
        match self {
            Self::Signed(command) => command.nonce,
            Self::Zkapp(command) => command.fee_payer.nonce,
        }
    }

    /// What it pays for being included, in nanomina.
    pub fn fee(&self) -> u64 {
        match self {
            Self::Signed(command) => command.fee,
            Self::Zkapp(command) => command.fee_payer.fee,
        }
    }

    /// The last global slot in which it may be included; nothing when it says none.
    pub fn valid_until(&self) -> Option<u32> {
        match self {
            Self::Signed(command) => Some(command.valid_until.0),
            Self::Zkapp(command) => command.fee_payer.valid_until.map(|slot| slot.0),
        }
    }
}
