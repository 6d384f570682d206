//! Puts what an engine knows into the words of the API.

use crate::view::{self, What};
use polypeer_driver::View;
use polypeer_engine::shell::bans::{Ban, Severity};
use polypeer_engine::shell::book::{Book, Entry, Tally};
use polypeer_engine::shell::peers::PeerState;
use polypeer_engine::shell::risk::{Cause, Finding, HIGH, NOTABLE, Risk};
use polypeer_engine::shell::slots::Slot;
use polypeer_engine::{
    Address, ConnectionId, DialFailure, Direction, DisconnectCause, Event, NetworkGroup, Now, Protocol, Reason,
    ReasonRecord, Subject, Time,
};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Groups of the address book that are named: more than anyone reads, and a small answer.
const GROUPS_MAX: usize = 100;

/// A peer.
pub(super) fn peer<P: Protocol>(view: &View<'_, P>, id: ConnectionId, state: &PeerState<P>) -> view::Peer {
    let about = state.peer.as_ref().map(|peer| view.engine.protocol().describe(peer)).unwrap_or_default();
    let meter = view.meters.connection(id).unwrap_or_default();
    let kind = match state.slot {
        Slot::Inbound | Slot::Leaving => "inbound",
        Slot::Outbound => "outbound-full-relay",
        Slot::Reserved => "manual",
        Slot::Extra => "feeler",
    };
    let seconds = |time: Option<Time>| time.map_or(0, |time| unix_ms(view.now, time) / 1000);
    view::Peer {
        id: id.as_u64(),
        addr: state.ends.remote.to_string(),
        addrbind: state.ends.local.to_string(),
        network: if state.ends.remote.ip().is_ipv4() { "ipv4".into() } else { "ipv6".into() },
        group: view.engine.state().discovery.book.group_of(state.ends.remote).map(|group| group.to_string()),
        inbound: id.direction() == Direction::Inbound,
        connection_type: kind.into(),
        conntime: state.connected.unix_ms / 1000,
        lastsend: meter.last_sent.map_or(0, |sent| sent.unix_ms / 1000),
        lastrecv: unix_ms(view.now, state.last_frame) / 1000,
        bytessent: meter.bytes_sent,
        bytesrecv: meter.bytes_received,
        pingtime: about.ping_micros.map(|micros| micros as f64 / 1e6),
        timeoffset: about.time_offset,
        subver: about.subver,
        node_address: about.node_address,
        synced_blocks: about.synced_blocks,
        ready: state.is_ready,
        framessent: meter.frames_sent,
        framesrecv: meter.frames_received,
        slips: state.slips.len(),
        minping: state.merit.ping_min.map(|wait| wait.as_secs_f64()),
        last_block: seconds(state.merit.last_block),
        last_transaction: seconds(state.merit.last_transaction),
    }
}

// A point on the monotonic clock, on the other one.
fn unix_ms(now: Now, time: Time) -> u64 {
    let ago = now.monotonic.since(time).as_millis();
    now.unix_ms.saturating_sub(u64::try_from(ago).unwrap_or(u64::MAX))
}

/// An entry of the address book.
pub(super) fn address(address: Address, entry: &Entry) -> view::KnownAddress {
    let set = |unix_ms: u64| (unix_ms > 0).then_some(unix_ms);
    view::KnownAddress {
        address: address.to_string(),
        proven: entry.proven,
        source: entry.source.map(|ip| ip.to_string()),
        tried: entry.is_tried,
        last_seen: set(entry.last_seen_ms),
        last_tried: set(entry.last_tried_ms),
        last_success: set(entry.last_success_ms),
        failures: entry.failures,
    }
}

