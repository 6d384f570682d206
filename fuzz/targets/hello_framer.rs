//! Hello's framer: any split of a stream gives the same lines, each with its one end.
#![no_main]

use libfuzzer_sys::fuzz_target;
use polypeer_engine::Framed;
use polypeer_fuzz::pieces::cut;
use polypeer_hello::wire::{Lines, OPEN};

fuzz_target!(|input: (Vec<u8>, Vec<u8>, u8, u16)| {
    let (stream, sizes, opened, max) = input;
    let lines = Lines::new(usize::from(max) + 1);
    let whole = cut(lines.clone(), &stream, &[], usize::from(opened), OPEN);
    assert_eq!(whole, cut(lines, &stream, &sizes, usize::from(opened), OPEN));
    for given in &whole.given {
        if let Framed::Frame(line) = given {
            assert_eq!(line.iter().position(|byte| *byte == b'\n'), Some(line.len() - 1));
        }
    }
});
