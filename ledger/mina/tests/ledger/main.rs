//! Stories of a Mina ledger, told through its public door.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail where they stand")]

mod bounds;
mod choosing;
mod disk;
mod fetching;
mod made;
mod model;
mod pools;
mod producing;
mod restart;
mod serving;
mod torn;
mod world;
