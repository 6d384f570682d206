//! Chooses addresses by chance, in a number of draws that does not grow with the book.

use crate::shell::book::stored::Stored;
use crate::shell::book::{Book, Entry, Which};
use crate::{Address, Now, Random};
use alloc::collections::BTreeSet;
use alloc::vec::Vec;

/// Draws before a choice gives up: the odds grow by a fifth with each, so that even the worst entry's turn comes.
const DRAWS: usize = 64;
/// Candidates among which one of the tried table is chosen.
const RIVALS: usize = 16;
/// A certain choice.
const CERTAIN: u64 = 1 << 16;
/// What a number of misses leaves of it: two thirds each, up to eight.
const AFTER_MISSES: [u64; 9] = [CERTAIN, 43_254, 28_547, 18_841, 12_435, 8_207, 5_417, 3_575, 2_360];
/// One that was dialled within this time is a last resort.
const JUST_TRIED_MS: u64 = 10 * 60 * 1_000;

/// One that is being tried is given this long before it is called hopeless.
const GRACE_MS: u64 = 60 * 1_000;
/// What nobody has named or reached for so long is gone.
const FORGOTTEN_MS: u64 = 30 * 24 * 60 * 60 * 1_000;
/// A newcomer may miss so many dials.
const NEW_MISSES_MAX: u8 = 3;
/// One that answered once may miss so many, and only after a week of them.
const MISSES_MAX: u8 = 10;
const MISSING_MS: u64 = 7 * 24 * 60 * 60 * 1_000;

impl Book {
    /// A random address of one table that `accept` takes: the better it did and the longer it was left alone, the
    /// likelier. Nothing when so many draws found none.
    ///
    /// In the new table every bucket is as likely as another. In the tried one an address of a group with many is
    /// that much less likely, so that who runs a thousand nodes in few networks is chosen like one who runs a few.
    pub fn select(
        &self,
        which: Which,
        now: Now,
        random: &mut Random,
        accept: impl Fn(Address, &Entry) -> bool,
    ) -> Option<Address> {
        let (table, mut odds) = (if which == Which::New { &self.new } else { &self.tried }, CERTAIN);
        let mut rivals = Vec::new();
        for _ in 0..DRAWS {
            let stored = self.slab.get(table.pick(random)?)?;
            let address = stored.address();
            odds = (odds + odds / 5).min(1 << 40);
            if !accept(address, &stored.into()) {
                continue;
            }
            let chance = (chance(stored, now.unix_ms) * odds / CERTAIN).min(CERTAIN);
            if which == Which::Tried {
                rivals.push((address, chance * 1_024 / self.kin(address)));
            } else if (random.below(CERTAIN as usize) as u64) < chance {
                return Some(address);
            }
            if rivals.len() == RIVALS {
                break;
            }
        }
        weighed(&rivals, random)
    }

    /// Up to `count` proven addresses that are not hopeless, in random order.
    pub fn sample_proven(&self, count: usize, now_ms: u64, random: &mut Random) -> Vec<Address> {
        /// Draws for each address that is wanted before the rest is taken as it comes.
        const DRAWS_EACH: usize = 4;
        let count = count.min(self.tried.len());
        let mut chosen = BTreeSet::new();
        for _ in 0..count * DRAWS_EACH {
            if chosen.len() == count {
                break;
            }
            chosen.extend(self.tried.pick(random));
        }
        let place = random.below(self.tried.taken());
        for id in self.tried.from(place) {
            if chosen.len() == count {
                break;
            }
            chosen.insert(id);
        }
        let stored = chosen.into_iter().filter(|id| !self.is_terrible(*id, now_ms)).filter_map(|id| self.slab.get(id));
        let addresses = stored.map(Stored::address).collect();
        random.sample(addresses, count)
    }

    /// Entries are found at numbers below this one; some of them are free.
    pub fn places(&self) -> u32 {
        self.slab.places()
    }

    /// The entry at a number, for whoever goes through the book a little at a time.
    pub fn at(&self, place: u32) -> Option<(Address, Entry)> {
        self.slab.get(place).map(|stored| (stored.address(), stored.into()))
    }

    /// Whether an entry is not worth its place.
    pub(super) fn is_terrible(&self, id: u32, now_ms: u64) -> bool {
        let Some(stored) = self.slab.get(id) else { return true };
        // A clock that ran backwards makes nothing old.
        let since = |then: u64| now_ms.saturating_sub(then);
        let (tried, success) = (stored.last_tried.get(), stored.last_success.get());
        if tried > 0 && since(tried) < GRACE_MS {
            return false;
        }
        since(stored.last_seen.get()) > FORGOTTEN_MS
            || success == 0 && stored.misses >= NEW_MISSES_MAX
            || since(success) > MISSING_MS && stored.misses >= MISSES_MAX
    }

    // How many tried addresses there are of its group, itself included.
    fn kin(&self, address: Address) -> u64 {
        let group = self.group_of(address);
        group.and_then(|group| self.tried_by_group.get(&group)).map_or(1, |count| u64::from(*count).max(1))
    }
}

fn chance(stored: &Stored, now_ms: u64) -> u64 {
    let patience = AFTER_MISSES[usize::from(stored.misses).min(AFTER_MISSES.len() - 1)];
    let tried = stored.last_tried.get();
    if tried > 0 && now_ms.saturating_sub(tried) < JUST_TRIED_MS { patience / 100 } else { patience }
}

fn weighed(rivals: &[(Address, u64)], random: &mut Random) -> Option<Address> {
    let weight = |rival: &(Address, u64)| rival.1.max(1) as usize;
    let mut left = random.below(rivals.iter().map(weight).sum());
    for rival in rivals {
        match left.checked_sub(weight(rival)) {
            Some(less) => left = less,
            None => return Some(rival.0),
        }
    }
    None
}
