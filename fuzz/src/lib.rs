//! Throws arbitrary bytes and actions at everything that reads them.
//!
//! Each target is a small program in `targets/`; what several need is here: a host for an engine that checks the
//! border's rules at every step ([`session`]), a ledger that answers by chance ([`ledger`]), framers fed in
//! pieces ([`pieces`]), and journals as inputs and as what an input did ([`recorded`]).
#![forbid(unsafe_code)]

pub mod ledger;
pub mod pieces;
pub mod recorded;
pub mod session;
