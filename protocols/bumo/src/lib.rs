//! Speaks BUMO.
//!
//! The overlay of `bumo` 1.3.3: one protobuf message in each WebSocket message, a claim of a name for a handshake, a
//! ledger every ten seconds that two thirds of the validators signed.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod hash;
pub mod keys;
pub mod ledger;
pub mod proof;
pub mod wire;
