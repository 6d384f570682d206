//! Changes real inputs by rules, the same ones again for the same seed: what the wire's mistakes look like.

/// Changes to one input at most; most get one or two.
const CHANGES_MAX: usize = 6;
/// Inputs that are kept beside the real ones, to be changed further.
const POOL_MAX: usize = 256;

/// Chance that repeats itself (SplitMix64).
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// Chance from a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`; 0 when there is none.
    pub fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.number()) * end as u128) >> 64) as usize
    }
}

/// Makes inputs out of inputs.
#[derive(Debug)]
pub struct Mutator {
    chance: Chance,
    seeds: Vec<Vec<u8>>,
    pool: Vec<Vec<u8>>,
    length_max: usize,
}

impl Mutator {
    /// Begins with these inputs; with noise when there are none. The pieces of the real ones are the dictionary too.
    pub fn new(seed: u64, seeds: Vec<Vec<u8>>, length_max: usize) -> Self {
        Self { chance: Chance::new(seed), seeds, pool: Vec::new(), length_max }
    }

    /// The next input.
    pub fn next(&mut self) -> Vec<u8> {
        let mut input = match self.chance.below(16) {
            0 => self.noise(),
            1..=4 => self.pooled(),
            _ => self.real(),
        };
        let changes = 1 + self.chance.below(CHANGES_MAX).min(self.chance.below(CHANGES_MAX));
        for _ in 0..changes {
            self.change(&mut input);
        }
        input.truncate(self.length_max);
        if self.pool.len() < POOL_MAX {
            self.pool.push(input.clone());
        } else if self.chance.below(64) == 0 {
            let place = self.chance.below(POOL_MAX);
            self.pool[place].clone_from(&input);
        }
        input
    }

    fn noise(&mut self) -> Vec<u8> {
        let length = self.chance.below(self.length_max + 1).min(self.chance.below(self.length_max + 1));
        (0..length).map(|_| self.chance.number() as u8).collect()
    }

    fn real(&mut self) -> Vec<u8> {
        let place = self.chance.below(self.seeds.len());
        self.seeds.get(place).cloned().unwrap_or_else(|| self.noise())
    }

    fn pooled(&mut self) -> Vec<u8> {
        let place = self.chance.below(self.pool.len());
        self.pool.get(place).cloned().unwrap_or_else(|| self.real())
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        match self.chance.below(14) {
            0 => self.flip(input),
            1 => self.overwrite(input),
            2 | 3 => self.arithmetic(input),
            4 => self.length_field(input),
            5 => input.truncate(self.chance.below(input.len() + 1)),
            6 => self.remove(input),
            7 => self.repeat(input),
            8 => self.swap(input),
            9 => self.splice(input),
            10 => self.insert_piece(input),
            11 => self.digits(input),
            12 => {
                let more = self.noise();
                input.extend_from_slice(&more[..more.len().min(64)]);
            }
            _ => {
                let more = self.real();
                input.extend_from_slice(&more);
            }
        }
    }

    fn place(&mut self, input: &[u8]) -> usize {
        self.chance.below(input.len())
    }

    fn range(&mut self, input: &[u8]) -> std::ops::Range<usize> {
        let from = self.chance.below(input.len() + 1);
        let length = match self.chance.below(3) {
            0 => 1,
            1 => self.chance.below(16),
            _ => self.chance.below(input.len() + 1),
        };
        from..(from + length).min(input.len())
    }

    fn flip(&mut self, input: &mut [u8]) {
        let (place, bit) = (self.place(input), self.chance.below(8));
        if let Some(byte) = input.get_mut(place) {
            *byte ^= 1 << bit;
        }
    }

    fn overwrite(&mut self, input: &mut [u8]) {
        const TELLING: [u8; 14] = [0, 1, 2, 0x7f, 0x80, 0xff, 0xfe, b'"', b'{', b'[', b'\\', b'\n', b'-', b'9'];
        let (place, byte) = (self.place(input), TELLING[self.chance.below(TELLING.len())]);
        let byte = if self.chance.below(3) == 0 { self.chance.number() as u8 } else { byte };
        if let Some(place) = input.get_mut(place) {
            *place = byte;
        }
    }

    // A number of one, two, four or eight bytes, either way round, a little more or less.
    fn arithmetic(&mut self, input: &mut [u8]) {
        let (place, width) = (self.place(input), 1 << self.chance.below(4));
        let by = (1 + self.chance.below(35)) as u64;
        let by = if self.chance.below(2) == 0 { by } else { by.wrapping_neg() };
        self.rewrite(input, place, width, |number| number.wrapping_add(by));
    }

