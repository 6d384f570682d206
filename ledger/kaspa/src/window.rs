//! Looks back: at samples of the past for the difficulty, and at others for the median of its times.
//!
//! A block's window is its selected parent's with the samples among what the block merges, cut to the highest ones. Most
//! blocks add none and share their parent's window, and what was counted from it.

use crate::dag::{Dag, GENESIS};
use crate::node::Number;
use crate::wide::Wide;
use crate::work::{Target, compact, target, target_max};
use std::sync::Arc;

/// Times around the middle of a window that are averaged.
const MEDIAN_FRAME: usize = 11;

/// The window for the difficulty.
#[derive(Clone, Debug, Default)]
pub(crate) struct Difficulty {
    blocks: Box<[Number]>,
    /// The bits that follow from it; nothing while it is too short.
    bits: Option<u32>,
}

/// The window for the median time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Median {
    blocks: Box<[Number]>,
    /// The median time; nothing while the window is empty.
    time: Option<u64>,
}

/// What a header must say, given what it merges.
#[derive(Clone, Debug)]
pub(crate) struct Outlook {
    pub(crate) daa_score: u64,
    pub(crate) bits: u32,
    /// Its time must be later than this.
    pub(crate) median_time: u64,
    pub(crate) difficulty: Arc<Difficulty>,
    pub(crate) median: Arc<Median>,
}

impl Median {
    /// The median time of a past, above a selected parent of this time.
    pub(crate) fn time(&self, parent_time: u64) -> u64 {
        self.time.unwrap_or(parent_time)
    }
}

impl Dag {
    /// Looks back from a block on this selected parent, that merges these others from the highest down.
    pub(crate) fn look_back(&self, selected_parent: Number, blue_score: u64, merged: &[Number]) -> Outlook {
        let parent = self.node(selected_parent);
        if selected_parent == GENESIS {
            // The first block's time is made up, so that it is in no window and counts for no score.
            let (bits, median_time) = (parent.bits, parent.timestamp);
            let (difficulty, median) = (Arc::default(), Arc::default());
            return Outlook { daa_score: parent.daa_score, bits, median_time, difficulty, median };
        }
        let counted = self.counted(selected_parent, blue_score, merged);
        let rate = self.params.rate;
        let difficulty = match self.extended(&parent.difficulty.blocks, &counted, rate.difficulty_sample_rate) {
            None => parent.difficulty.clone(),
            Some(blocks) => Arc::new(self.difficulty(blocks, self.params.difficulty_samples)),
        };
        let median = match self.extended(&parent.median.blocks, &counted, rate.median_sample_rate) {
            None => parent.median.clone(),
            Some(blocks) => Arc::new(self.median(blocks, self.params.median_samples)),
        };
        Outlook {
            daa_score: parent.daa_score + counted.len() as u64,
            bits: difficulty.bits.unwrap_or(parent.bits),
            median_time: median.time(parent.timestamp),
            difficulty,
            median,
        }
    }

    /// What it merges that is not too deep to count, each with its score: the selected parent, then the others.
    fn counted(&self, selected_parent: Number, blue_score: u64, merged: &[Number]) -> Vec<(u64, Number)> {
        let lowest = blue_score.saturating_sub(self.params.difficulty_reach());
        let all = [&selected_parent].into_iter().chain(merged).copied();
        let counted = all.filter(|block| self.node(*block).blue_score >= lowest);
        let first = self.node(selected_parent).daa_score + 1;
        (first..).zip(counted).collect()
    }

    /// A window with the samples among these; nothing when there are none.
    fn extended(&self, blocks: &[Number], counted: &[(u64, Number)], rate: u64) -> Option<Vec<Number>> {
        let mut samples = counted.iter().filter(|(score, _)| score.is_multiple_of(rate)).peekable();
        samples.peek()?;
        let mut blocks = blocks.to_vec();
        for (_, sample) in samples {
            let at = blocks.partition_point(|block| self.compare(*block, *sample).is_lt());
            blocks.insert(at, *sample);
        }
        Some(blocks)
    }

    /// Cuts a window for the difficulty, and counts the target that makes blocks as frequent as they should be: the
    /// average one, times the time that the window took, over the time that it should have taken.
    fn difficulty(&self, mut blocks: Vec<Number>, most: usize) -> Difficulty {
        blocks.drain(..blocks.len().saturating_sub(most));
        if blocks.len() < self.params.difficulty_samples_min {
            return Difficulty { blocks: blocks.into(), bits: None };
        }
        let time = |block: &Number| self.node(*block).timestamp;
        let first =
            blocks.iter().min_by(|one, other| time(one).cmp(&time(other)).then_with(|| self.compare(**one, **other)));
        let (Some(first), Some(last)) = (first.copied(), blocks.iter().map(time).max()) else {
            return Difficulty::default();
        };
        // The first one only begins the time that is measured.
        let targets = blocks.iter().filter(|block| **block != first).map(|block| target(self.node(*block).bits));
        let sum: Wide<5> = targets.filter_map(Target::resize).fold(Wide::ZERO, Wide::saturating_add);
        let count = blocks.len() as u64 - 1;
        let took = (last - time(&first)).max(1);
        let rate = self.params.rate;
        let should_take = rate.block_ms * rate.difficulty_sample_rate * count;
        let wanted = sum.div_u64(count).wrapping_mul(took).div_u64(should_take);
        let wanted = wanted.resize().unwrap_or_else(target_max).min(target_max());
        Difficulty { blocks: blocks.into(), bits: Some(compact(wanted)) }
    }

    /// Cuts a window for the median time, and counts it: the average of the eleven times around the middle.
    fn median(&self, mut blocks: Vec<Number>, most: usize) -> Median {
        blocks.drain(..blocks.len().saturating_sub(most));
        let mut times: Vec<u64> = blocks.iter().map(|block| self.node(*block).timestamp).collect();
        times.sort_unstable();
        let frame = times.len().min(MEDIAN_FRAME);
        let end = (times.len() + frame).div_ceil(2);
        let middle = times.get(end.saturating_sub(frame)..end).unwrap_or(&times);
        let sum: u128 = middle.iter().map(|time| u128::from(*time)).sum();
        let count = frame as u128;
        // The average of 64-bit numbers is one.
        let time = (sum + count / 2).checked_div(count).map(|time| time as u64);
        Median { blocks: blocks.into(), time }
    }
}
