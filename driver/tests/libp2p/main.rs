//! Tells how libp2p carries a network: with our own kind, with the libraries that stock nodes are made of, and with those
//! who mean harm.

mod talking;
mod toy;
