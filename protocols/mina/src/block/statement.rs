//! What proofs of transactions prove.

use super::{FailureTable, SignedAmount};
use crate::binprot::{Fp, record};

record! {
    /// That transactions lead from one state of ledgers to another. In a block's state, in work and in the statements of
    /// work a `sok_digest` follows.
    Statement<'a> {
        /// Before.
        source: Registers<'a>,
        /// After.
        target: Registers<'a>,
        /// The ledger that the left neighbour's second pass ends with.
        connecting_ledger_left: Fp,
        /// The ledger that the right neighbour's second pass begins with.
        connecting_ledger_right: Fp,
        /// How much more there is.
        supply_increase: SignedAmount,
        /// Fees of the leftmost token.
        fee_excess_left: FeeExcess,
        /// Fees of the rightmost token.
        fee_excess_right: FeeExcess,
    }
}

record! {
    /// A state of ledgers in the middle of transactions.
    Registers<'a> {
        /// The ledger as of the first pass.
        first_pass_ledger: Fp,
        /// The ledger as of the second pass.
        second_pass_ledger: Fp,
        /// The coinbases' stack: the data.
        coinbase_data: Fp,
        /// The coinbases' stack: the state it began with.
        coinbase_state_init: Fp,
        /// The coinbases' stack: the state now.
        coinbase_state_current: Fp,
        /// How far a zkApp command has come.
        local: LocalState<'a>,
    }
}

record! {
    /// How far a zkApp command has come.
    LocalState<'a> {
        /// Who calls.
        stack_frame: Fp,
        /// Who called those that call.
        call_stack: Fp,
        /// What the updates commit to.
        commitment: Fp,
        /// The same with fee payer and memo.
        full_commitment: Fp,
        /// What the updates have left over.
        excess: SignedAmount,
        /// How much more there is.
        supply_increase: SignedAmount,
        /// The ledger.
        ledger: Fp,
        /// Whether none failed.
        success: bool,
        /// Which update is next.
        account_update_index: u32,
        /// Why updates failed. Not hashed.
        failures: FailureTable<'a>,
        /// Whether none will fail.
        will_succeed: bool,
    }
}

record! {
    /// Fees that transactions leave over, in one token.
    FeeExcess {
        /// Which token.
        token: Fp,
        /// How much.
        amount: SignedAmount,
    }
}
