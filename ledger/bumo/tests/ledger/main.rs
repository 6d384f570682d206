//! Stories of a BUMO ledger, told through its public door.

#[expect(clippy::unwrap_used, reason = "helpers of tests fail where they stand")]
mod captured;
#[expect(clippy::unwrap_used, reason = "helpers of tests fail where they stand")]
mod disks;
mod door;
#[expect(clippy::unwrap_used, reason = "helpers of tests fail where they stand")]
mod executing;
mod following;
#[expect(clippy::unwrap_used, reason = "helpers of tests fail where they stand")]
mod model;
#[expect(clippy::unwrap_used, reason = "helpers of tests fail where they stand")]
mod proposing;
mod reading;
mod sharing;
#[expect(clippy::unwrap_used, reason = "helpers of tests fail where they stand")]
mod votes;
#[expect(clippy::unwrap_used, reason = "helpers of tests fail where they stand")]
mod world;
