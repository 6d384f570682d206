//! Chooses from the address book: for slots, each in another network group, and for tests.

use super::{SWEEP, TEST_EVERY};
use crate::engine::P2pState;
use crate::shell::book::{Entry, Which};
use crate::shell::peers::Errand;
use crate::{Address, Context, NetworkGroup, Now, Protocol, Reason, Time};
use alloc::collections::BTreeSet;
use alloc::vec::Vec;

/// How far the dialer has gone through the book since chance last found nobody.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sweep {
    // The place of the book to go on at.
    place: u32,
    // Places looked at since somebody was found.
    looked_at: u32,
    // One that would do if nobody is found in a group of its own.
    spare: Option<Address>,
}

/// What the slots hold.
#[derive(Default)]
struct Held {
    groups: BTreeSet<NetworkGroup>,
    tried: usize,
    new: usize,
}

impl Held {
    fn of<P: Protocol>(state: &P2pState<P>) -> Self {
        let standing = state.peers.values().filter(|peer| peer.slot.is_kept());
        let standing = standing.filter_map(|peer| Some((peer.ends.dialled?, peer.errand)));
        let under_way = state.connecting_peers.values().filter(|dial| dial.slot.is_kept());
        let mut held = Self::default();
        for (address, errand) in standing.chain(under_way.map(|dial| (dial.address, dial.errand))) {
            held.add(address, errand, state);
        }
        held
    }

    fn add<P: Protocol>(&mut self, address: Address, errand: Errand, state: &P2pState<P>) {
        self.groups.extend(state.discovery.book.group_of(address));
        match errand {
            Errand::Slot(Which::Tried) => self.tried += 1,
            Errand::Slot(Which::New) => self.new += 1,
            Errand::Named | Errand::Test => {}
        }
    }

    // Half and half: whoever fills one table does not get all slots. The first is for who answered before.
    fn next(&self) -> [Which; 2] {
        if self.tried <= self.new { [Which::Tried, Which::New] } else { [Which::New, Which::Tried] }
    }
}

/// Whether a peer at this address, which nobody has dialled before, may fill a slot: in a group that no slot is in,
/// and while less than half of the slots went to such.
pub(crate) fn may_fill<P: Protocol>(state: &P2pState<P>, address: Address) -> bool {
    let Some(group) = state.discovery.book.group_of(address) else { return true };
    let held = Held::of(state);
    held.new < (state.config.outbound_target as usize).div_ceil(2) && !held.groups.contains(&group)
}

/// Fills free slots from the book, or tests an address of it.
pub(super) fn dial_book<P: Protocol>(cx: &mut Context<'_, P>, next: &mut Time) {
    let target = cx.state.config.outbound_target as usize;
    let free = target.saturating_sub(cx.state.slots().outbound);
    let mut held = Held::of(cx.state);
    let filled = (0..free).take_while(|_| fill_slot(cx, &mut held)).count();
    if filled < free && cx.state.discovery.dialer.sweep.looked_at > 0 {
        *next = cx.now.monotonic;
    }
    if filled == 0 {
        test(cx);
    }
}

// Dials someone for a free slot. Whether there was anyone.
fn fill_slot<P: Protocol>(cx: &mut Context<'_, P>, held: &mut Held) -> bool {
    let anchor = loop {
        let Some(anchor) = cx.state.discovery.dialer.anchors.pop_first() else { break None };
        let entry = cx.state.discovery.book.get(anchor);
        if entry.is_none_or(|entry| is_candidate(cx.state, cx.now, anchor, &entry)) {
            break Some((anchor, Which::Tried));
        }
    };
    let drawn = anchor.or_else(|| held.next().into_iter().find_map(|which| draw(cx, held, which)));
    let Some((address, which)) = drawn.or_else(|| sweep(cx, held)) else { return false };
    let is_together = cx.state.discovery.book.group_of(address).is_some_and(|group| held.groups.contains(&group));
    let why = if is_together { Reason::DialledForSlotTogether } else { Reason::DialledForSlot };
    let errand = Errand::Slot(which);
    held.add(address, errand, cx.state);
    cx.dial_for(address, true, errand, why);
    true
}

