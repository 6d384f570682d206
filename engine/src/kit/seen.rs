//! Remembers the last things seen: a bounded map that keeps the order of arrival; the oldest leaves.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// Slots of the smallest table. A set that nobody uses holds none.
const TABLE_MIN: usize = 16;

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
    // The running number of the ring's front.
    first: u64,
    len: usize,
    // Running number + 1 of the entry, 0 for an empty slot. A power of two, at most half full.
    table: Vec<u64>,
}

impl<K: Copy + Eq + AsRef<[u8]>, V> Seen<K, V> {
    /// An empty map for at most `max` entries, at least one. `secret` comes from the engine's generator.
    pub fn new(max: usize, secret: u64) -> Self {
        Self { max: max.max(1), secret, ring: VecDeque::new(), first: 0, len: 0, table: Vec::new() }
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
        self.find(key).is_some()
    }

    /// What is remembered of `key`.
    pub fn get(&self, key: &K) -> Option<&V> {
        let number = self.table[self.find(key)?] - 1;
        self.entry(number).map(|(_, value)| value)
    }

    /// What is remembered of `key`, to change it.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let number = self.table[self.find(key)?] - 1;
        let at = usize::try_from(number - self.first).ok()?;
        self.ring.get_mut(at)?.as_mut().map(|(_, value)| value)
    }

    /// Remembers `key` unless it is remembered already. Whether it is new.
    pub fn insert(&mut self, key: K, value: V) -> bool {
        if self.contains(&key) {
            return false;
        }
        // Gaps in the middle count too, so that inserting and removing for ever does not let the ring grow.
        while self.len >= self.max || self.ring.len() >= 2 * self.max {
            self.drop_oldest();
        }
        if 2 * (self.len + 1) > self.table.len() {
            self.grow();
        }
        let number = self.first + self.ring.len() as u64;
        self.ring.push_back(Some((key, value)));
        self.len += 1;
        self.place(&key, number);
        true
    }

    /// Forgets `key`, and gives what was remembered of it.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let slot = self.find(key)?;
        let number = self.table[slot] - 1;
        self.vacate(slot);
        let at = usize::try_from(number - self.first).ok()?;
        let entry = self.ring.get_mut(at)?.take();
        self.len -= 1;
        while matches!(self.ring.front(), Some(None)) {
            self.ring.pop_front();
            self.first += 1;
        }
        entry.map(|(_, value)| value)
    }

    /// The entries in order of arrival, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.ring.iter().flatten().map(|(key, value)| (key, value))
    }

    fn entry(&self, number: u64) -> Option<&(K, V)> {
        self.ring.get(usize::try_from(number.checked_sub(self.first)?).ok()?)?.as_ref()
    }

    fn find(&self, key: &K) -> Option<usize> {
        if self.table.is_empty() {
            return None;
        }
        let mask = self.table.len() - 1;
        let mut slot = self.home(key);
        while self.table[slot] != 0 {
            if self.entry(self.table[slot] - 1).is_some_and(|(held, _)| held == key) {
                return Some(slot);
            }
            slot = (slot + 1) & mask;
        }
        None
    }

    fn place(&mut self, key: &K, number: u64) {
        let mask = self.table.len() - 1;
        let mut slot = self.home(key);
        while self.table[slot] != 0 {
            slot = (slot + 1) & mask;
        }
        self.table[slot] = number + 1;
    }

    // Empties a slot and moves back what was pushed past it, so that no probe stops short.
    fn vacate(&mut self, slot: usize) {
        let mask = self.table.len() - 1;
        let (mut hole, mut next) = (slot, (slot + 1) & mask);
        while self.table[next] != 0 {
            let home = self.entry(self.table[next] - 1).map_or(next, |(key, _)| self.home(key));
            if next.wrapping_sub(home) & mask >= next.wrapping_sub(hole) & mask {
                self.table[hole] = self.table[next];
                hole = next;
            }
            next = (next + 1) & mask;
        }
        self.table[hole] = 0;
    }

    fn drop_oldest(&mut self) {
        if let Some(Some((key, _))) = self.ring.front() {
            let key = *key;
            if let Some(slot) = self.find(&key) {
                self.vacate(slot);
            }
            self.len -= 1;
        }
        self.ring.pop_front();
        self.first += 1;
    }

    fn grow(&mut self) {
        let slots = (self.table.len() * 2).max(TABLE_MIN);
        self.table.clear();
        self.table.resize(slots, 0);
        for at in 0..self.ring.len() {
            if let Some(Some((key, _))) = self.ring.get(at) {
                let key = *key;
                self.place(&key, self.first + at as u64);
            }
        }
    }

    fn home(&self, key: &K) -> usize {
        let mut hash = self.secret;
        for word in key.as_ref().chunks(8) {
            let mut bytes = [0; 8];
            bytes[..word.len()].copy_from_slice(word);
            hash = fold(hash ^ u64::from_le_bytes(bytes));
        }
        hash as usize & (self.table.len() - 1)
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
}
