//! Stories of a BUMO ledger, told through its public door.

#[expect(clippy::unwrap_used, reason = "helpers of tests fail where they stand")]
mod captured;
#[expect(clippy::unwrap_used, reason = "helpers of tests fail where they stand")]
mod world;
