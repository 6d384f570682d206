//! Keeps one table: buckets of fixed positions, of which only the taken ones cost memory.

use crate::Random;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Buckets with up to 64 positions each.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    // Made at the first use: a node that learns nothing has no table.
    buckets: Vec<Bucket>,
    // Numbers of the buckets that are not empty, so that choosing one needs no walk.
    taken: Vec<u32>,
    count: usize,
}

#[derive(Clone, Debug, Default)]
struct Bucket {
    occupied: u64,
    // The entries at the occupied positions, in order.
    ids: Vec<u32>,
    // Its place among the taken ones.
    place: u32,
}

impl Bucket {
    fn rank(&self, position: u32) -> usize {
        (self.occupied & ((1 << position) - 1)).count_ones() as usize
    }
}

impl Table {
    /// Positions that are taken.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Who is at a position.
    pub(super) fn get(&self, bucket: u32, position: u32) -> Option<u32> {
        let bucket = self.buckets.get(bucket as usize)?;
        (bucket.occupied >> position & 1 == 1).then(|| bucket.ids[bucket.rank(position)])
    }

    /// Puts an entry at a free position of one of `buckets` buckets.
    pub(super) fn put(&mut self, buckets: u32, number: u32, position: u32, id: u32) {
        if self.buckets.is_empty() {
            self.buckets.resize_with(buckets as usize, Bucket::default);
        }
        let bucket = &mut self.buckets[number as usize];
        debug_assert!(bucket.occupied >> position & 1 == 0, "a position that is taken");
        if bucket.occupied == 0 {
            bucket.place = self.taken.len() as u32;
            self.taken.push(number);
        }
        bucket.ids.insert(bucket.rank(position), id);
        bucket.occupied |= 1 << position;
        self.count += 1;
    }

    /// Frees a position.
    pub(super) fn clear(&mut self, number: u32, position: u32) {
        let Some(bucket) = self.buckets.get_mut(number as usize) else { return };
        if bucket.occupied >> position & 1 == 0 {
            return;
        }
        bucket.ids.remove(bucket.rank(position));
        bucket.occupied &= !(1 << position);
        self.count -= 1;
        if bucket.occupied == 0 {
            bucket.ids = Vec::new();
            let place = bucket.place as usize;
            self.taken.swap_remove(place);
            if let Some(moved) = self.taken.get(place) {
                self.buckets[*moved as usize].place = place as u32;
            }
        }
    }

    /// A random entry of a random bucket: a full bucket weighs no more than one with a single entry, so that filling
    /// the few buckets that one can reach buys little.
    pub(super) fn pick(&self, random: &mut Random) -> Option<u32> {
        let number = self.taken.get(random.below(self.taken.len()))?;
        let ids = &self.buckets[*number as usize].ids;
        ids.get(random.below(ids.len())).copied()
    }

    /// All entries, beginning with the bucket at this place among the taken ones.
    pub(super) fn from(&self, place: usize) -> impl Iterator<Item = u32> {
        let (before, after) = self.taken.split_at(place.min(self.taken.len()));
        after.iter().chain(before).flat_map(|number| self.buckets[*number as usize].ids.iter().copied())
    }

    /// The entries of every so many-th bucket, each with its bucket.
    pub(super) fn every(&self, step: usize) -> impl Iterator<Item = (u32, u32)> {
        let buckets = self.taken.iter().step_by(step.max(1));
        buckets.flat_map(|number| self.buckets[*number as usize].ids.iter().map(|id| (*number, *id)))
    }

    /// Buckets that are not empty.
    pub(super) fn taken(&self) -> usize {
        self.taken.len()
    }

    /// Checks the table against its own rules.
    pub(super) fn audit(&self) -> Result<(), String> {
        let taken = self.buckets.iter().filter(|bucket| bucket.occupied != 0).count();
        let entries: usize = self.buckets.iter().map(|bucket| bucket.ids.len()).sum();
        if taken != self.taken.len() || entries != self.count {
            return Err(format!(
                "{taken} buckets with {entries} entries, but {} with {}",
                self.taken.len(),
                self.count
            ));
        }
        for (place, number) in self.taken.iter().enumerate() {
            let bucket = &self.buckets[*number as usize];
            if bucket.place as usize != place || bucket.occupied.count_ones() as usize != bucket.ids.len() {
                return Err(format!("bucket {number} is not where it says"));
            }
        }
        Ok(())
    }
}
