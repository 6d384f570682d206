//! Stories of a Mina ledger, told through its public door.

#[expect(clippy::unwrap_used, reason = "helpers of tests fail where they stand")]
mod bounds;
#[expect(clippy::unwrap_used, reason = "helpers of tests fail where they stand")]
mod choosing;
#[expect(clippy::unwrap_used, reason = "helpers of tests fail where they stand")]
mod disk;
#[expect(clippy::unwrap_used, reason = "helpers of tests fail where they stand")]
mod fetching;
#[expect(clippy::unwrap_used, reason = "helpers of tests fail where they stand")]
mod made;
#[expect(clippy::unwrap_used, reason = "helpers of tests fail where they stand")]
mod model;
#[expect(clippy::unwrap_used, reason = "helpers of tests fail where they stand")]
mod pools;
#[expect(clippy::unwrap_used, reason = "helpers of tests fail where they stand")]
mod producing;
#[expect(clippy::unwrap_used, reason = "helpers of tests fail where they stand")]
mod restart;
#[expect(clippy::unwrap_used, reason = "helpers of tests fail where they stand")]
mod serving;
#[expect(clippy::unwrap_used, reason = "helpers of tests fail where they stand")]
mod torn;
#[expect(clippy::unwrap_used, reason = "helpers of tests fail where they stand")]
mod world;
