//! Chooses which inbound peer makes room for a newcomer, so that nobody can push honest peers out at will.
//!
//! The rules are those of Bitcoin Core, in our own words: peers that an attacker can hardly imitate are protected,
//! each by a measure of its own; what is left is judged by the network group that takes most. Three are stricter
//! here. A measure protects only those that show it at all. Of a group that the key favours one peer is protected,
//! not several. And a newcomer whose own group would then be the largest is turned away, so that one group can only
//! ever push itself out.

use crate::{ConnectionId, NetworkGroup, Time};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

/// Groups of which one peer each is protected, chosen by a secret key: an attacker cannot know where to come from.
pub const BY_GROUP: usize = 4;
/// Peers protected for the lowest ping: it cannot be faked from afar.
pub const BY_PING: usize = 8;
/// Peers protected for the latest new transactions: they cost a fee.
pub const BY_TRANSACTION: usize = 4;
/// Peers protected for the latest new blocks: they cost work.
pub const BY_BLOCK: usize = 4;

/// What is known of the good that a peer does. Times are when it last was the first to bring something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Merit {
    /// The quickest answer, if one was ever measured.
    pub ping_min: Option<Duration>,
    /// The last block that was news and valid.
    pub last_block: Option<Time>,
    /// The last transaction that was news and valid.
    pub last_transaction: Option<Time>,
}

/// An inbound peer that may have to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its connection.
    pub connection: ConnectionId,
    /// Its network group; nothing for a peer that no cap counts, which is a group of its own.
    pub group: Option<NetworkGroup>,
    /// The keyed hash of its group.
    pub group_rank: u64,
    /// When it connected.
    pub connected: Time,
    /// What it is worth.
    pub merit: Merit,
    /// Whether its IP address is discouraged.
    pub is_discouraged: bool,
}

/// Who goes, and how that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Victim {
    /// Its connection.
    pub connection: ConnectionId,
    /// Peers that were protected.
    pub protected: u32,
    /// Inbound peers of its group, itself included.
    pub in_group: u32,
    /// Whether it was chosen because it is discouraged.
    pub is_discouraged: bool,
}

/// Who makes room for a newcomer of this group; nobody when all are protected, or when the newcomer's group would be
/// larger than that of whoever had to go.
pub fn choose(candidates: &[Candidate], newcomer: NetworkGroup) -> Option<Victim> {
    let sizes = sizes(candidates);
    let discouraged: Vec<_> = candidates.iter().filter(|candidate| candidate.is_discouraged).copied().collect();
    if let Some(victim) = youngest_of_largest(&discouraged, &sizes) {
        return Some(victim_of(victim, &sizes, 0, true));
    }
    let mut open = candidates.to_vec();
    protect(&mut open);
    let victim = youngest_of_largest(&open, &sizes)?;
    let newcomers = sizes.get(&newcomer).map_or(1, |count| count + 1);
    if newcomers > size(&sizes, victim.group) {
        return None;
    }
    Some(victim_of(victim, &sizes, candidates.len() - open.len(), false))
}

/// Takes the protected ones out.
pub fn protect(open: &mut Vec<Candidate>) {
    protect_groups(open);
    protect_best(open, BY_PING, |candidate| candidate.merit.ping_min);
    protect_best(open, BY_TRANSACTION, |candidate| candidate.merit.last_transaction.map(core::cmp::Reverse));
    protect_best(open, BY_BLOCK, |candidate| candidate.merit.last_block.map(core::cmp::Reverse));
    // An attacker who wants to replace what was there before has to have been there as long.
    let half = open.len() / 2;
    protect_best(open, half, |candidate| Some(candidate.connected));
}

// The oldest peer of each of a few groups, the same ones as long as they are there.
fn protect_groups(open: &mut Vec<Candidate>) {
    let mut favoured: BTreeMap<(u64, Option<NetworkGroup>), (Time, ConnectionId)> = BTreeMap::new();
    for candidate in open.iter().filter(|candidate| candidate.group.is_some()) {
        let oldest = favoured.entry((candidate.group_rank, candidate.group)).or_insert(age(candidate));
        *oldest = (*oldest).min(age(candidate));
    }
    let kept: Vec<_> = favoured.into_values().take(BY_GROUP).map(|(_, connection)| connection).collect();
    open.retain(|candidate| !kept.contains(&candidate.connection));
}

// The `count` with the lowest value; those that have none are not protected.
fn protect_best<T: Ord>(open: &mut Vec<Candidate>, count: usize, value: impl Fn(&Candidate) -> Option<T>) {
    let rank = |candidate: &Candidate| (value(candidate).is_none(), value(candidate), age(candidate));
    let count = count.min(open.iter().filter(|candidate| value(candidate).is_some()).count());
    if count == 0 {
        return;
    }
    open.select_nth_unstable_by(count - 1, |one, other| rank(one).cmp(&rank(other)));
    open.drain(..count);
}

fn age(candidate: &Candidate) -> (Time, ConnectionId) {
    (candidate.connected, candidate.connection)
}

fn sizes(candidates: &[Candidate]) -> BTreeMap<NetworkGroup, u32> {
    let mut sizes = BTreeMap::new();
    candidates.iter().filter_map(|candidate| candidate.group).for_each(|group| *sizes.entry(group).or_default() += 1);
    sizes
}

// A group of its own has one member.
fn size(sizes: &BTreeMap<NetworkGroup, u32>, group: Option<NetworkGroup>) -> u32 {
    group.and_then(|group| sizes.get(&group).copied()).unwrap_or(1)
}

// The one that connected last, of the group with most peers; of groups alike, the one with the younger last.
fn youngest_of_largest(open: &[Candidate], sizes: &BTreeMap<NetworkGroup, u32>) -> Option<Candidate> {
    open.iter().max_by_key(|candidate| (size(sizes, candidate.group), age(candidate))).copied()
}

fn victim_of(victim: Candidate, sizes: &BTreeMap<NetworkGroup, u32>, protected: usize, is_discouraged: bool) -> Victim {
    let in_group = size(sizes, victim.group);
    let protected = u32::try_from(protected).unwrap_or(u32::MAX);
    Victim { connection: victim.connection, protected, in_group, is_discouraged }
}
