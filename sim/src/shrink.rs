//! Makes a failing plan smaller: whatever can be left out while the same check still fails is left out.
//!
//! Delta debugging (Zeller): halves, then quarters, then single things, of faults and of attackers; nodes from the
//! end; the time after the violation; at last what is published.

use crate::outcome::Outcome;
use crate::plan::Plan;

/// A failing plan that became smaller.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The plan.
    pub plan: Plan,
    /// What its run came to.
    pub outcome: Outcome,
    /// Runs that were tried.
    pub tried: u32,
}

/// Someone who runs plans and looks for one violation.
struct Search<'a> {
    run: &'a mut dyn FnMut(&Plan) -> Outcome,
    check: String,
    best: Shrunk,
    tries_max: u32,
}

/// Shrinks `plan`, whose run came to `outcome`, with at most `tries_max` runs. Nothing is tried when nothing failed.
pub fn shrink(plan: Plan, outcome: Outcome, tries_max: u32, run: &mut dyn FnMut(&Plan) -> Outcome) -> Shrunk {
    let check = outcome.violation.as_ref().map(|violation| violation.check.clone());
    let best = Shrunk { plan, outcome, tried: 0 };
    let Some(check) = check else { return best };
    let mut search = Search { run, check, best, tries_max };
    loop {
        let before = search.best.plan.clone();
        search.length();
        search.faults();
        search.hostile();
        search.nodes();
        search.work();
        if search.best.plan == before || search.is_over() {
            return search.best;
        }
    }
}

impl Search<'_> {
    fn is_over(&self) -> bool {
        self.best.tried >= self.tries_max
    }

    // Whether the plan fails like the one that is shrunk; it is the best so far then.
    fn fails(&mut self, plan: Plan) -> bool {
        if plan == self.best.plan || plan.check().is_err() || self.is_over() {
            return false;
        }
        self.best.tried += 1;
        let outcome = (self.run)(&plan);
        let is_same = outcome.violation.as_ref().is_some_and(|violation| violation.check == self.check);
        if is_same {
            (self.best.plan, self.best.outcome) = (plan, outcome);
        }
        is_same
    }

    fn length(&mut self) {
        let at = self.best.outcome.violation.as_ref().map_or(u64::MAX, |violation| violation.at_ms);
        let plan = &self.best.plan;
        if at < plan.lasts_ms {
            // The run stands still at the violation, so that what comes later can go without changing anything.
            let shorter = plan.with_length(at + 1);
            if self.fails(shorter) {
                return;
            }
        }
        while !self.is_over() {
            let plan = &self.best.plan;
            let shorter = plan.with_length(plan.lasts_ms / 2);
            if !self.fails(shorter) {
                return;
            }
        }
    }

    fn faults(&mut self) {
        self.list(|plan| plan.faults.len(), |plan, from, to| drop(plan.faults.drain(from..to)));
    }

    fn hostile(&mut self) {
        self.list(|plan| plan.hostile.len(), |plan, from, to| drop(plan.hostile.drain(from..to)));
    }

    // Leaves out parts of a list: large ones first.
    fn list(&mut self, length: fn(&Plan) -> usize, cut: fn(&mut Plan, usize, usize)) {
        let mut size = length(&self.best.plan);
        while size > 0 && !self.is_over() {
            let mut from = 0;
            while from < length(&self.best.plan) && !self.is_over() {
                let mut plan = self.best.plan.clone();
                cut(&mut plan, from, (from + size).min(length(&self.best.plan)));
                if !self.fails(plan) {
                    from += size;
                }
            }
            size /= 2;
        }
    }

    fn nodes(&mut self) {
        let mut fewer = self.best.plan.nodes / 2;
        while fewer > 0 && !self.is_over() {
            let nodes = self.best.plan.nodes;
            if nodes < fewer + 2 || !self.fails(self.best.plan.with_nodes(nodes - fewer)) {
                fewer /= 2;
            }
        }
    }

    fn work(&mut self) {
        for change in [
            (|work| work.transactions_per_minute = 0) as fn(&mut crate::plan::Work),
            |work| work.transactions_per_minute /= 2,
            |work| work.authors = 1,
            |work| work.producers = 1,
        ] {
            let mut plan = self.best.plan.clone();
            change(&mut plan.work);
            self.fails(plan);
        }
        let mut plan = self.best.plan.clone();
        plan.joins_ms.clear();
        self.fails(plan);
    }
}
