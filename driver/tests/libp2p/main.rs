//! Tells how libp2p carries a network: with our own kind, and with those who mean harm. What two other nodes said is
//! played to the transport itself, in `driver/src/libp2p/recorded.rs`.

mod abuse;
mod closing;
mod conservation;
mod memory;
mod opening;
mod raw;
mod rules;
mod talking;
mod toy;