/// The address book by network group.
pub(super) fn groups(book: &Book) -> view::BookGroups {
    let census = book.census();
    // Both tables are samples of their own when they are large.
    let scaled =
        |tally: &Tally, count: u64| (count * tally.entries as u64).checked_div(tally.counted as u64).unwrap_or(0);
    let mut found: BTreeMap<NetworkGroup, (u64, u64)> = BTreeMap::new();
    for (group, count) in &census.new.by_group {
        found.entry(*group).or_default().0 += scaled(&census.new, u64::from(*count));
    }
    for (group, count) in &census.tried.by_group {
        let (entries, tried) = found.entry(*group).or_default();
        *tried += scaled(&census.tried, u64::from(*count));
        *entries += *tried;
    }
    let ungrouped = |tally: &Tally| {
        let grouped: u64 = tally.by_group.values().map(|count| u64::from(*count)).sum();
        scaled(tally, (tally.counted as u64).saturating_sub(grouped))
    };
    let distinct = found.len() as u64;
    let mut groups: Vec<_> = found.into_iter().collect();
    groups.sort_by_key(|(group, (entries, _))| (Reverse(*entries), *group));
    let group = |(group, (entries, tried)): (NetworkGroup, (u64, u64))| view::BookGroup {
        group: group.to_string(),
        entries,
        tried,
    };
    view::BookGroups {
        entries: book.len() as u64,
        proven: book.proven() as u64,
        tried: census.tried.entries as u64,
        counted: (census.new.counted + census.tried.counted) as u64,
        distinct,
        ungrouped: ungrouped(&census.new) + ungrouped(&census.tried),
        groups: groups.into_iter().take(GROUPS_MAX).map(group).collect(),
    }
}

/// A refusal.
pub(super) fn ban(ip: IpAddr, ban: &Ban) -> view::Ban {
    let severity = match ban.severity {
        Severity::Banned => "banned",
        Severity::Discouraged => "discouraged",
    };
    view::Ban { address: ip.to_string(), until: ban.until_ms, reason: ban.reason.clone(), severity: severity.into() }
}

/// A reason.
pub(super) fn why(record: &ReasonRecord) -> view::Why {
    let (what, text) = reason(&record.reason);
    let peer = match record.subject {
        Subject::Address(address) => address.to_string(),
        Subject::Ip(ip) => ip.to_string(),
    };
    let connection = record.connection.map(ConnectionId::as_u64);
    view::Why { time: record.now.unix_ms, peer, connection, what: what.into(), text, times: record.times }
}

/// How near an eclipse is.
pub(super) fn risk(risk: &Risk) -> view::Risk {
    let level = match risk.score {
        0..NOTABLE => "low",
        NOTABLE..HIGH => "notable",
        HIGH.. => "high",
    };
    let finding = |finding: &Finding| view::Finding {
        name: finding.what.name().into(),
        points: finding.points,
        text: cause(&finding.what),
    };
    view::Risk {
        score: risk.score,
        level: level.into(),
        reserved: risk.reserved,
        findings: risk.findings.iter().map(finding).collect(),
    }
}

fn cause(cause: &Cause) -> String {
    let span = |seconds: u64| humantime::format_duration(std::time::Duration::from_secs(seconds));
    match cause {
        Cause::OutboundMissing { have, want } => format!("{have} outbound peers stand where {want} are wanted"),
        Cause::OutboundOneGroup { group, share } => format!("{share} % of the outbound peers are in {group}"),
        Cause::OutboundOneSource { group, share } => {
            format!("{share} % of the outbound peers were named from {group}")
        }
        Cause::OutboundYoung { oldest_seconds } => {
            format!("the oldest outbound peer has been there for {}", span(*oldest_seconds))
        }
        Cause::InboundOneGroup { group, share } => format!("{share} % of the inbound peers come from {group}"),
        Cause::BookSmall { entries, want } => format!("the address book has {entries} entries; {want} give a choice"),
        Cause::BookOneGroup { group, share } => format!("{share} % of the address book is in {group}"),
        Cause::BookOneSource { group, share } => format!("{share} % of the address book was named from {group}"),
        Cause::BookUnproven { share } => format!("{share} % of the address book was never reached"),
        Cause::BookStale { seconds } => format!("nobody in the address book was reached for {}", span(*seconds)),
    }
}

