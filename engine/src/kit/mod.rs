//! Lends parts that more than one protocol uses: opt-in, pure, bounded.

pub mod bucket;
pub mod chain;
pub mod cost;
pub mod protobuf;
pub mod seen;
