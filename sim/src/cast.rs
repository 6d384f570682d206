//! Says what a scenario needs of a network beyond its protocol: a ledger to hold, something to publish, and a look at
//! what is held.

use crate::chain::Lie;
use crate::disk::Disk;
use bytes::Bytes;
use polypeer_engine::{Ledger, Protocol};
use std::time::Duration;

/// What is published and delivered: a block's or a transaction's identifier.
pub type Id = [u8; 32];

/// A network that can be simulated. One value serves a whole run.
pub trait Cast {
    /// What its nodes speak.
    type Protocol: Protocol;
    /// What they hold.
    type Ledger: Held<Request = <Self::Protocol as Protocol>::Request, Answer = <Self::Protocol as Protocol>::Answer>;

    /// The network's own section, for this node.
    fn config(&self, node: usize) -> <Self::Protocol as Protocol>::Config;

    /// What a node proves to be, where the transport has it prove that. Nothing when anything will do.
    fn identity(&self, _: usize) -> Option<Bytes> {
        None
    }

    /// When a world of it begins, in milliseconds since 1970.
    fn epoch_ms(&self) -> u64;

    /// Opens a node's ledger on its disk, made when there is nothing on it.
    ///
    /// # Errors
    /// What the ledger says. It is a violation when the disk is whole.
    fn open(&self, disk: &Disk, seat: &LedgerSeat) -> Result<Self::Ledger, String>;

    /// The `nth` thing that the operator of node `author` publishes, counted from 0, as the node's API would ask for
    /// it; and its identifier. Nothing when this author has nothing to publish.
    fn publish(&self, author: usize, nth: u64) -> Option<(<Self::Protocol as Protocol>::Request, Id)>;

    /// How long the next block may take to come to every honest node, once all is mended and they are connected; nothing
    /// where chance decides when a block comes.
    fn patience(&self) -> Option<Duration> {
        None
    }

    /// Faults, by name, for which honest nodes let go of each other in calm weather too: of two connections that cross
    /// one is refused.
    fn no_blame(&self) -> &'static [&'static str] {
        &[]
    }
}

/// How a node's ledger is opened.
#[derive(Clone, Copy, Debug)]
pub struct LedgerSeat {
    /// The node's number.
    pub node: usize,
    /// How often it makes a block, if it does.
    pub block_interval: Option<Duration>,
    /// How it lies, if it does.
    pub lie: Option<Lie>,
    /// Seeds what it draws.
    pub seed: [u8; 32],
}

/// A ledger whose keeper tells what has come.
pub trait Held: Ledger {
    /// What has come since the last call.
    fn news(&self) -> Vec<News>;

    /// Makes no block from its next turn on.
    fn halt(&self);

    /// The end of its chain.
    fn tip(&self) -> End;

    /// Whether this is a block of its chain.
    fn is_on_chain(&self, id: &Id) -> bool;

    /// Whether it holds this, waiting or settled, on the chain or off it.
    fn holds(&self, id: &Id) -> bool;
}

/// The end of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// How many blocks are below it.
    pub height: u64,
    /// Its newest block.
    pub id: Id,
}

/// What has come to a ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// It took a block.
    Block {
        /// Which.
        id: Id,
        /// Whether nobody had it before: it made it itself, or agreed on it with others.
        is_own: bool,
        /// Whether it must survive a crash from now on.
        is_durable: bool,
    },
    /// It took a block in whose place no other can ever be.
    Final {
        /// How many blocks are below it.
        height: u64,
        /// Which.
        id: Id,
    },
    /// It took a transaction.
    Transaction {
        /// Which.
        id: Id,
        /// Whether it must survive a crash.
        is_durable: bool,
    },
    /// It called something new that the protocol handed it.
    New {
        /// Which.
        id: Id,
    },
}
