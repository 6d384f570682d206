//! Remembers the last things seen: a bounded map that keeps the order of arrival; the oldest leaves.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// Slots of the smallest table. A map that nobody uses holds none.
const TABLE_MIN: usize = 16;
/// No entry here. No tag has its highest bit set, so no slot looks like it.
const EMPTY: u64 = u64::MAX;

/// A bounded map from identifiers to what is remembered of them. When it is full the oldest entry makes room.
///
/// Looking up costs one probe of an open table, about 20 ns, whatever the size. The table is keyed with a secret, so
/// that whoever chooses the identifiers cannot crowd it, and its order is never shown: iteration follows arrival.
#[derive(Clone, Debug)]
pub struct Seen<K, V = ()> {
    max: usize,
    secret: u64,
    // Entries in order of arrival; a removed one leaves a gap until it reaches the front.
    ring: VecDeque<Option<(K, V)>>,
    // The running number of the ring's front. Numbers wrap; the ring is far shorter than that.
    first: u32,
    len: usize,
    // 31 bits of the key's hash, then the entry's running number. A power of two, at most half full.
    table: Vec<u64>,
}

impl<K: Copy + Eq + AsRef<[u8]>, V> Seen<K, V> {
    /// An empty map for at most `max` entries, at least one, at most 2^30. `secret` comes from the engine's generator.
    pub fn new(max: usize, secret: u64) -> Self {
        Self { max: max.clamp(1, 1 << 30), secret, ring: VecDeque::new(), first: 0, len: 0, table: Vec::new() }
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether `key` is remembered.
    pub fn contains(&self, key: &K) -> bool {
        self.find(key, self.tag(key)).is_some()
    }

    /// What is remembered of `key`.
    pub fn get(&self, key: &K) -> Option<&V> {
        let slot = self.find(key, self.tag(key))?;
        self.ring.get(self.at(self.table[slot]))?.as_ref().map(|(_, value)| value)
    }

    /// What is remembered of `key`, to change it.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let slot = self.find(key, self.tag(key))?;
        let at = self.at(self.table[slot]);
        self.ring.get_mut(at)?.as_mut().map(|(_, value)| value)
    }

    /// Remembers `key` unless it is remembered already. Whether it is new.
    pub fn insert(&mut self, key: K, value: V) -> bool {
        let tag = self.tag(&key);
        let is_new = self.find(&key, tag).is_none();
        if is_new {
            self.push(key, tag, value);
        }
        is_new
    }

    /// What is remembered of `key`, which is remembered with `value()` if it is new; and whether it is new. One
    /// look-up for both.
    pub fn get_or_insert_with(&mut self, key: K, value: impl FnOnce() -> V) -> Option<(&mut V, bool)> {
        let tag = self.tag(&key);
        let (at, is_new) = match self.find(&key, tag) {
            Some(slot) => (self.at(self.table[slot]), false),
            None => {
                self.push(key, tag, value());
                (self.ring.len() - 1, true)
            }
        };
        self.ring.get_mut(at)?.as_mut().map(|(_, value)| (value, is_new))
    }

