//! Stories of a pruned network's state that comes in, piece by piece, from what a real node sent.

mod above;
mod again;
mod altered;
mod bounds;
mod catching_up;
mod kept;
mod older;
mod resuming;
#[expect(clippy::unwrap_used, reason = "helpers of tests fail where they stand")]
mod syncer;
mod whole;
#[expect(clippy::unwrap_used, reason = "helpers of tests fail where they stand")]
mod world;
