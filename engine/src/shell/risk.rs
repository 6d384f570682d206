//! Gauges how near this node is to an eclipse: whether all that it hears could come from one hand.
//!
//! It looks at what an attacker has to own: the network groups of those who are connected and known, who named them,
//! and for how long they have been there. Nothing is decided by it; it is for the operator, who can name peers of
//! their own.

use crate::engine::P2pState;
use crate::shell::slots::Slot;
use crate::{Address, Direction, NetworkGroup, Now, Protocol};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;

/// The score from which an operator should look.
pub const NOTABLE: u8 = 25;
/// The score from which an eclipse would need little more.
pub const HIGH: u8 = 50;
/// Entries of the book that are looked at, spread evenly over it: shares of groups are right to about a percent.
const BOOK_LOOKED_AT: usize = 8192;
/// Outbound peers that all came within this are as good as unknown: a restart, or someone who cut the older ones off.
const YOUNG: Duration = Duration::from_secs(10 * 60);
/// A book in which nobody was reached for so long says little about who is there today.
const STALE: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Inbound peers below this say nothing about who dials us.
const INBOUND_MIN: usize = 8;
/// Book entries for each outbound slot, below which there is no choice.
const ENTRIES_PER_SLOT: usize = 4;

/// A network group, or one address of a private network that no cap counts.
type Group = (Option<NetworkGroup>, Option<Address>);

/// A connection, as far as an eclipse is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tie {
    /// Where it leads.
    pub address: Address,
    /// Who named the address; nothing when the operator or the network's preset did.
    pub source: Option<IpAddr>,
    /// For how long it has stood.
    pub age: Duration,
}

/// An entry of the address book, as far as an eclipse is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// The address.
    pub address: Address,
    /// Who named it.
    pub source: Option<IpAddr>,
    /// Since when nobody was reached there; nothing when nobody ever was.
    pub since_success: Option<Duration>,
}

/// What the gauge reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Picture {
    /// Outbound connections that are wanted.
    pub outbound_target: usize,
    /// Whether only peers that the operator named are dialled, so that the book decides nothing.
    pub named_only: bool,
    /// Whether loopback addresses are each a group of their own.
    pub spare_loopback: bool,
    /// Ready connections that fill an outbound slot.
    pub outbound: Vec<Tie>,
    /// Ready connections with peers that the operator named.
    pub reserved: usize,
    /// Connections that were accepted.
    pub inbound: Vec<Address>,
    /// How many entries the book has.
    pub book_size: usize,
    /// Those of them that are looked at.
    pub book: Vec<Known>,
}

/// How near an eclipse is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Risk {
    /// 0 to 100: the findings' points together; at most [`HIGH`] less one while a peer that the operator named is
    /// connected, because that one is nobody else's choice.
    pub score: u8,
    /// What it is made of, heaviest first.
    pub findings: Vec<Finding>,
    /// Ready peers that the operator named.
    pub reserved: usize,
}

/// One thing that makes an eclipse easier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What.
    pub what: Cause,
    /// How much it adds.
    pub points: u8,
}

/// What makes an eclipse easier. Shares are percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Fewer outbound connections than wanted: others chose more of our peers than we did.
    OutboundMissing {
        /// That stand.
        have: usize,
        /// That are wanted.
        want: usize,
    },
    /// Much of the outbound connections leads into one network group.
    OutboundOneGroup {
        /// Into which.
        group: NetworkGroup,
        /// How much of them.
        share: u8,
    },
    /// Much of the outbound peers was named by one network group.
    OutboundOneSource {
        /// By which.
        group: NetworkGroup,
        /// How much of them.
        share: u8,
    },
    /// All outbound connections are young.
    OutboundYoung {
        /// The oldest, in seconds.
        oldest_seconds: u64,
    },
    /// Much of the inbound connections comes from one network group.
    InboundOneGroup {
        /// From which.
        group: NetworkGroup,
        /// How much of them.
        share: u8,
    },
    /// The book gives no choice.
    BookSmall {
        /// Its entries.
        entries: usize,
        /// How many would be a choice.
        want: usize,
    },
    /// Much of the book is in one network group.
    BookOneGroup {
        /// In which.
        group: NetworkGroup,
        /// How much of it.
        share: u8,
    },
    /// Much of the book was named by one network group.
    BookOneSource {
        /// By which.
        group: NetworkGroup,
        /// How much of it.
        share: u8,
    },
    /// Little of the book was ever reached.
    BookUnproven {
        /// How much was not.
        share: u8,
    },
    /// Nobody in the book was reached for long.
    BookStale {
        /// The last success, in seconds.
        seconds: u64,
    },
}