    /// Forgets `key`, and gives what was remembered of it.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let slot = self.find(key, self.tag(key))?;
        let at = self.at(self.table[slot]);
        self.vacate(slot);
        let entry = self.ring.get_mut(at)?.take();
        self.len -= 1;
        while matches!(self.ring.front(), Some(None)) {
            self.pop_front();
        }
        entry.map(|(_, value)| value)
    }

    /// The entries in order of arrival, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.ring.iter().flatten().map(|(key, value)| (key, value))
    }

    fn push(&mut self, key: K, tag: u32, value: V) {
        // Gaps in the middle count too, so that inserting and removing for ever does not let the ring grow.
        while self.len >= self.max || self.ring.len() >= 2 * self.max {
            self.drop_oldest();
        }
        if 2 * (self.len + 1) > self.table.len() {
            self.grow();
        }
        let number = self.first.wrapping_add(self.ring.len() as u32);
        self.ring.push_back(Some((key, value)));
        self.len += 1;
        self.place(tag, number);
    }

    // The place in the ring of the entry that a slot stands for.
    fn at(&self, slot: u64) -> usize {
        (slot as u32).wrapping_sub(self.first) as usize
    }

    fn find(&self, key: &K, tag: u32) -> Option<usize> {
        if self.table.is_empty() {
            return None;
        }
        let mask = self.table.len() - 1;
        let mut slot = tag as usize & mask;
        while self.table[slot] != EMPTY {
            let held = self.table[slot];
            let is_it = || matches!(self.ring.get(self.at(held)), Some(Some((other, _))) if other == key);
            if (held >> 32) as u32 == tag && is_it() {
                return Some(slot);
            }
            slot = (slot + 1) & mask;
        }
        None
    }

    fn place(&mut self, tag: u32, number: u32) {
        let mask = self.table.len() - 1;
        let mut slot = tag as usize & mask;
        while self.table[slot] != EMPTY {
            slot = (slot + 1) & mask;
        }
        self.table[slot] = u64::from(tag) << 32 | u64::from(number);
    }

    // Empties a slot and moves back what was pushed past it, so that no probe stops short.
    fn vacate(&mut self, slot: usize) {
        let mask = self.table.len() - 1;
        let (mut hole, mut next) = (slot, (slot + 1) & mask);
        while self.table[next] != EMPTY {
            let home = (self.table[next] >> 32) as usize & mask;
            if next.wrapping_sub(home) & mask >= next.wrapping_sub(hole) & mask {
                self.table[hole] = self.table[next];
                hole = next;
            }
            next = (next + 1) & mask;
        }
        self.table[hole] = EMPTY;
    }

    fn drop_oldest(&mut self) {
        if let Some(Some((key, _))) = self.ring.front() {
            if let Some(slot) = self.find(key, self.tag(key)) {
                self.vacate(slot);
            }
            self.len -= 1;
        }
        self.pop_front();
    }

    fn pop_front(&mut self) {
        self.ring.pop_front();
        self.first = self.first.wrapping_add(1);
    }

    fn grow(&mut self) {
        let slots = (self.table.len() * 2).max(TABLE_MIN);
        let before = core::mem::replace(&mut self.table, alloc::vec![EMPTY; slots]);
        for slot in before.into_iter().filter(|slot| *slot != EMPTY) {
            self.place((slot >> 32) as u32, slot as u32);
        }
    }

    // 31 bits that only who knows the secret can foresee.
    fn tag(&self, key: &K) -> u32 {
        let mut hash = self.secret;
        let (words, rest) = key.as_ref().as_chunks::<8>();
        for word in words {
            hash = fold(hash ^ u64::from_le_bytes(*word));
        }
        if !rest.is_empty() {
            let mut word = [0; 8];
            word[..rest.len()].copy_from_slice(rest);
            hash = fold(hash ^ u64::from_le_bytes(word));
        }
        (hash >> 33) as u32
    }
}

fn fold(word: u64) -> u64 {
    let wide = u128::from(word) * 0x9e37_79b9_7f4a_7c15;
    (wide ^ (wide >> 64)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;

    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    struct Id([u8; 8]);

    impl AsRef<[u8]> for Id {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }

    fn id(number: u64) -> Id {
        Id(number.to_be_bytes())
    }

    #[test]
    fn the_oldest_makes_room() {
        let mut seen = Seen::new(3, 7);
        for number in 0..5 {
            assert!(seen.insert(id(number), number));
        }
        assert!(!seen.insert(id(4), 9));
        assert_eq!(seen.iter().map(|(_, value)| *value).collect::<Vec<_>>(), [2, 3, 4]);
        assert_eq!((seen.len(), seen.get(&id(1)), seen.get(&id(4))), (3, None, Some(&4)));
    }

    #[test]
    fn behaves_like_a_map_under_any_mix() {
        let mut random = crate::Random::new([3; 32]);
        let mut seen = Seen::new(100_000, 11);
        let mut model = BTreeMap::new();
        for step in 0..20_000_u64 {
            let key = id(random.number() % 600);
            if random.below(3) == 0 {
                assert_eq!(seen.remove(&key), model.remove(&key));
            } else {
                let is_new = !model.contains_key(&key);
                model.entry(key).or_insert(step);
                assert_eq!(seen.insert(key, step), is_new);
            }
            assert_eq!(seen.len(), model.len());
        }
        for number in 0..600 {
            assert_eq!(seen.get(&id(number)), model.get(&id(number)));
        }
    }

    #[test]
    fn inserting_and_removing_for_ever_stays_small() {
        let mut seen = Seen::new(10, 1);
        seen.insert(id(0), ());
        for number in 1..10_000 {
            seen.insert(id(number), ());
            seen.remove(&id(number));
        }
        assert!(seen.ring.len() <= 20 && seen.table.len() <= 64);
    }

    #[test]
    fn running_numbers_wrap() {
        let mut seen = Seen::new(100, 5);
        seen.first = u32::MAX - 50;
        for number in 0..1_000 {
            seen.insert(id(number), number);
            assert_eq!(seen.get(&id(number)), Some(&number));
            assert_eq!(seen.get(&id(number.saturating_sub(99))), Some(&number.saturating_sub(99)));
        }
        assert_eq!(seen.iter().map(|(_, value)| *value).collect::<Vec<_>>(), (900..1_000).collect::<Vec<_>>());
    }

    #[test]
    fn looking_up_and_inserting_are_one() {
        let mut seen = Seen::new(2, 5);
        assert_eq!(seen.get_or_insert_with(id(1), || 10), Some((&mut 10, true)));
        assert_eq!(seen.get_or_insert_with(id(1), || 11), Some((&mut 10, false)));
        seen.insert(id(2), 20);
        seen.insert(id(3), 30);
        assert_eq!(seen.get_or_insert_with(id(1), || 12), Some((&mut 12, true)));
        assert!(!seen.contains(&id(2)));
    }
}
