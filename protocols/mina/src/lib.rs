//! Speaks Mina.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod binprot;
pub mod block;
pub mod checks;
pub mod command;
pub mod config;
pub mod consensus;
pub mod envelope;
pub mod hash;
pub mod keys;
pub mod ledger;
pub mod multiaddr;
pub mod snark;
pub mod streams;
