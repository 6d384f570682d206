//! Judges our Kaspa by real kaspads, and the spec too.
fn main() {}
