//! Judges the Kaspa ledger's proof of work by kaspad's own crate. All of it is in the tests.