fn draw<P: Protocol>(cx: &mut Context<'_, P>, held: &Held, which: Which) -> Option<(Address, Which)> {
    let (now, state) = (cx.now, &mut *cx.state);
    // The generator is lent out of the state that the choice looks at.
    let mut random = state.random.clone();
    let accept =
        |address: Address, entry: &Entry| is_candidate(state, now, address, entry) && is_apart(state, held, address);
    let chosen = state.discovery.book.select(which, now, &mut random, accept);
    state.random = random;
    state.discovery.dialer.sweep.looked_at *= u32::from(chosen.is_none());
    chosen.map(|address| (address, which))
}

// Goes on through the book, a little at each look, so that nobody who could fill a slot is missed. One who shares a
// group with another slot has its turn when the whole book has nobody else.
fn sweep<P: Protocol>(cx: &mut Context<'_, P>, held: &Held) -> Option<(Address, Which)> {
    let (now, state) = (cx.now, &mut *cx.state);
    let places = state.discovery.book.places();
    let mut sweep = state.discovery.dialer.sweep;
    let mut found = Vec::new();
    for _ in 0..SWEEP {
        if sweep.looked_at >= places {
            break;
        }
        sweep.place = (sweep.place + 1) % places;
        sweep.looked_at += 1;
        let Some((address, entry)) = state.discovery.book.at(sweep.place) else { continue };
        if !is_candidate(state, now, address, &entry) {
            continue;
        }
        if is_apart(state, held, address) {
            found.push(address);
        } else {
            sweep.spare = sweep.spare.or(Some(address));
        }
    }
    let mut chosen = found.get(state.random.below(found.len())).copied();
    if chosen.is_none() && sweep.looked_at >= places {
        // Its turn may have passed meanwhile.
        let still = |address: &Address| {
            state.discovery.book.get(*address).is_some_and(|entry| is_candidate(state, now, *address, &entry))
        };
        chosen = sweep.spare.take().filter(still);
        sweep.looked_at = 0;
    }
    if chosen.is_some() {
        (sweep.looked_at, sweep.spare) = (0, None);
    }
    state.discovery.dialer.sweep = sweep;
    let is_tried = |address: Address| state.discovery.book.get(address).is_some_and(|entry| entry.is_tried);
    chosen.map(|address| (address, if is_tried(address) { Which::Tried } else { Which::New }))
}

fn is_candidate<P: Protocol>(state: &P2pState<P>, now: Now, address: Address, entry: &Entry) -> bool {
    entry.not_before <= now.monotonic
        && !state.is_dialled(address)
        && !state.discovery.dialer.selves.contains(&address)
        && state.bans.get(now, address.ip()).is_none()
}

fn is_apart<P: Protocol>(state: &P2pState<P>, held: &Held, address: Address) -> bool {
    state.discovery.book.group_of(address).is_none_or(|group| !held.groups.contains(&group))
}

// Dials an address for a moment: one whose tried position another one wants, else one that was only named. So the
// tried table fills with peers that are there before anyone needs them.
fn test<P: Protocol>(cx: &mut Context<'_, P>) {
    let (now, state) = (cx.now, &mut *cx.state);
    if state.discovery.dialer.next_test > now.monotonic {
        return;
    }
    let is_first = state.discovery.dialer.next_test == Time::ZERO;
    state.discovery.dialer.next_test = now.monotonic + state.random.jitter(TEST_EVERY, 50);
    if is_first {
        return;
    }
    let incumbent = state.discovery.book.to_test(now.monotonic, &mut state.random);
    let held = incumbent.filter(|address| state.dialled.get(address).is_some_and(|it| is_ready(state, it)));
    if let Some(address) = held {
        // It is there: we are talking to it.
        state.discovery.book.good(address, now);
        return cx.write_book();
    }
    let mut random = state.random.clone();
    let accept = |address: Address, entry: &Entry| is_candidate(state, now, address, entry);
    let chosen = incumbent
        .filter(|address| !state.is_dialled(*address))
        .or_else(|| state.discovery.book.select(Which::New, now, &mut random, accept));
    state.random = random;
    if let Some(address) = chosen {
        cx.dial_for(address, false, Errand::Test, Reason::DialledToTest);
    }
}

fn is_ready<P: Protocol>(state: &P2pState<P>, connection: &crate::ConnectionId) -> bool {
    state.peers.get(connection).is_some_and(|peer| peer.is_ready)
}
