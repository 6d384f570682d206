//! Says what a simulation will be.

/// What a hostile node does. Each is a node of ours with a switch flipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attack {
    /// Takes part and passes nothing on.
    Silent,
    /// Tells of messages and does not bring them.
    Withholding,
    /// Grafts everybody, all the time, and passes nothing on.
    Greedy,
    /// Sends forgeries, what is invalid, and names of nothing.
    Noisy,
    /// Passes on everything but what one node published.
    Censoring,
}

/// Everything that decides a run but the code.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) nodes: usize,
    pub(crate) hostile_percent: usize,
    pub(crate) attacks: &'static [Attack],
    /// When hostile nodes join; the others join within the first second.
    pub(crate) hostile_join_s: u64,
    /// How many peers a node keeps dialled.
    pub(crate) dials: usize,
    pub(crate) hostile_dials: usize,
    /// How many may dial it.
    pub(crate) slots: usize,
    /// Whether hostile nodes take all slots of node 0.
    pub(crate) eclipses_victim: bool,
    /// Whether node 0 publishes everything.
    pub(crate) victim_publishes: bool,
    /// Of a thousand messages and gossips so many find no room in a queue.
    pub(crate) lost_permille: usize,
    /// Of a hundred honest nodes so many leave each minute, and come back seconds later, knowing nothing.
    pub(crate) churn_per_minute: u64,
    /// When publishing begins, and how long it lasts.
    pub(crate) begins_s: u64,
    pub(crate) lasts_s: u64,
    pub(crate) publish_ms: u64,
    /// How long a node must have been there for a message to be due to it.
    pub(crate) settles_s: u64,
    /// Whether messages go through meshes alone.
    pub(crate) is_without_gossip: bool,
    /// Six heartbeats.
    pub(crate) deadline_ms: u64,
    pub(crate) in_time_permille: usize,
}

impl Plan {
    pub(crate) fn new(seed: u64, nodes: usize) -> Self {
        Self {
            seed,
            nodes,
            hostile_percent: 0,
            attacks: &[],
            hostile_join_s: 0,
            dials: 8,
            hostile_dials: 8,
            slots: 30,
            eclipses_victim: false,
            victim_publishes: false,
            lost_permille: 0,
            churn_per_minute: 0,
            begins_s: 8,
            lasts_s: 10,
            publish_ms: 500,
            settles_s: 5,
            is_without_gossip: false,
            deadline_ms: 6_000,
            in_time_permille: 995,
        }
    }

    pub(crate) fn longer(self, times: u64) -> Self {
        Self { lasts_s: self.lasts_s * times, ..self }
    }

    /// What a node does that is hostile. Node 0 is honest.
    pub(crate) fn attack(&self, node: usize) -> Option<Attack> {
        let honest = self.nodes - self.nodes * self.hostile_percent / 100;
        (node >= honest).then(|| self.attacks[node % self.attacks.len()])
    }
}
