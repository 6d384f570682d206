//! Says what is kept in memory of each header, and turns it into a row of the store and back.

use crate::window::{Difficulty, Median};
use crate::work::Work;
use polypeer_engine::kit::chain::Hash;
use std::sync::Arc;

/// A block's number: the place in the order in which headers were taken, parents before children.
pub(crate) type Number = u32;

/// How a block is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// Its header.
    Header,
    /// Header and body, as all of its past.
    Full,
    /// Its header; no body can make it or a block in its past right.
    Invalid,
}

/// Why a block is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rank {
    /// It was judged here by its past.
    Judged,
    /// It stands at the base of an import: the pruning point, or parallel to it.
    Base,
    /// An import brought its header with what GHOSTDAG made of it, for the windows of what is above.
    Trusted,
    /// An import brought its header, as a part of the proof or of the chain below the pruning point.
    Proof,
    /// A block at the base names it as a parent on some level; nothing else is known of it.
    Named,
}

impl Rank {
    const ALL: [Self; 5] = [Self::Judged, Self::Base, Self::Trusted, Self::Proof, Self::Named];

    /// Whether it is below the base: to others such a block is not held.
    pub(crate) fn is_below(self) -> bool {
        matches!(self, Self::Trusted | Self::Proof | Self::Named)
    }
}

/// A header as the rules see it.
///
/// About 210 bytes, and what the lists take: four for each parent, each merged block and each parent on a higher level,
/// eight for each blue block whose anticone it changed. That is about half a kilobyte on a young private network and
/// one and a half on an old public one, with the order (32 bytes), the mergers (24 and up) and the hash's place (about
/// 50) counted. What it can be at worst follows from the limits of parents, merge set and k, and costs its maker the
/// work of a block: 255 lists of 16 parents, 248 merged blocks and the anticones of 125 blue ones are some 30 KiB.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) hash: Hash,
    pub(crate) timestamp: u64,
    pub(crate) bits: u32,
    /// The work that the bits stand for.
    pub(crate) work: Work,
    pub(crate) daa_score: u64,
    pub(crate) blue_score: u64,
    pub(crate) blue_work: Work,
    pub(crate) selected_parent: Number,
    /// How many blocks are below it on its selected chain.
    pub(crate) depth: u32,
    /// A block further down on that chain, so chosen that every block of it is few jumps away.
    pub(crate) jump: Number,
    pub(crate) level: u8,
    pub(crate) rank: Rank,
    pub(crate) held: Held,
    /// How many of the merge set are blue; they come first, the selected parent before all.
    pub(crate) blues: u16,
    pub(crate) merge_set: Box<[Number]>,
    /// On level 0; of an imported block those on all levels that are here.
    pub(crate) parents: Box<[Number]>,
    /// Parents on all levels.
    pub(crate) levels: Levels,
    /// Blue blocks whose blue anticone this block changed, and what its size is now; ascending.
    pub(crate) anticones: Box<[(Number, u16)]>,
    pub(crate) difficulty: Arc<Difficulty>,
    pub(crate) median: Arc<Median>,
}

impl Node {
    pub(crate) fn blues(&self) -> &[Number] {
        self.merge_set.get(..usize::from(self.blues)).unwrap_or(&self.merge_set)
    }

    pub(crate) fn anticone(&self, block: Number) -> Option<u16> {
        let found = self.anticones.binary_search_by_key(&block, |(block, _)| *block).ok()?;
        self.anticones.get(found).map(|(_, size)| *size)
    }
}

/// Lists of parents by level: for each run of levels with the same list the level after it, the list's length, and the
/// list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Levels(Box<[u32]>);

impl Levels {
    /// Of one list for each level, from 0 on.
    pub(crate) fn new(lists: &[Vec<Number>]) -> Self {
        let mut runs = Vec::new();
        let mut level = 0;
        for run in lists.chunk_by(|one, other| one == other) {
            level += run.len() as u32;
            let list = run.first().map_or(&[][..], Vec::as_slice);
            runs.extend([level, list.len() as u32]);
            runs.extend(list);
        }
        Self(runs.into())
    }

    /// Of runs: the level after each, and its list.
    pub(crate) fn of_runs(given: impl IntoIterator<Item = (u32, Vec<Number>)>) -> Self {
        let mut runs = Vec::new();
        for (end, list) in given {
            runs.extend([end, list.len() as u32]);
            runs.extend(list);
        }
        Self(runs.into())
    }

    /// Each run: the level after it, and its list.
    pub(crate) fn runs(&self) -> impl Iterator<Item = (u32, &[Number])> {
        let mut rest = &self.0[..];
        std::iter::from_fn(move || {
            let ([end, count], after) = rest.split_first_chunk()?;
            let (list, after) = after.split_at_checked(*count as usize)?;
            rest = after;
            Some((*end, list))
        })
    }

    /// The list of a level; nothing above the highest.
    pub(crate) fn at(&self, level: u32) -> Option<&[Number]> {
        self.runs().find(|(end, _)| level < *end).map(|(_, list)| list)
    }
}

