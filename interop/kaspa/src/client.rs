//! Plays a peer from a script: says what a row wants said, and reports what comes back.
//!
//! It shares nothing with the implementation that it judges: tonic carries, prost spells, and the hashes are its own.

pub(crate) mod chain;
pub(crate) mod hashing;
mod line;
mod peer;
mod service;
pub(crate) mod wire;

pub(crate) use line::{Gzip, Line, dial};
pub(crate) use peer::{Heard, Hello, Manners, Peer, Refused, SHORTLY};
pub(crate) use service::Listener;
