//! Runs the target `bumo_keys` under cargo-fuzz; `src/targets.rs` says what it does.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| polypeer_fuzz::run("bumo_keys", input));
