//! Throws arbitrary bytes and actions at everything that reads them.
//!
//! Every target is a function from bytes that panics when something is wrong, listed in [`TARGETS`]. Two programs call
//! them: cargo-fuzz, with coverage and a nightly toolchain (`targets/any.rs`), and `mutate`, on any toolchain, which changes
//! real messages by rules of its own ([`mutator`]) and repeats itself to the byte for a seed.
//!
//! What several targets need is here too: a host for an engine that checks the border's rules at every step
//! ([`session`]), a ledger that answers by chance ([`ledger`]), and framers fed in pieces ([`pieces`]), and
//! journals as inputs and as what an input did ([`recorded`]).
#![forbid(unsafe_code)]

#[cfg(feature = "node")]
pub mod address_book;
pub mod anya;
#[cfg(feature = "node")]
pub mod api;
#[cfg(feature = "node")]
pub mod as_map;
pub mod bumo;
pub mod files;
pub mod hello;
pub mod journal;
pub mod kaspa;
pub mod ledger;
pub mod ledger_bytes;
pub mod mina;
pub mod mina_mesh;
pub mod mina_streams;
pub mod mutator;
pub mod pieces;
pub mod recorded;
#[cfg(feature = "node")]
pub mod recording;
pub mod records;
pub mod session;
#[cfg(feature = "node")]
pub mod settings;
pub mod simulation;
mod targets;
#[cfg(feature = "node")]
pub mod websocket;

pub use targets::{SEEDS, Seeds, TARGETS, Target, find};
