//! Tells the ledger's stories through its public door.

mod blocks;
mod disk;
mod future;
mod mempool;
mod model;
mod producing;
mod reading;
mod reorganisation;
mod restart;
mod side;
mod signatures;
mod torn;
mod vectors;
#[expect(clippy::unwrap_used, reason = "helpers of tests fail where they stand")]
mod world;