/// Writes a row of the store. Its work and windows are not in it: they follow from it and from the rows before.
pub(crate) fn encode(node: &Node) -> Vec<u8> {
    let mut row = Vec::with_capacity(160 + 4 * (node.merge_set.len() + node.levels.0.len()));
    row.extend(node.hash.0);
    for limb in [&[node.timestamp, node.daa_score, node.blue_score][..], node.blue_work.limbs()].concat() {
        row.extend(limb.to_le_bytes());
    }
    let counts = [node.merge_set.len(), node.parents.len(), node.levels.0.len(), node.anticones.len()];
    let counts = counts.map(|count| count as u32);
    for number in [node.bits, node.selected_parent, u32::from(node.blues)].iter().chain(&counts) {
        row.extend(number.to_le_bytes());
    }
    row.extend([node.level, node.rank as u8]);
    let lists = node.merge_set.iter().chain(&node.parents).chain(&node.levels.0);
    lists.for_each(|number| row.extend(number.to_le_bytes()));
    for (block, size) in &node.anticones {
        row.extend(block.to_le_bytes());
        row.extend(size.to_le_bytes());
    }
    row
}

/// Reads a row; what follows from other rows is left to the caller.
pub(crate) fn decode(row: &[u8]) -> Option<Node> {
    let mut reader = Reader(row);
    let hash = Hash(*reader.chunk()?);
    let [timestamp, daa_score, blue_score] = [reader.long()?, reader.long()?, reader.long()?];
    let blue_work = Work::from_limbs([reader.long()?, reader.long()?, reader.long()?]);
    let [bits, selected_parent, blues] = [reader.word()?, reader.word()?, reader.word()?];
    let [merge_set, parents, levels, anticones] = [reader.word()?, reader.word()?, reader.word()?, reader.word()?];
    let [level, rank] = *reader.chunk()?;
    Some(Node {
        hash,
        timestamp,
        bits,
        work: Work::ZERO,
        daa_score,
        blue_score,
        blue_work,
        selected_parent,
        depth: 0,
        jump: 0,
        level,
        rank: *Rank::ALL.get(usize::from(rank))?,
        held: Held::Header,
        blues: u16::try_from(blues).ok()?,
        merge_set: reader.words(merge_set)?,
        parents: reader.words(parents)?,
        levels: Levels(reader.words(levels)?),
        anticones: (0..anticones)
            .map(|_| Some((reader.word()?, u16::from_le_bytes(*reader.chunk()?))))
            .collect::<Option<_>>()?,
        difficulty: Arc::default(),
        median: Arc::default(),
    })
}

struct Reader<'r>(&'r [u8]);

impl<'r> Reader<'r> {
    fn chunk<const N: usize>(&mut self) -> Option<&'r [u8; N]> {
        let (chunk, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(chunk)
    }

    fn word(&mut self) -> Option<u32> {
        self.chunk().map(|bytes| u32::from_le_bytes(*bytes))
    }

    fn long(&mut self) -> Option<u64> {
        self.chunk().map(|bytes| u64::from_le_bytes(*bytes))
    }

    fn words(&mut self, count: u32) -> Option<Box<[u32]>> {
        let (words, rest) = self.0.split_at_checked(4 * count as usize)?;
        self.0 = rest;
        Some(words.as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_kept_in_runs() {
        let lists = [vec![1, 2], vec![1, 2], vec![2], vec![2], vec![2]];
        let levels = Levels::new(&lists);
        assert_eq!(levels.runs().collect::<Vec<_>>(), [(2, &[1, 2][..]), (5, &[2][..])]);
        for (level, list) in lists.iter().enumerate() {
            assert_eq!(levels.at(level as u32), Some(&list[..]));
        }
        assert_eq!(levels.at(5), None);
        assert_eq!(Levels::new(&[]).at(0), None);
    }

    #[test]
    fn a_row_comes_back() {
        let node = Node {
            hash: Hash([7; 32]),
            timestamp: 1,
            bits: 0x207f_ffff,
            work: Work::ZERO,
            daa_score: 3,
            blue_score: 4,
            blue_work: Work::from_limbs([5, 6, 7]),
            selected_parent: 8,
            depth: 0,
            jump: 0,
            level: 9,
            rank: Rank::Trusted,
            held: Held::Header,
            blues: 1,
            merge_set: [8, 10].into(),
            parents: [8, 10].into(),
            levels: Levels::new(&[vec![8, 10], vec![8]]),
            anticones: [(8, 0), (10, 300)].into(),
            difficulty: Arc::default(),
            median: Arc::default(),
        };
        let row = encode(&node);
        let back = decode(&row).unwrap();
        assert_eq!(format!("{node:?}"), format!("{back:?}"));
        for length in 0..row.len() {
            assert!(decode(&row[..length]).is_none());
        }
        assert_eq!((back.blues(), back.anticone(10), back.anticone(9)), (&[8][..], Some(300), None));
    }
}