impl Cause {
    /// Its name in snake case, as the API shows it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::OutboundMissing { .. } => "outbound_missing",
            Self::OutboundOneGroup { .. } => "outbound_one_group",
            Self::OutboundOneSource { .. } => "outbound_one_source",
            Self::OutboundYoung { .. } => "outbound_young",
            Self::InboundOneGroup { .. } => "inbound_one_group",
            Self::BookSmall { .. } => "book_small",
            Self::BookOneGroup { .. } => "book_one_group",
            Self::BookOneSource { .. } => "book_one_source",
            Self::BookUnproven { .. } => "book_unproven",
            Self::BookStale { .. } => "book_stale",
        }
    }

    // The most that it can add. Without an outbound connection everything that is heard comes from whoever wanted to
    // tell it, so that alone is high; where the outbound ones lead comes next; the book decides only about tomorrow.
    fn points_max(&self) -> u64 {
        match self {
            Self::OutboundMissing { have: 0, .. } => 60,
            Self::OutboundMissing { .. } => 30,
            Self::OutboundOneGroup { .. } => 30,
            Self::OutboundOneSource { .. } => 15,
            Self::InboundOneGroup { .. } | Self::BookOneGroup { .. } | Self::BookOneSource { .. } => 10,
            Self::OutboundYoung { .. }
            | Self::BookSmall { .. }
            | Self::BookUnproven { .. }
            | Self::BookStale { .. } => 5,
        }
    }
}

/// Gauges a picture.
pub fn assess(picture: &Picture) -> Risk {
    let mut findings = Vec::new();
    judge_outbound(picture, &mut findings);
    judge_inbound(picture, &mut findings);
    if !picture.named_only {
        judge_book(picture, &mut findings);
    }
    findings.retain(|finding: &Finding| finding.points > 0);
    findings.sort_by_key(|finding| core::cmp::Reverse(finding.points));
    let sum: u32 = findings.iter().map(|finding| u32::from(finding.points)).sum();
    let most = if picture.reserved > 0 { HIGH - 1 } else { 100 };
    Risk { score: u8::try_from(sum).unwrap_or(most).min(most), findings, reserved: picture.reserved }
}

impl<P: Protocol> P2pState<P> {
    /// How near this node is to an eclipse now. Costs a walk over peers and book.
    pub fn risk(&self, now: Now) -> Risk {
        assess(&self.picture(now))
    }

    fn picture(&self, now: Now) -> Picture {
        let book = &self.discovery.book;
        let ready = || self.peers.values().filter(|peer| peer.is_ready);
        let outbound = ready().filter(|peer| peer.slot == Slot::Outbound).filter_map(|peer| {
            let address = peer.ends.dialled?;
            let age = now.monotonic.since(peer.connected.monotonic);
            Some(Tie { address, source: book.get(address).and_then(|entry| entry.source), age })
        });
        let known = book.all().step_by(book.len() / BOOK_LOOKED_AT + 1).map(|(address, entry)| {
            let since = now.unix_ms.saturating_sub(entry.last_success_ms);
            let since_success = entry.proven.then(|| Duration::from_millis(since));
            Known { address, source: entry.source, since_success }
        });
        let named_only = !self.config.connect_only.is_empty();
        Picture {
            outbound_target: match named_only {
                true => self.config.connect_only.len(),
                false => self.config.outbound_target as usize,
            },
            named_only,
            spare_loopback: self.config.spare_loopback,
            outbound: outbound.collect(),
            reserved: ready().filter(|peer| peer.slot == Slot::Reserved).count(),
            inbound: self
                .peers
                .values()
                .filter(|peer| peer.ends.direction == Direction::Inbound)
                .map(|peer| peer.ends.remote)
                .collect(),
            book_size: book.len(),
            book: known.collect(),
        }
    }
}

impl Picture {
    // Whether it is all on this machine, where groups say nothing.
    fn is_spared(&self, address: Address) -> bool {
        self.spare_loopback && address.is_loopback()
    }

    fn group(&self, address: Address) -> Group {
        if self.is_spared(address) { (None, Some(address)) } else { (Some(address.group()), None) }
    }

