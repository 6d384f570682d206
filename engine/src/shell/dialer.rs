//! Decides whom to dial and when: named peers first, then the address book, with patience that grows by cause.

mod choice;

pub(crate) use choice::may_fill;

use crate::shell::alarms::AlarmKey;
use crate::{Address, Context, DialFailure, Effect, Protocol, Random, Reason, Record, Subject, Table, Target, Time};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use bytes::Bytes;
use core::time::Duration;

/// Own addresses that are remembered, so that a node does not meet itself again.
pub const SELVES_MAX: usize = 64;
/// Dials under way at one time; a tracker proves 256 addresses at once, a node needs a dozen.
pub const CONNECTING_MAX: usize = 512;
/// Peers that an operator can name.
pub const WANTED_MAX: usize = 1024;
/// Anchors that a restart takes back.
pub const ANCHORS_MAX: usize = 64;
/// A lost peer that the operator named is dialled again within this.
pub const WANTED_RETRY_FIRST: Duration = Duration::from_secs(1);
/// The longest wait between two dials of a named peer.
pub const WANTED_RETRY_MAX: Duration = Duration::from_secs(30);
/// A named peer whose connection lasted this long is soon dialled again when it is lost. One that is lost sooner is left
/// alone longer each time, however good its handshake was: what ends it would end the next one too.
pub const WANTED_LASTED: Duration = Duration::from_secs(60);
/// The dialer looks at the book at most this often.
pub const PACE: Duration = Duration::from_millis(250);
/// The dialer looks at the book at least this often while a slot is free.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// A slot that an address of the book did not fill is offered to the next one after this.
pub const NEXT_CANDIDATE: Duration = Duration::from_secs(1);
/// About how often an address is dialled for a moment, to learn whether a peer is there, while the slots are full. A
/// day of it tests 720.
pub const TEST_EVERY: Duration = Duration::from_secs(120);
/// Entries of the book that one look goes through when chance found nobody.
pub const SWEEP: u32 = 1024;
/// A name is looked up again after this.
pub const RESOLVE_AGAIN: Duration = Duration::from_secs(60);

/// A peer that the operator named.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Where it is; an address is itself, a name what it was resolved to.
    pub addresses: Vec<Address>,
    /// Not dialled before this.
    pub not_before: Time,
    /// Dials that failed, and connections that did not last, since one that did.
    pub failures: u32,
    /// The name is not looked up before this.
    pub resolve_not_before: Time,
}

/// Whom to dial.
#[derive(Clone, Debug, Default)]
pub struct Dialer {
    /// Peers that the operator named.
    pub wanted: BTreeMap<Target, Wanted>,
    /// Addresses that turned out to be ours.
    pub selves: BTreeSet<Address>,
    /// Not before this does the dialer look again.
    pub next_look: Time,
    /// Peers that held a slot when the last process ended: dialled before anyone else, so that whoever fills the
    /// book in the meantime does not choose a node's peers after its restart.
    pub anchors: BTreeSet<Address>,
    /// Not before this is an address tested.
    pub next_test: Time,
    pub(crate) sweep: choice::Sweep,
}

impl Wanted {
    // Leaves the peer alone, longer each time. Until when.
    fn put_off(&mut self, now: Time, random: &mut Random) -> Time {
        // A stranger's hour is not cut short by the connection that ends.
        self.not_before = self.not_before.max(now + wanted_back_off(self.failures, random));
        self.failures = self.failures.saturating_add(1);
        self.not_before
    }
}

impl Dialer {
    /// Wants a peer from now on. Whether there was room.
    pub fn want(&mut self, target: Target) -> bool {
        if self.wanted.len() >= WANTED_MAX && !self.wanted.contains_key(&target) {
            return false;
        }
        let addresses = match &target {
            Target::Address(address) => alloc::vec![*address],
            Target::Name(..) => Vec::new(),
        };
        self.wanted.entry(target).or_insert(Wanted { addresses, ..Wanted::default() });
        true
    }

    /// Whether the operator named this address.
    pub fn is_wanted(&self, address: Address) -> bool {
        self.wanted.values().any(|wanted| wanted.addresses.contains(&address))
    }

    /// The named peer at this address.
    pub fn wanted_mut(&mut self, address: Address) -> Option<&mut Wanted> {
        self.wanted.values_mut().find(|wanted| wanted.addresses.contains(&address))
    }

    /// Takes back an anchor that was saved.
    pub(crate) fn load_anchor(&mut self, record: &Record) {
        if let Ok(address) = postcard::from_bytes::<Address>(&record.key)
            && self.anchors.len() < ANCHORS_MAX
        {
            self.anchors.insert(address);
        }
    }

    /// An address turned out to be ours.
    pub fn is_self(&mut self, address: Address) {
        if self.selves.len() < SELVES_MAX {
            self.selves.insert(address);
        }
    }
}

/// The record that makes an address an anchor, or no longer one.
pub(crate) fn anchor(address: Address, is_anchor: bool) -> Record {
    let key = postcard::to_allocvec(&address).map(Bytes::from).unwrap_or_default();
    Record { table: Table::Anchors, key, value: is_anchor.then(Bytes::new) }
}

