//! Runs a target under cargo-fuzz: `POLYPEER_FUZZ_TARGET` says which, `src/targets.rs` lists them and says what they do.
#![no_main]

use std::sync::LazyLock;

static CHOSEN: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let name = std::env::var("POLYPEER_FUZZ_TARGET").unwrap_or_default();
    polypeer_fuzz::find(&name).unwrap_or_else(|text| panic!("POLYPEER_FUZZ_TARGET: {text}")).run
});

libfuzzer_sys::fuzz_target!(|input: &[u8]| CHOSEN(input));
