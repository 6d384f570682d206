//! Runs the target `address_book` under cargo-fuzz; `src/targets.rs` says what it does.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| polypeer_fuzz::run("address_book", input));
