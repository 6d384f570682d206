//! Breaks recordings as `polypeer replay` reads them.

use crate::journal::hashed;
use polypeer::driver::{ReplayError, replay_from};
use polypeer_anya::Anya;
use polypeer_hello::Hello;
use polypeer_hello::tracker::Tracker;
use polypeer_ledger_reference::Format;

/// Any bytes are a recording or an error. The first bit says whether they are the file itself or its entries without
/// their hashes, so that what is inside is reached.
pub fn replayed(input: &[u8]) {
    let Some((flag, bytes)) = input.split_first() else { return };
    let file = if flag & 1 == 0 { bytes.to_vec() } else { hashed(bytes) };
    let errors = [
        replay_from::<Anya<Format>>(&file[..]).err(),
        replay_from::<Hello<Format>>(&file[..]).err(),
        replay_from::<Tracker>(&file[..]).err(),
    ];
    let of_file = |error: &ReplayError| match error {
        ReplayError::Damaged { offset, .. } => *offset <= file.len() as u64,
        ReplayError::Differs { offset, .. }
        | ReplayError::Rule { offset, .. }
        | ReplayError::Panicked { offset, .. } => *offset < file.len() as u64,
        ReplayError::Read(_) | ReplayError::Foreign | ReplayError::Version { .. } | ReplayError::Other(_) => true,
    };
    assert!(errors.iter().flatten().all(of_file), "an error is told with its place: {errors:?}");
}
