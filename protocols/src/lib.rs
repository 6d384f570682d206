//! Lists the networks: one crate each, one line each.
#![no_std]
#![forbid(unsafe_code)]

pub use polypeer_anya as anya;
pub use polypeer_bumo as bumo;
pub use polypeer_hello as hello;
pub use polypeer_kaspa as kaspa;
pub use polypeer_mina as mina;
