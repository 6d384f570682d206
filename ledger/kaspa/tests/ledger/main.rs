//! Stories of a Kaspa ledger, told through its public door.

mod disk;
mod faults;
mod floods;
mod mempool;
mod orders;
mod producing;
mod serving;
mod torn;
mod world;
