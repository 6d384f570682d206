//! Tells the ledger's stories through its public door.

mod vectors;
#[expect(clippy::unwrap_used, reason = "helpers of tests fail where they stand")]
mod world;