    fn is_local(&self) -> bool {
        let ties = self.outbound.iter().map(|tie| tie.address);
        let known = self.book.iter().map(|known| known.address);
        let mut all = ties.chain(known).chain(self.inbound.iter().copied()).peekable();
        all.peek().is_some() && all.all(|address| self.is_spared(address))
    }
}

fn judge_outbound(picture: &Picture, findings: &mut Vec<Finding>) {
    let (have, want) = (picture.outbound.len() + picture.reserved, picture.outbound_target);
    let total = have;
    // A node that wants none, a tracker, is told so by nobody.
    if have < want && !picture.is_local() {
        push(findings, Cause::OutboundMissing { have, want }, want - have, want);
    }
    let groups = picture.outbound.iter().map(|tie| picture.group(tie.address));
    if let Some((group, count)) = largest(groups.filter_map(|(group, _)| group)) {
        let share = percent(count, total);
        push(findings, Cause::OutboundOneGroup { group, share }, count - 1, total.saturating_sub(1));
    }
    let sources = picture.outbound.iter().filter_map(|tie| tie.source);
    if let Some((group, count)) = largest(sources.filter(|ip| !is_own(picture, *ip)).map(NetworkGroup::of)) {
        let share = percent(count, total);
        push(findings, Cause::OutboundOneSource { group, share }, count - 1, total.saturating_sub(1));
    }
    let oldest = picture.outbound.iter().map(|tie| tie.age).max();
    if let Some(oldest) = oldest.filter(|age| *age < YOUNG)
        && !picture.is_local()
    {
        push(findings, Cause::OutboundYoung { oldest_seconds: oldest.as_secs() }, 1, 1);
    }
}

fn judge_inbound(picture: &Picture, findings: &mut Vec<Finding>) {
    let total = picture.inbound.len();
    let groups = picture.inbound.iter().filter_map(|address| picture.group(*address).0);
    if let Some((group, count)) = largest(groups)
        && total >= INBOUND_MIN
    {
        let share = percent(count, total);
        push(findings, Cause::InboundOneGroup { group, share }, count - 1, total - 1);
    }
}

fn judge_book(picture: &Picture, findings: &mut Vec<Finding>) {
    let (total, want) = (picture.book.len(), picture.outbound_target * ENTRIES_PER_SLOT);
    if picture.is_local() {
        return;
    }
    if picture.book_size < want {
        let entries = picture.book_size;
        push(findings, Cause::BookSmall { entries, want }, want - entries, want);
    }
    let groups = picture.book.iter().filter_map(|known| picture.group(known.address).0);
    if let Some((group, count)) = largest(groups) {
        let share = percent(count, total);
        push(findings, Cause::BookOneGroup { group, share }, count - 1, total.saturating_sub(1));
    }
    let sources = picture.book.iter().filter_map(|known| known.source).filter(|ip| !is_own(picture, *ip));
    if let Some((group, count)) = largest(sources.map(NetworkGroup::of)) {
        let share = percent(count, total);
        push(findings, Cause::BookOneSource { group, share }, count - 1, total.saturating_sub(1));
    }
    let unproven = picture.book.iter().filter(|known| known.since_success.is_none()).count();
    push(findings, Cause::BookUnproven { share: percent(unproven, total) }, unproven, total);
    let latest = picture.book.iter().filter_map(|known| known.since_success).min();
    if let Some(latest) = latest.filter(|since| *since >= STALE) {
        push(findings, Cause::BookStale { seconds: latest.as_secs() }, 1, 1);
    }
}

fn is_own(picture: &Picture, ip: IpAddr) -> bool {
    picture.spare_loopback && ip.is_loopback()
}

// The most frequent one, the first of those alike, and how often it is there.
fn largest(groups: impl Iterator<Item = NetworkGroup>) -> Option<(NetworkGroup, usize)> {
    let mut counts: BTreeMap<NetworkGroup, usize> = BTreeMap::new();
    groups.for_each(|group| *counts.entry(group).or_default() += 1);
    counts.into_iter().max_by_key(|(group, count)| (*count, core::cmp::Reverse(*group)))
}

// Adds `part` in `whole` of what the cause can add at most.
fn push(findings: &mut Vec<Finding>, what: Cause, part: usize, whole: usize) {
    let points = (what.points_max() * part as u64).checked_div(whole as u64).unwrap_or(0);
    findings.push(Finding { what, points: u8::try_from(points).unwrap_or(100) });
}

fn percent(part: usize, whole: usize) -> u8 {
    u8::try_from((100 * part).checked_div(whole).unwrap_or(0)).unwrap_or(100)
}
