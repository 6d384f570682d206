//! What became of a transaction.

use super::FAILURES_MAX;
use crate::binprot::{Seq, choice};

/// For each account update the reasons why it failed.
pub type FailureTable<'a> = Seq<'a, Seq<'a, Failure, FAILURES_MAX>, FAILURES_MAX>;

choice! {
    /// What became of a transaction.
    Status<'a> {
        /// It did what it says.
        Applied = 0,
        /// It paid its fee and did nothing else.
        Failed(FailureTable<'a>) = 1,
    }
}

choice! {
    /// Why an account update failed.
    Failure {
        /// A precondition, unspecified.
        Predicate = 0,
        /// The payer has no account.
        SourceNotPresent = 1,
        /// The receiver has no account.
        ReceiverNotPresent = 2,
        /// Too little for a new account.
        AmountInsufficientToCreateAccount = 3,
        /// A new account is not paid for in this token.
        CannotPayCreationFeeInToken = 4,
        /// The payer has too little.
        SourceInsufficientBalance = 5,
        /// The payer may not spend that much yet.
        SourceMinimumBalanceViolation = 6,
        /// The receiver has an account already.
        ReceiverAlreadyExists = 7,
        /// The caller does not own the token.
        TokenOwnerNotCaller = 8,
        /// A balance overflows.
        Overflow = 9,
        /// The excess of all overflows.
        GlobalExcessOverflow = 10,
        /// The command's excess overflows.
        LocalExcessOverflow = 11,
        /// The command's supply overflows.
        LocalSupplyIncreaseOverflow = 12,
        /// The supply of all overflows.
        GlobalSupplyIncreaseOverflow = 13,
        /// The account wants zkApp commands.
        SignedCommandOnZkappAccount = 14,
        /// There is no such zkApp.
        ZkappAccountNotPresent = 15,
        /// The balance may not be changed.
        UpdateNotPermittedBalance = 16,
        /// Nobody may touch the account.
        UpdateNotPermittedAccess = 17,
        /// The timing may not be changed.
        UpdateNotPermittedTiming = 18,
        /// The delegate may not be changed.
        UpdateNotPermittedDelegate = 19,
        /// The app state may not be changed.
        UpdateNotPermittedAppState = 20,
        /// The verification key may not be changed.
        UpdateNotPermittedVerificationKey = 21,
        /// The action state may not be changed.
        UpdateNotPermittedActionState = 22,
        /// The zkApp's URI may not be changed.
        UpdateNotPermittedZkappUri = 23,
        /// The token symbol may not be changed.
        UpdateNotPermittedTokenSymbol = 24,
        /// The permissions may not be changed.
        UpdateNotPermittedPermissions = 25,
        /// The nonce may not be changed.
        UpdateNotPermittedNonce = 26,
        /// The voting for may not be changed.
        UpdateNotPermittedVotingFor = 27,
        /// The command could be repeated.
        ZkappCommandReplayCheckFailed = 28,
        /// The fee payer's nonce stays.
        FeePayerNonceMustIncrease = 29,
        /// The fee payer did not sign.
        FeePayerMustBeSigned = 30,
        /// The account's balance is another.
        AccountBalancePreconditionUnsatisfied = 31,
        /// The account's nonce is another.
        AccountNoncePreconditionUnsatisfied = 32,
        /// The account's receipt chain hash is another.
        AccountReceiptChainHashPreconditionUnsatisfied = 33,
        /// The account's delegate is another.
        AccountDelegatePreconditionUnsatisfied = 34,
        /// The account's action state is another.
        AccountActionStatePreconditionUnsatisfied = 35,
        /// A field of the zkApp's state is another.
        AccountAppStatePreconditionUnsatisfied(u64) = 36,
        /// The account's proved state is another.
        AccountProvedStatePreconditionUnsatisfied = 37,
        /// The account's is new is another.
        AccountIsNewPreconditionUnsatisfied = 38,
        /// The chain is in another state.
        ProtocolStatePreconditionUnsatisfied = 39,
        /// The proof is for another key.
        UnexpectedVerificationKeyHash = 40,
        /// It is too early or too late.
        ValidWhilePreconditionUnsatisfied = 41,
        /// Another nonce is next.
        IncorrectNonce = 42,
        /// The updates do not add up.
        InvalidFeeExcess = 43,
        /// Another update failed.
        Cancelled = 44,
    }
}
