//! Stories of a Kaspa ledger, told through its public door.

#[expect(clippy::unwrap_used, reason = "helpers of tests fail where they stand")]
mod disk;
#[expect(clippy::unwrap_used, reason = "helpers of tests fail where they stand")]
mod faults;
#[expect(clippy::unwrap_used, reason = "helpers of tests fail where they stand")]
mod floods;
#[expect(clippy::unwrap_used, reason = "helpers of tests fail where they stand")]
mod mempool;
#[expect(clippy::unwrap_used, reason = "helpers of tests fail where they stand")]
mod orders;
#[expect(clippy::unwrap_used, reason = "helpers of tests fail where they stand")]
mod producing;
#[expect(clippy::unwrap_used, reason = "helpers of tests fail where they stand")]
mod relaying;
#[expect(clippy::unwrap_used, reason = "helpers of tests fail where they stand")]
mod serving;
#[expect(clippy::unwrap_used, reason = "helpers of tests fail where they stand")]
mod torn;
#[expect(clippy::unwrap_used, reason = "helpers of tests fail where they stand")]
mod world;
