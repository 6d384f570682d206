//! Checks the book against its own rules, for tests and simulations.

use crate::shell::book::stored::Stored;
use crate::shell::book::{Book, COLLISIONS_MAX, NEW_REFERENCES_MAX, Which};
use crate::{Address, NetworkGroup};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

impl Book {
    /// Goes through the whole book. The first rule that it breaks, in words.
    pub fn audit(&self) -> Result<(), String> {
        let mut references = 0;
        let mut tried = 0;
        let mut proven = 0;
        let mut by_group: BTreeMap<NetworkGroup, u32> = BTreeMap::new();
        for (key, id) in &self.index {
            let Some(stored) = self.slab.get(*id).filter(|stored| stored.key == *key) else {
                return Err(format!("{} is not where the index says", key.address()));
            };
            self.audit_places(*id, stored)?;
            references += stored.buckets().len();
            proven += usize::from(stored.last_success.get() > 0);
            if stored.is_tried {
                tried += 1;
                if let Some(group) = self.group_of(stored.address()) {
                    *by_group.entry(group).or_default() += 1;
                }
            }
        }
        let live = (0..self.slab.places()).filter(|id| self.slab.get(*id).is_some()).count();
        let counts = [
            ("entries", live, self.index.len()),
            ("places in the new table", references, self.new.len()),
            ("places in the tried table", tried, self.tried.len()),
            ("proven entries", proven, self.proven),
            (
                "entries counted by source",
                self.named_in_all(),
                self.index.values().filter(|id| self.is_named(**id)).count(),
            ),
        ];
        if let Some((what, counted, kept)) = counts.into_iter().find(|(_, counted, kept)| counted != kept) {
            return Err(format!("{counted} {what}, but the book keeps {kept}"));
        }
        if by_group != self.tried_by_group {
            return Err(format!("the tried table has {by_group:?}, but the book keeps {:?}", self.tried_by_group));
        }
        if self.index.len() > self.layout.capacity() {
            return Err(format!("{} entries in {} places", self.index.len(), self.layout.capacity()));
        }
        self.new.audit()?;
        self.tried.audit()?;
        self.audit_collisions()
    }

    /// Which table an address is in, and its buckets there.
    pub fn placement(&self, address: Address) -> Option<(Which, Vec<u32>)> {
        let stored = self.slab.get(*self.index.get(&address.into())?)?;
        if stored.is_tried {
            return Some((Which::Tried, alloc::vec![self.layout.tried_bucket(address)]));
        }
        Some((Which::New, stored.buckets().iter().map(|bucket| u32::from(*bucket)).collect()))
    }

    /// Addresses that wait for a test of the one at their tried position.
    pub fn collisions(&self) -> usize {
        self.collisions.len()
    }

    fn audit_places(&self, id: u32, stored: &Stored) -> Result<(), String> {
        let address = stored.address();
        let references = stored.buckets().len();
        if stored.is_tried != (references == 0) || references > NEW_REFERENCES_MAX {
            return Err(format!("{address} has {references} new places and is tried: {}", stored.is_tried));
        }
        for bucket in stored.buckets() {
            let position = self.layout.position(Which::New, (*bucket).into(), &stored.key);
            if self.new.get((*bucket).into(), position) != Some(id) {
                return Err(format!("{address} is not at its place in the new table"));
            }
        }
        let (bucket, position) = self.tried_place(stored);
        if stored.is_tried && self.tried.get(bucket, position) != Some(id) {
            return Err(format!("{address} is not at its place in the tried table"));
        }
        Ok(())
    }

    fn audit_collisions(&self) -> Result<(), String> {
        let is_tried = |key| self.index.get(key).and_then(|id| self.slab.get(*id)).map(|stored| stored.is_tried);
        if self.collisions.len() > COLLISIONS_MAX {
            return Err(format!("{} collisions wait", self.collisions.len()));
        }
        for collision in &self.collisions {
            if is_tried(&collision.challenger) != Some(false) || is_tried(&collision.incumbent) != Some(true) {
                return Err(format!("{} waits for a place that is not held", collision.challenger.address()));
            }
        }
        Ok(())
    }

    fn named_in_all(&self) -> usize {
        self.named.iter().map(|count| *count as usize).sum()
    }

    fn is_named(&self, id: u32) -> bool {
        self.slab.get(id).is_some_and(|stored| !stored.is_tried && stored.source().is_some())
    }
}
