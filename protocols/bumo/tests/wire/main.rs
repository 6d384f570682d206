//! Checks the wire against messages of real nodes, the spec's vectors, a stock codec and everything malformed.

mod altered;
mod bad;
mod captured;
mod fixtures;
mod keys;
mod limits;
mod oracle;
mod pairs;
mod proofs;
mod stock;
mod table;
mod vectors;
mod verify;
