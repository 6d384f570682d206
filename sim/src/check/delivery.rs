//! Keeps book of what was published and when it came to whom.

use super::{Troubles, short};
use crate::cast::Id;
use crate::outcome::Figures;
use crate::plan::Plan;
use std::collections::HashMap;

/// It has not come.
const NEVER: u32 = u32::MAX;

/// Everything that honest nodes published.
pub(crate) struct Deliveries {
    published: Vec<Published>,
    // Only looked up, never iterated.
    index: HashMap<Id, usize>,
    // By node and then by publication: when it came, in milliseconds.
    came: Vec<Vec<u32>>,
}

/// One publication.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Published {
    pub(crate) id: Id,
    pub(crate) author: usize,
    pub(crate) at_ms: u64,
    pub(crate) is_block: bool,
}

impl Published {
    /// What it is, for people.
    pub(crate) fn told(&self) -> String {
        let kind = if self.is_block { "block" } else { "transaction" };
        format!("{kind} {} of node {}, {} ms", short(&self.id), self.author, self.at_ms)
    }
}

impl Deliveries {
    pub(crate) fn new(nodes: usize) -> Self {
        Self { published: Vec::new(), index: HashMap::new(), came: vec![Vec::new(); nodes] }
    }

    pub(crate) fn publish(&mut self, id: Id, author: usize, at_ms: u64, is_block: bool) {
        if let std::collections::hash_map::Entry::Vacant(place) = self.index.entry(id) {
            place.insert(self.published.len());
            self.published.push(Published { id, author, at_ms, is_block });
        }
    }

    /// Takes back what was published last.
    pub(crate) fn retract(&mut self, id: &Id) {
        if self.published.last().is_some_and(|last| last.id == *id) {
            self.published.pop();
            self.index.remove(id);
            let left = self.published.len();
            self.came.iter_mut().for_each(|came| came.truncate(left));
        }
    }

    pub(crate) fn came(&mut self, id: Id, node: usize, at_ms: u64) {
        let Some(nth) = self.index.get(&id).copied() else { return };
        let came = &mut self.came[node];
        if came.len() <= nth {
            came.resize(nth + 1, NEVER);
        }
        came[nth] = came[nth].min(u32::try_from(at_ms).unwrap_or(NEVER));
    }

    fn at(&self, node: usize, nth: usize) -> Option<u64> {
        self.came[node].get(nth).copied().filter(|at| *at != NEVER).map(u64::from)
    }

    pub(crate) fn all(&self) -> &[Published] {
        &self.published
    }

    /// Fills in what was delivered to whom in what time. `counts` says whether a publication counts: a block that lost
    /// does not.
    pub(crate) fn measure(
        &self,
        plan: &Plan,
        troubles: &Troubles,
        counts: impl Fn(&Published) -> bool,
        figures: &mut Figures,
    ) -> Option<(Published, usize)> {
        let honest: Vec<usize> = plan.honest().collect();
        let (mut took, mut first_late) = (Vec::new(), None);
        for (nth, published) in self.published.iter().enumerate().filter(|(_, published)| counts(published)) {
            figures.published += 1;
            let Published { author, at_ms, .. } = *published;
            let until = at_ms + plan.deadline_ms;
            // What comes near the end is not measured: its time is not over.
            let is_new = troubles.arrived_ms(plan.join_ms(author)) > at_ms;
            if until > plan.lasts_ms || is_new || troubles.is_troubled(author, at_ms, until) {
                continue;
            }
            for node in honest.iter().copied().filter(|node| *node != author) {
                if troubles.arrived_ms(plan.join_ms(node)) > at_ms || troubles.is_troubled(node, at_ms, until) {
                    continue;
                }
                figures.deliveries += 1;
                match self.at(node, nth).filter(|at| *at <= until) {
                    Some(at) => took.push(at.saturating_sub(at_ms)),
                    None => first_late = first_late.or(Some((*published, node))),
                }
            }
        }
        figures.in_time = took.len() as u64;
        took.sort_unstable();
        let share = |percent: usize| took.get((took.len() * percent / 100).min(took.len().saturating_sub(1))).copied();
        figures.took_ms = [50, 90, 99, 100].map(|percent| share(percent).unwrap_or(0));
        first_late
    }
}