/// How long a named peer is left alone after `failures` failures in a row.
pub fn wanted_back_off(failures: u32, random: &mut Random) -> Duration {
    let wait = WANTED_RETRY_FIRST.saturating_mul(1 << failures.min(5)).min(WANTED_RETRY_MAX);
    random.jitter(wait, 25)
}

/// How long an address of the book is left alone after it failed for this cause, `failures` times in a row.
pub fn book_back_off(cause: DialFailure, failures: u32, random: &mut Random) -> Duration {
    let (first, longest): (u64, u64) = match cause {
        // Nobody there: a restart takes seconds, a shutdown days.
        DialFailure::Refused => (5, 3_600),
        // A lost packet, or a firewall for good.
        DialFailure::TimedOut => (30, 4 * 3_600),
        DialFailure::Unreachable => (60, 4 * 3_600),
        DialFailure::Transport => (60, 24 * 3_600),
        // Ours: not the address's fault, so it does not grow.
        DialFailure::Resources => (5, 5),
    };
    let doubled = first.saturating_mul(1 << failures.saturating_sub(1).min(16));
    random.jitter(Duration::from_secs(doubled.min(longest)), 25)
}

/// Looks for someone to dial, and sets the alarm for the next look.
pub(crate) fn look<P: Protocol>(cx: &mut Context<'_, P>) {
    if cx.state.is_draining {
        return;
    }
    let now = cx.now.monotonic;
    if now < cx.state.discovery.dialer.next_look {
        let next = cx.state.discovery.dialer.next_look;
        cx.state.alarms.set_earlier(AlarmKey::Dial, next);
        return;
    }
    cx.state.discovery.dialer.next_look = now + PACE;
    let mut next = now + PATIENCE;
    dial_wanted(cx, &mut next);
    if cx.state.config.discovery && cx.state.config.connect_only.is_empty() {
        choice::dial_book(cx, &mut next);
    }
    cx.state.alarms.set_earlier(AlarmKey::Dial, next.max(now + PACE));
}

/// A dial to this address failed.
pub(crate) fn failed<P: Protocol>(cx: &mut Context<'_, P>, address: Address, filled_slot: bool, cause: DialFailure) {
    let now = cx.now.monotonic;
    let state = &mut *cx.state;
    let mut again = None;
    if let Some(failures) = state.discovery.book.failed(address, cause == DialFailure::Resources) {
        let not_before = now + book_back_off(cause, failures, &mut state.random);
        state.discovery.book.put_off(address, not_before);
        again = state.discovery.book.get(address).map(|entry| entry.not_before);
    }
    if filled_slot {
        state.alarms.set_earlier(AlarmKey::Dial, now + NEXT_CANDIDATE);
    }
    if let Some(wanted) = state.discovery.dialer.wanted_mut(address) {
        let not_before = wanted.put_off(now, &mut state.random);
        state.alarms.set_earlier(AlarmKey::Dial, not_before);
        again = Some(not_before);
    }
    cx.write_book();
    if let Some(again) = again {
        let until_ms = cx.now.after(again.since(now)).unix_ms;
        cx.because(Subject::Address(address), None, Reason::BackOff { until_ms, cause });
    }
}

/// A connection that we dialled is gone, after so long. One that never got ready counts like a dial that failed.
pub(crate) fn lost<P: Protocol>(
    cx: &mut Context<'_, P>,
    address: Address,
    filled_slot: bool,
    was_ready: bool,
    lasted: Duration,
) {
    if !was_ready {
        return failed(cx, address, filled_slot, DialFailure::Transport);
    }
    if !cx.state.is_draining {
        cx.effects.push(Effect::Save(anchor(address, false)));
    }
    let now = cx.now.monotonic;
    let state = &mut *cx.state;
    let not_before = match state.discovery.dialer.wanted_mut(address) {
        Some(wanted) => {
            if lasted >= WANTED_LASTED {
                wanted.failures = 0;
            }
            wanted.put_off(now, &mut state.random)
        }
        None => now + wanted_back_off(0, &mut state.random),
    };
    state.discovery.book.put_off(address, not_before);
    state.alarms.set_earlier(AlarmKey::Dial, not_before);
    let until_ms = cx.now.after(not_before.since(now)).unix_ms;
    cx.because(Subject::Address(address), None, Reason::BackOffLost { until_ms });
}

fn dial_wanted<P: Protocol>(cx: &mut Context<'_, P>, next: &mut Time) {
    let now = cx.now.monotonic;
    let mut dial = Vec::new();
    let state = &mut *cx.state;
    let here: BTreeSet<Address> = state.peers.values().filter(|peer| peer.is_ready).filter_map(|it| it.is_at).collect();
    for (target, wanted) in &mut state.discovery.dialer.wanted {
        if let Target::Name(name, port) = target
            && wanted.resolve_not_before <= now
        {
            wanted.resolve_not_before = now + RESOLVE_AGAIN;
            cx.effects.push(Effect::Resolve { name: name.clone(), port: *port });
        }
        let is_here = |address: &Address| state.dialled.contains_key(address) || here.contains(address);
        if wanted.addresses.iter().any(is_here) || wanted.addresses.is_empty() {
            continue;
        }
        if wanted.not_before <= now {
            dial.push(wanted.addresses[state.random.below(wanted.addresses.len())]);
        } else {
            *next = (*next).min(wanted.not_before);
        }
    }
    for address in dial {
        cx.dial(address, true, Reason::DialledForOperator);
    }
}
