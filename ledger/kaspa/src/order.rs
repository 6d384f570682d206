//! Keeps a list in which any two places can be compared at once, however often something is put in between.
//!
//! Every place has a label, and the labels ascend. When there is none left between two neighbours, the smallest
//! surrounding range of labels that is sparse enough is spread out evenly; over many insertions that moves a
//! logarithmic number of places for each.

/// A place in the list.
pub(crate) type Place = u32;

/// Bits of a label.
const LABEL_BITS: u32 = 63;
const NONE: Place = Place::MAX;

/// The list. Its first place is 0.
pub(crate) struct Order {
    labels: Vec<u64>,
    next: Vec<Place>,
    before: Vec<Place>,
}

impl Order {
    /// A list of one place.
    pub(crate) fn new() -> Self {
        Self { labels: vec![0], next: vec![NONE], before: vec![NONE] }
    }

    /// Puts a new place right after another. Places are numbered in the order in which they are made.
    pub(crate) fn insert_after(&mut self, place: Place) -> Place {
        if self.gap(place) < 2 {
            self.spread(place);
        }
        let label = self.labels[place as usize] + self.gap(place) / 2;
        let new = self.labels.len() as Place;
        let next = self.next[place as usize];
        self.labels.push(label);
        self.next.push(next);
        self.before.push(place);
        self.next[place as usize] = new;
        if next != NONE {
            self.before[next as usize] = new;
        }
        new
    }

    /// A number that is lower for what stands earlier, until the next insertion.
    pub(crate) fn label(&self, place: Place) -> u64 {
        self.labels[place as usize]
    }

    fn gap(&self, place: Place) -> u64 {
        let next = self.next[place as usize];
        let end = if next == NONE { 1 << LABEL_BITS } else { self.labels[next as usize] };
        end - self.labels[place as usize]
    }

    /// Makes room around a place.
    fn spread(&mut self, place: Place) {
        let label = self.labels[place as usize];
        let (mut first, mut last, mut count) = (place, place, 1_u64);
        // How many places a range may hold: 10/7 to the power of its bits, which leaves it emptier the larger it is.
        let mut capacity = 1.0_f64;
        for bits in 1..=LABEL_BITS {
            capacity *= 10.0 / 7.0;
            let base = label & !((1 << bits) - 1);
            let end = base + (1 << bits);
            while self.before[first as usize] != NONE && self.label(self.before[first as usize]) >= base {
                first = self.before[first as usize];
                count += 1;
            }
            while self.next[last as usize] != NONE && self.label(self.next[last as usize]) < end {
                last = self.next[last as usize];
                count += 1;
            }
            // 10^9 places fit, while a place's number has 32 bits.
            if bits > 3 && (count as f64) <= capacity || bits == LABEL_BITS {
                return self.relabel(first, base, (1 << bits) / count, count);
            }
        }
    }

    fn relabel(&mut self, first: Place, base: u64, step: u64, count: u64) {
        let mut place = first;
        for turn in 0..count {
            self.labels[place as usize] = base + turn * step;
            place = self.next[place as usize];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use polypeer_engine::Random;

    /// Inserts after the places that `choose` names, and compares with a plain list.
    fn check(count: u32, mut choose: impl FnMut(&[Place]) -> usize) {
        let mut order = Order::new();
        let mut list = vec![0];
        for _ in 0..count {
            let at = choose(&list);
            let new = order.insert_after(list[at]);
            list.insert(at + 1, new);
        }
        assert!(list.windows(2).all(|pair| order.label(pair[0]) < order.label(pair[1])));
    }

    #[test]
    fn labels_ascend_wherever_is_inserted() {
        let mut random = Random::new([1; 32]);
        check(4_000, |list| random.below(list.len()));
        check(4_000, |_| 0);
        check(4_000, |list| list.len() - 1);
        check(4_000, |list| list.len() / 2);
    }

    #[test]
    fn ever_deeper_brackets_stay_cheap() {
        let mut order = Order::new();
        let mut place = 0;
        for _ in 0..200_000 {
            place = order.insert_after(place);
            order.insert_after(place);
        }
        assert_eq!(order.labels.len(), 400_001);
    }
}
