//! Keeps the one gate, both ways: every accepted connection and every dial is judged here and nowhere else.

use crate::engine::P2pState;
use crate::shell::bans::Severity;
use crate::shell::dialer::CONNECTING_MAX;
use crate::shell::eviction::{self, Candidate, Victim};
use crate::shell::peers::PeerState;
use crate::shell::slots::Slot;
use crate::{Address, ConnectionId, Direction, NetworkGroup, Now, Protocol, Reason};
use alloc::vec::Vec;

/// Connections that may be on their way out beside those that fill the slots, before new ones are refused.
pub const CLOSING_SPARE: usize = 64;

/// Who is at the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Knock {
    /// They dialled us.
    Accepted,
    /// We want to dial.
    Dial {
        /// For a slot of this kind.
        slot: Slot,
        /// Whether the operator asked for it, who may have more than one node at an address.
        by_operator: bool,
    },
    /// What we dialled stands: much can have happened meanwhile.
    Stands(Slot),
}

/// What the gate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// In, as one of these.
    Admit(Slot),
    /// In, and this one goes.
    AdmitByEvicting(Victim),
    /// Not in.
    Refuse(Reason),
}

/// Judges a connection with `address`.
pub(crate) fn judge<P: Protocol>(state: &P2pState<P>, now: Now, address: Address, knock: Knock) -> Admission {
    let severity = state.bans.get(now, address.ip()).map(|ban| ban.severity);
    if state.is_draining {
        return Admission::Refuse(Reason::RefusedDraining);
    }
    if severity == Some(Severity::Banned) {
        return Admission::Refuse(Reason::RefusedBanned);
    }
    let is_discouraged = severity == Some(Severity::Discouraged);
    match knock {
        Knock::Accepted => accepted(state, now, address, is_discouraged),
        Knock::Dial { .. } | Knock::Stands(_) if is_discouraged => Admission::Refuse(Reason::RefusedDiscouraged),
        Knock::Stands(slot) => Admission::Admit(slot),
        Knock::Dial { slot, by_operator } => dial(state, address, slot, by_operator),
    }
}

fn accepted<P: Protocol>(state: &P2pState<P>, now: Now, address: Address, is_discouraged: bool) -> Admission {
    let ip = address.ip();
    let max = state.config.inbound_max as usize;
    let (count, is_capped) = (state.slots.count(), !state.is_spared(ip));
    let is_reserved = max > 0
        && !is_discouraged
        && state.slots.reserved_with(Direction::Inbound, ip) < state.named.at_ip(&state.discovery.dialer, ip);
    if is_reserved {
        return Admission::Admit(Slot::Reserved);
    }
    let on_the_way_out = count.leaving + state.closing.len();
    if is_capped && state.slots.with_host(Direction::Inbound, ip) >= state.config.inbound_per_ip_max {
        Admission::Refuse(Reason::RefusedPerIp)
    } else if is_capped && state.slots.in_group(Direction::Inbound, ip) >= state.config.inbound_per_group_max {
        Admission::Refuse(Reason::RefusedPerGroup)
    } else if count.inbound + on_the_way_out >= max + CLOSING_SPARE {
        Admission::Refuse(Reason::RefusedFull)
    } else if is_discouraged && count.inbound >= max / 2 {
        Admission::Refuse(Reason::RefusedDiscouraged)
    } else if count.inbound < max {
        Admission::Admit(Slot::Inbound)
    } else {
        // Who is spared pushes nobody out either: on a machine of one's own there is nothing to defend.
        let choose = || eviction::choose(&candidates(state, now), NetworkGroup::of(ip));
        let victim = is_capped.then(choose).flatten();
        victim.map_or(Admission::Refuse(Reason::RefusedFull), Admission::AdmitByEvicting)
    }
}

fn dial<P: Protocol>(state: &P2pState<P>, address: Address, slot: Slot, by_operator: bool) -> Admission {
    let ip = address.ip();
    let is_capped = !by_operator && !state.is_spared(ip);
    if !address.is_dialable() {
        Admission::Refuse(Reason::RefusedNoHost)
    } else if state.discovery.dialer.selves.contains(&address) {
        Admission::Refuse(Reason::RefusedSelf)
    } else if state.connecting_peers.len() >= CONNECTING_MAX {
        Admission::Refuse(Reason::RefusedBusy)
    } else if is_capped && state.slots.with_host(Direction::Outbound, ip) >= state.config.inbound_per_ip_max {
        Admission::Refuse(Reason::RefusedPerIp)
    } else {
        Admission::Admit(slot)
    }
}

/// The inbound peers that may have to go.
fn candidates<P: Protocol>(state: &P2pState<P>, now: Now) -> Vec<Candidate> {
    let candidate = |(connection, peer): (&ConnectionId, &PeerState<P>)| {
        let ip = peer.ends.remote.ip();
        let group = (!state.is_spared(ip)).then(|| NetworkGroup::of(ip));
        Candidate {
            connection: *connection,
            group,
            group_rank: group.map_or(0, |group| state.group_rank(group)),
            connected: peer.connected.monotonic,
            merit: peer.merit,
            is_discouraged: state.bans.get(now, ip).is_some(),
        }
    };
    state.peers.iter().filter(|(_, peer)| peer.slot == Slot::Inbound).map(candidate).collect()
}