fn reason(reason: &Reason) -> (&'static str, String) {
    let until = |ms: u64| {
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_millis(ms.min(253_402_300_799_000));
        humantime::format_rfc3339_seconds(time)
    };
    match reason {
        Reason::DialledForOperator => ("dialled", "the operator named it".into()),
        Reason::DialledForSlot => ("dialled", "an outbound slot was free".into()),
        Reason::DialledToProve => ("dialled", "to prove its address".into()),
        Reason::DialledToTest => ("dialled", "to learn whether a peer is there".into()),
        Reason::DialledForSlotTogether => {
            ("dialled", "an outbound slot was free, and nobody outside the networks of the other slots was left".into())
        }
        Reason::BackOff { until_ms, cause } => {
            ("backed_off", format!("{}; not dialled before {}", dial_failure(*cause), until(*until_ms)))
        }
        Reason::BackOffLost { until_ms } => {
            ("backed_off", format!("the connection was lost; not dialled before {}", until(*until_ms)))
        }
        Reason::RefusedFull => ("refused", "no inbound slot was free, and nobody there had to make room for it".into()),
        Reason::RefusedPerIp => ("refused", "too many connections with its IP address".into()),
        Reason::RefusedPerGroup => ("refused", "too many connections from its network group".into()),
        Reason::RefusedBanned => ("refused", "it is banned".into()),
        Reason::RefusedDiscouraged => {
            ("refused", "it is discouraged: not dialled, and let in while slots are plenty".into())
        }
        Reason::RefusedDraining => ("refused", "this node is going down".into()),
        Reason::RefusedSelf => ("refused", "not dialled: it is this node itself".into()),
        Reason::RefusedNoHost => ("refused", "not dialled: nobody can be at such an address".into()),
        Reason::RefusedBusy => ("refused", "not dialled: too many dials are under way".into()),
        Reason::Evicted { for_whom, protected, in_group, is_discouraged } => {
            let rule = match is_discouraged {
                true => "it is discouraged, and such peers go first".to_owned(),
                false => format!(
                    "of those that nothing protected it was the youngest of the largest network group, which had \
                     {in_group}; {protected} peers were protected"
                ),
            };
            ("evicted", format!("made room for {for_whom}: {rule}"))
        }
        Reason::Dropped { frames } => {
            ("dropped", format!("it reads too slowly: {frames} frames of gossip found no room in its queue"))
        }
        Reason::Slip(fault) => ("slip", fault.clone()),
        Reason::Convicted(fault) => ("convicted", fault.clone()),
        Reason::Discouraged { until_ms, fault } => ("discouraged", format!("{fault}, until {}", until(*until_ms))),
        Reason::Banned { until_ms, fault } => ("banned", format!("{fault}, until {}", until(*until_ms))),
        Reason::Unbanned => ("unbanned", "a ban or discouragement was lifted".into()),
        Reason::Closed(why) => ("closed", why.clone()),
        Reason::Disconnected(cause) => ("disconnected", disconnect_cause(*cause).into()),
    }
}

fn dial_failure(cause: DialFailure) -> &'static str {
    match cause {
        DialFailure::Refused => "nobody listens there",
        DialFailure::TimedOut => "no answer in time",
        DialFailure::Unreachable => "no way there",
        DialFailure::Transport => "the transport's handshake failed",
        DialFailure::Resources => "no resources of our own",
    }
}

fn disconnect_cause(cause: DisconnectCause) -> &'static str {
    match cause {
        DisconnectCause::Ours => "closed by us",
        DisconnectCause::Theirs => "closed by the peer",
        DisconnectCause::Broken => "broken",
        DisconnectCause::QueueFull => "the peer read too slowly",
        DisconnectCause::Budget => "memory was short and it held most of it",
    }
}

/// An event.
pub fn happened(event: &Event) -> What {
    match event {
        Event::PeerReady { connection, address, about } => {
            let (connection, address) = (connection.as_u64(), address.to_string());
            What::PeerReady { connection, address, about: about.clone() }
        }
        Event::PeerGone { connection, address, cause } => {
            let cause = disconnect_cause(*cause).to_owned();
            What::PeerGone { connection: connection.as_u64(), address: address.to_string(), cause }
        }
        Event::Reason(record) => What::Reason { why: why(record) },
        Event::Note(text) => What::Note { text: text.clone() },
    }
}
