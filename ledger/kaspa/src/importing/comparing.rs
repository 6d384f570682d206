//! Compares a proof with the one that is held, level by level as a full node does.
//!
//! The lowest level on which the proof is long enough, and which shares a block with what is held, decides: by the work
//! that each shows above the highest one that they share. Where no level does, a proof is better that is long enough on a
//! level on which the other is not. A full node counts blue blocks only; here all count, since each one cost the work.

use super::proof::shown;
use crate::params::Params;
use crate::work::Work as Amount;
use bytes::Bytes;
use polypeer_engine::kit::chain::Hash;
use polypeer_kaspa::wire::Header;
use std::collections::HashMap;

/// A level's headers in topological order, each with the work that it shows there.
pub(super) type Level = Vec<(Hash, Amount)>;

/// Reads the headers of a level; what does not decode is none.
pub(super) fn level_of(items: &[Bytes], level: u8, params: &Params) -> Level {
    let headers = items.iter().filter_map(|bytes| Header::decode(bytes).ok());
    headers.map(|header| (header.hash(), shown(&header, level, params))).collect()
}

/// Whether a proof is better than the one that is held. The levels are given from the lowest up: the proof's, and those
/// of what is held; a level is long that has so many headers.
pub(super) fn is_better(levels: impl Iterator<Item = (Level, Level)>, long: usize) -> bool {
    let mut is_longer = false;
    for (new, held) in levels {
        if new.len() < long {
            continue;
        }
        is_longer |= held.len() < long;
        let places: HashMap<Hash, usize> = held.iter().enumerate().map(|(place, (hash, _))| (*hash, place)).collect();
        let shared = new.iter().enumerate().rev().find_map(|(at, (hash, _))| Some((at, *places.get(hash)?)));
        if let Some((at, held_at)) = shared {
            return above(&new, at) > above(&held, held_at);
        }
    }
    is_longer
}

/// The work above a place.
fn above(level: &Level, place: usize) -> Amount {
    let works = level.iter().skip(place + 1).map(|(_, work)| *work);
    works.fold(Amount::ZERO, Amount::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: usize = 4;

    /// Blocks of so much work each, by their names.
    fn level(names: impl IntoIterator<Item = u8>, work: u64) -> Level {
        names.into_iter().map(|name| (Hash([name; 32]), Amount::from_u64(work))).collect()
    }

    fn check(levels: &[(Level, Level)], expected: bool) {
        assert_eq!(is_better(levels.iter().cloned(), LONG), expected, "{levels:?}");
    }

    #[test]
    fn the_lowest_long_level_that_is_shared_decides() {
        let (held, longer) = (level(0..6, 1), level(0..7, 1));
        check(&[(longer.clone(), held.clone())], true);
        check(&[(held.clone(), held.clone())], false);
        check(&[(held.clone(), longer.clone())], false);
        // Other blocks above the third, fewer and with more work, and as much.
        let fork = |names, work| [level(0..3, 1), level(names, work)].concat();
        check(&[(fork(10..12, 2), held.clone())], true);
        check(&[(fork(10..13, 1), held.clone())], false);
        // The level above is not asked.
        check(&[(held.clone(), held.clone()), (longer.clone(), held.clone())], false);
        // One that is short, or shares nothing, says nothing.
        check(&[(level(0..3, 9), level(0..2, 1)), (longer.clone(), held.clone())], true);
        check(&[(level(20..29, 9), level(30..39, 1)), (held.clone(), longer.clone())], false);
    }

    #[test]
    fn where_nothing_is_shared_a_level_more_decides() {
        let (one, other) = (level(0..5, 1), level(10..15, 1));
        check(&[(one.clone(), other.clone()), (one.clone(), level(10..13, 1))], true);
        check(&[(one.clone(), other.clone()), (level(0..3, 1), other.clone())], false);
        check(&[(one.clone(), other)], false);
        check(&[(one, Level::new())], true);
        check(&[(Level::new(), Level::new())], false);
    }
}
