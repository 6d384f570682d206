//! Measures ours beside its peers.
fn main() {}
