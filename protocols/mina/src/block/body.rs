//! A block's body: the staged ledger diff.

use super::{COMMANDS_MAX, INTERNALS_MAX, PublicKey, Status, WORKS_MAX};
use crate::binprot::{Seq, Whole, choice, record};
use crate::command::UserCommand;
use crate::snark::Work;

record! {
    /// What a block does. The second part exists when the tree of work that the first one fills is full.
    Body<'a> {
        /// What goes into the tree that is being filled.
        first: FirstDiff<'a>,
        /// What goes into the next one.
        second: Option<SecondDiff<'a>>,
    }
}

record! {
    /// A partial diff with at most two coinbases.
    FirstDiff<'a> {
        /// Proofs that were bought.
        works: Seq<'a, Work<'a>, WORKS_MAX>,
        /// Commands, and what became of them.
        commands: Seq<'a, Judged<'a>, COMMANDS_MAX>,
        /// The coinbase, and who gets how much of it for proofs.
        coinbase: FirstCoinbase,
        /// What became of coinbase and fee transfers.
        internals: Seq<'a, Status<'a>, INTERNALS_MAX>,
    }
}

record! {
    /// A partial diff with at most one coinbase.
    SecondDiff<'a> {
        /// Proofs that were bought.
        works: Seq<'a, Work<'a>, WORKS_MAX>,
        /// Commands, and what became of them.
        commands: Seq<'a, Judged<'a>, COMMANDS_MAX>,
        /// The coinbase, and who gets how much of it for proofs.
        coinbase: SecondCoinbase,
        /// What became of coinbase and fee transfers.
        internals: Seq<'a, Status<'a>, INTERNALS_MAX>,
    }
}

record! {
    /// A command, and what became of it.
    Judged<'a> {
        /// The command.
        command: Whole<'a, UserCommand<'a>>,
        /// What became of it.
        status: Status<'a>,
    }
}

choice! {
    /// How the coinbase is split in the first diff.
    FirstCoinbase {
        /// It is not here.
        Zero = 0,
        /// Once, maybe with a transfer out of it.
        One(Option<FeeTransfer>) = 1,
        /// In two parts, each maybe with a transfer out of it.
        Two(Option<(FeeTransfer, Option<FeeTransfer>)>) = 2,
    }
}

choice! {
    /// How the coinbase is split in the second diff.
    SecondCoinbase {
        /// It is not here.
        Zero = 0,
        /// Once, maybe with a transfer out of it.
        One(Option<FeeTransfer>) = 1,
    }
}

record! {
    /// Part of a coinbase that goes to a prover.
    FeeTransfer {
        /// Who gets it.
        receiver: PublicKey,
        /// How much, in nanomina.
        fee: u64,
    }
}

impl<'a> Body<'a> {
    /// A body that does nothing and says so.
    pub const EMPTY: Self = Self {
        first: FirstDiff {
            works: Seq::EMPTY,
            commands: Seq::EMPTY,
            coinbase: FirstCoinbase::Zero,
            internals: Seq::EMPTY,
        },
        second: None,
    };

    /// All its commands, in order.
    pub fn commands(&self) -> impl Iterator<Item = Judged<'a>> + use<'a> {
        self.first.commands.iter().chain(self.second.map(|second| second.commands.iter()).into_iter().flatten())
    }

    /// All the work it buys, in order.
    pub fn works(&self) -> impl Iterator<Item = Work<'a>> + use<'a> {
        self.first.works.iter().chain(self.second.map(|second| second.works.iter()).into_iter().flatten())
    }
}
