//! Checks what is decoded against real blocks, the spec's vectors, a stock codec and everything malformed.

mod altered;
mod anew;
mod captured;
mod envelopes;
mod fixtures;
mod forks;
mod hashes;
mod ids;
mod judged;
mod limits;
mod made;
mod numbers;
mod oracle;
mod points;
mod refused;
mod stock;
mod texts;
