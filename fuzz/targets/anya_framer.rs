//! AnYa's framer: any split of a stream gives the same frames, and frames are what the stream holds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use polypeer_anya::wire::{Framer, PHASE_OPEN, PHASE_POOL_AWAITED};
use polypeer_anya::{Anya, Config};
use polypeer_engine::{Direction, Framed, Protocol};
use polypeer_fuzz::pieces::cut;
use polypeer_ledger_reference::Format;

fuzz_target!(|input: (Vec<u8>, Vec<u8>, u8, bool, bool)| {
    let (stream, sizes, opened, is_dialled, awaits_pool) = input;
    let direction = if is_dialled { Direction::Outbound } else { Direction::Inbound };
    let framer: Framer = Anya::<Format>::framer(&Config::default(), 0, direction);
    let open = if awaits_pool { PHASE_POOL_AWAITED } else { PHASE_OPEN };
    let whole = cut(framer.clone(), &stream, &[], usize::from(opened), open);
    assert_eq!(whole, cut(framer, &stream, &sizes, usize::from(opened), open));
    let framed: usize = whole.given.iter().map(|given| if let Framed::Frame(frame) = given { frame.len() } else { 0 }).sum();
    assert!(framed <= stream.len());
});
