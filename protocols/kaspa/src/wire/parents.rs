//! Parents by level, equal neighbours in one run (Kaspa spec, section 2.6).

use super::WireError;
use super::proto::{Fields, Writer, hash};
use alloc::vec::Vec;
use polypeer_engine::kit::chain::Hash;

/// Levels of a header (section 1.3).
pub const LEVELS_MAX: usize = 255;
/// Hashes of a header's parents, expanded (section 1.3): 2,048 at each level.
pub const PARENTS_EXPANDED_MAX: usize = LEVELS_MAX * 2048;

/// A header's parents: for each level an ordered list, stored once for levels that have the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parents {
    hashes: Vec<Hash>,
    runs: Vec<Run>,
    // Hashes with each run's counted once for each of its levels.
    expanded: usize,
}

// Where a run ends: the one before says where it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    levels: u8,
    hashes: u32,
}

impl Parents {
    /// The parents with these lists from level 0 on; nothing beyond the limits of section 1.3.
    pub fn of_levels<'a>(levels: impl IntoIterator<Item = &'a [Hash]>) -> Option<Self> {
        let mut parents = Self::default();
        for (index, level) in levels.into_iter().enumerate() {
            let cumulative = u8::try_from(index + 1).ok()?;
            parents.expanded += level.len();
            if parents.expanded > PARENTS_EXPANDED_MAX {
                return None;
            }
            let same = parents.runs().next_back().is_some_and(|(_, hashes)| hashes == level);
            match parents.runs.last_mut() {
                Some(run) if same => run.levels = cumulative,
                _ => {
                    parents.hashes.extend_from_slice(level);
                    parents.runs.push(Run { levels: cumulative, hashes: parents.hashes.len() as u32 });
                }
            }
        }
        Some(parents)
    }

    /// How many levels have parents.
    pub fn level_count(&self) -> usize {
        self.runs.last().map_or(0, |run| usize::from(run.levels))
    }

    /// The parents at a level; none above the last.
    pub fn level(&self, level: usize) -> &[Hash] {
        self.runs().find(|(levels, _)| level < usize::from(*levels)).map_or(&[], |(_, hashes)| hashes)
    }

    /// The lists of all levels from 0 on, expanded.
    pub fn levels(&self) -> impl Iterator<Item = &[Hash]> + Clone {
        let mut before = 0;
        self.runs().flat_map(move |(levels, hashes)| {
            let count = levels.saturating_sub(before);
            before = levels;
            core::iter::repeat_n(hashes, usize::from(count))
        })
    }

    /// The runs: up to how many levels, and the list that they share.
    pub fn runs(&self) -> impl DoubleEndedIterator<Item = (u8, &[Hash])> + Clone {
        self.runs.iter().enumerate().map(|(index, run)| {
            let before = index.checked_sub(1).and_then(|before| self.runs.get(before));
            let start = before.map_or(0, |run| run.hashes as usize);
            (run.levels, self.hashes.get(start..run.hashes as usize).unwrap_or_default())
        })
    }

    /// How many hashes the levels have together: what hashing the header costs. A few bytes can stand for many.
    pub fn expanded_count(&self) -> usize {
        self.expanded
    }

    /// Every hash of every run, each run's once.
    pub fn hashes(&self) -> &[Hash] {
        &self.hashes
    }

    // Takes the next `BlockLevelParents`.
    pub(super) fn read_run(&mut self, message: &[u8]) -> Result<(), WireError> {
        let start = self.hashes.len();
        let mut levels = 0;
        let mut fields = Fields::of(message);
        while let Some((number, value)) = fields.next()? {
            match number {
                1 => self.hashes.push(hash(value.bytes()?)?),
                2 => levels = value.u32()?,
                _ => {}
            }
        }
        let levels = u8::try_from(levels).map_err(|_| WireError::OutOfRange)?;
        self.end_run(start, levels)
    }

    // Everything from `start` on is the next run.
    fn end_run(&mut self, start: usize, levels: u8) -> Result<(), WireError> {
        let before = self.runs.last().map_or(0, |run| run.levels);
        let count = levels.checked_sub(before).filter(|count| *count > 0).ok_or(WireError::LevelsNotIncreasing)?;
        let hashes = self.hashes.get(start..).unwrap_or_default();
        if self.runs().next_back().is_some_and(|(_, previous)| previous == hashes) {
            return Err(WireError::EqualRuns);
        }
        self.expanded = self.expanded.saturating_add(hashes.len().saturating_mul(usize::from(count)));
        if self.expanded > PARENTS_EXPANDED_MAX {
            return Err(WireError::TooManyParents);
        }
        self.runs.push(Run { levels, hashes: self.hashes.len() as u32 });
        Ok(())
    }

    pub(super) fn encoded_bytes(&self) -> usize {
        self.hashes.len() * 36 + self.runs.len() * 9
    }

    pub(super) fn write(&self, number: u32, writer: &mut Writer) {
        for (levels, hashes) in self.runs() {
            writer.nested(number, |inner| {
                hashes.iter().for_each(|hash| inner.hash(1, hash));
                inner.number(2, levels);
            });
        }
    }
}