    // What announces a length: one more or less, a power of two more or less, nothing, or all that fits.
    fn length_field(&mut self, input: &mut [u8]) {
        let (place, width) = (self.place(input), 1 << self.chance.below(4));
        let (kind, power, length) = (self.chance.below(7), 1 << self.chance.below(32), input.len() as u64);
        self.rewrite(input, place, width, |number| match kind {
            0 => number.wrapping_add(1),
            1 => number.wrapping_sub(1),
            2 => number.wrapping_add(power),
            3 => number.wrapping_sub(power),
            4 => 0,
            5 => length,
            _ => u64::MAX,
        });
    }

    fn rewrite(&mut self, input: &mut [u8], place: usize, width: usize, change: impl FnOnce(u64) -> u64) {
        let is_little = self.chance.below(2) == 0;
        let Some(field) = input.get_mut(place..place + width) else { return };
        let mut bytes = [0; 8];
        bytes[8 - width..].copy_from_slice(field);
        if is_little {
            bytes[8 - width..].reverse();
        }
        let mut bytes = change(u64::from_be_bytes(bytes)).to_be_bytes();
        if is_little {
            bytes[8 - width..].reverse();
        }
        field.copy_from_slice(&bytes[8 - width..]);
    }

    fn remove(&mut self, input: &mut Vec<u8>) {
        let range = self.range(input);
        input.drain(range);
    }

    // Frames that come twice, lists that do not end.
    fn repeat(&mut self, input: &mut Vec<u8>) {
        let (range, times) = (self.range(input), 1 + self.chance.below(4));
        let piece = input[range.clone()].repeat(times);
        if input.len() + piece.len() <= 2 * self.length_max {
            input.splice(range.end..range.end, piece);
        }
    }

    // Frames out of order.
    fn swap(&mut self, input: &mut Vec<u8>) {
        let range = self.range(input);
        let piece: Vec<u8> = input.drain(range).collect();
        let place = self.chance.below(input.len() + 1);
        input.splice(place..place, piece);
    }

    // The front of one and the back of another.
    fn splice(&mut self, input: &mut Vec<u8>) {
        let other = if self.chance.below(2) == 0 { self.real() } else { self.pooled() };
        let (end, from) = (self.chance.below(input.len() + 1), self.chance.below(other.len() + 1));
        input.truncate(end);
        input.extend_from_slice(&other[from..]);
    }

    // A word of the dictionary, put in or over what is there.
    fn insert_piece(&mut self, input: &mut Vec<u8>) {
        let other = self.real();
        let piece = &other[self.range(&other)];
        let place = self.chance.below(input.len() + 1);
        let end = if self.chance.below(2) == 0 { place } else { (place + piece.len()).min(input.len()) };
        input.splice(place..end, piece.iter().copied());
    }

    // A digit of a number in a text becomes another, or many.
    fn digits(&mut self, input: &mut Vec<u8>) {
        let from = self.place(input);
        let Some(found) = input.iter().skip(from).position(u8::is_ascii_digit) else { return };
        let place = from + found;
        let digit = b'0' + self.chance.below(10) as u8;
        let times = if self.chance.below(4) == 0 { 1 + self.chance.below(24) } else { 1 };
        input.splice(place..=place, std::iter::repeat_n(digit, times));
    }
}

/// A shorter input that fails too: pieces taken out, then bytes made zero, for as long as `fails` says so.
pub fn shrink(input: &[u8], mut fails: impl FnMut(&[u8]) -> bool) -> Vec<u8> {
    const TRIES_MAX: usize = 4_000;
    let (mut best, mut tries) = (input.to_vec(), 0);
    let mut piece = best.len() / 2;
    while piece > 0 && tries < TRIES_MAX {
        let mut at = 0;
        while at < best.len() && tries < TRIES_MAX {
            let without = [&best[..at], &best[(at + piece).min(best.len())..]].concat();
            tries += 1;
            if fails(&without) {
                best = without;
            } else {
                at += piece;
            }
        }
        piece /= 2;
    }
    for at in 0..best.len() {
        let mut plain = best.clone();
        if std::mem::take(&mut plain[at]) != 0 && tries < TRIES_MAX {
            tries += 1;
            if fails(&plain) {
                best = plain;
            }
        }
    }
    best
}
