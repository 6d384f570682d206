//! The blame matrix: each fault, how it is provoked, and who pays for it. Nobody else ever does.

use crate::make::{self, answer, hundred};
use crate::peers::Greeting;
use crate::stage::*;
use polypeer_bumo::hash::sha256;
use polypeer_bumo::wire::{Body, Kind, Pbft, TRANSACTION_DATA_BYTES_MAX};
use polypeer_bumo::{Check, Misbehavior};
use polypeer_engine::shell::bans::Severity;
use polypeer_engine::{BadFrame, ConnectionId, Misbehavior as _, P2pAction, Reason};

const GUILTY: &str = "10.0.0.9:40000";
const HONEST: [&str; 2] = ["10.0.0.8:40000", "10.0.0.7:36011"];

/// What a fault costs whoever committed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Price {
    /// Borne, one slip the nearer to the end.
    OneSlip,
    /// The connection, and nothing more.
    Connection,
    /// The connection, and a day's discouragement.
    Discouraged,
}

/// What each fault costs, and the fault in the next row. A variant without a row does not compile.
fn row(fault: Misbehavior) -> (Price, Option<Misbehavior>) {
    use Misbehavior::*;
    use Price::*;
    let refused = |check| Some(Refused { sequence: 7, check });
    let kind = Kind::Transaction;
    match fault {
        BadFrame => (Discouraged, Some(FrameTooSlow)),
        FrameTooSlow => (Connection, Some(FrameOverBudget)),
        FrameOverBudget => (Connection, Some(MalformedPing)),
        MalformedPing => (Discouraged, Some(MalformedTransaction)),
        MalformedTransaction => (Discouraged, Some(MalformedPbft)),
        MalformedPbft => (Discouraged, Some(MalformedUpgrade)),
        MalformedUpgrade => (Discouraged, Some(TooLong(kind))),
        TooLong(_) => (Discouraged, Some(NoHello)),
        NoHello => (Connection, Some(Silent)),
        Silent => (Connection, refused(Check::Duplicate { ip: [10, 0, 0, 9].into(), id: 0 })),
        Refused { check: Check::Duplicate { .. }, .. } => (Connection, refused(Check::Network { remote: 0, local: 0 })),
        Refused { check: Check::Network { .. }, .. } => (Connection, refused(Check::SameAddress)),
        Refused { check: Check::SameAddress, .. } => (Connection, refused(Check::Itself)),
        Refused { check: Check::Itself, .. } => (Connection, refused(Check::OverlayVersion(999))),
        Refused { check: Check::OverlayVersion(_), .. } => (Connection, refused(Check::ListeningPort(0))),
        Refused { check: Check::ListeningPort(_), .. } => (Connection, Some(Garbage)),
        Garbage => (OneSlip, Some(Malformed(Kind::Peers))),
        Malformed(_) => (OneSlip, Some(NotCanonical(kind))),
        NotCanonical(_) => (OneSlip, Some(ForgedPbft)),
        ForgedPbft => (OneSlip, Some(TooManyAddresses)),
        TooManyAddresses => (OneSlip, Some(UnaskedLedgers)),
        UnaskedLedgers => (OneSlip, Some(OtherLedgers)),
        OtherLedgers => (OneSlip, Some(InvalidLedger)),
        InvalidLedger => (Discouraged, Some(TooMuchWork)),
        TooMuchWork => (OneSlip, Some(ReadsNothing)),
        ReadsNothing => (Connection, Some(StrangersNotices)),
        StrangersNotices => (OneSlip, None),
    }
}

/// Somebody commits a fault. Who.
fn provoke(stage: &mut Stage, fault: Misbehavior) -> ConnectionId {
    use Misbehavior::*;
    match fault {
        BadFrame => guest_types(stage, &[7]),
        FrameTooSlow => guest_is_told(stage, self::BadFrame::TOO_SLOW),
        FrameOverBudget => guest_is_told(stage, self::BadFrame::OVER_BUDGET),
        MalformedPing => guest_says(stage, Kind::Ping, &[0xff]),
        MalformedTransaction => guest_says(stage, Kind::Transaction, &[0xff]),
        MalformedPbft => guest_says(stage, Kind::Pbft, &[]),
        MalformedUpgrade => guest_says(stage, Kind::LedgerUpgradeNotify, &[0xff]),
        TooLong(_) => guest_says(stage, Kind::Transaction, &vec![0; TRANSACTION_DATA_BYTES_MAX + 1]),
        NoHello => {
            let guilty = stage.accept(GUILTY);
            stage.wait(seconds(10));
            guilty
        }
        Silent => {
            let guilty = stage.guest(GUILTY);
            stage.wait(seconds(60));
            guilty
        }
        Refused { check, .. } => greets(stage, check),
        Garbage => guest_types(stage, &[0x82, 1, 0xff]),
        Malformed(_) => guest_says(stage, Kind::Peers, &[0xff]),
        NotCanonical(_) => guest_says(stage, Kind::Transaction, &[0x0a, 0x00, 0x78, 0x01]),
        ForgedPbft => {
            let digest = sha256(b"value");
            let vote = make::vote(2, 0, 22, &digest);
            let chain = make::sealed(2, &Pbft { round_number: 1, body: Body::Prepare(vote), chain_id: 5 });
            guest_says(stage, Kind::Pbft, &chain)
        }
        TooManyAddresses => guest_says(stage, Kind::Peers, &vec![0; 100 << 10]),
        UnaskedLedgers => {
            let guilty = stage.guest(GUILTY);
            stage.answers(guilty, Kind::Ledgers, &answer(hundred(), 22, 22));
            guilty
        }
        OtherLedgers => asked_and_brings(stage, 23),
        InvalidLedger => {
            stage.ledger.refuses.insert(22, polypeer_bumo::ledger::CloseError::Malformed);
            asked_and_brings(stage, 22)
        }
        TooMuchWork => {
            let guilty = stage.guest(GUILTY);
            stage.is_asleep = true;
            (0..10).for_each(|_| stage.asks_for_ledgers(guilty, 2, 2));
            stage.awakes();
            guilty
        }
        ReadsNothing => {
            let guilty = stage.guest(GUILTY);
            stage.reads = false;
            stage.asks_until_cut(guilty);
            stage.reads = true;
            guilty
        }
        StrangersNotices => {
            let guilty = stage.guest(GUILTY);
            strangers_notices(stage, guilty, 32);
            guilty
        }
    }
}

// So many notices of somebody who is no validator.
fn strangers_notices(stage: &mut Stage, guilty: ConnectionId, count: i64) {
    for nonce in 1..=count {
        stage.says(guilty, Kind::LedgerUpgradeNotify, &make::notice(7, nonce, 1003));
    }
}

fn guest_types(stage: &mut Stage, bytes: &[u8]) -> ConnectionId {
    let guilty = stage.guest(GUILTY);
    stage.types(guilty, bytes);
    guilty
}

fn guest_says(stage: &mut Stage, kind: Kind, data: &[u8]) -> ConnectionId {
    let guilty = stage.guest(GUILTY);
    stage.says(guilty, kind, data);
    guilty
}

fn guest_is_told(stage: &mut Stage, reason: u8) -> ConnectionId {
    let guilty = stage.guest(GUILTY);
    let bad = self::BadFrame::of_host(reason);
    stage.act(P2pAction::BadFrame { connection: guilty, channel: CH, bad });
    guilty
}

fn asked_and_brings(stage: &mut Stage, seq: i64) -> ConnectionId {
    let guilty = stage.guest(GUILTY);
    stage.wait(seconds(1));
    stage.answers(guilty, Kind::Ledgers, &answer(hundred(), seq, seq));
    guilty
}

fn greets(stage: &mut Stage, check: Check) -> ConnectionId {
    let guilty = stage.accept(GUILTY);
    let mut greeting = Greeting::of(50);
    let ours = make::node_address(make::OURS);
    match check {
        // The first honest peer's.
        Check::Duplicate { .. } => greeting = Greeting::of(2),
        Check::Network { .. } => greeting.network_id = 1,
        Check::SameAddress => greeting.node_address = ours,
        Check::Itself => {
            let other = stage.dial("10.0.0.4:36001");
            let said = stage.hears_one(other, Kind::Hello, true);
            stage.hang_up(other);
            stage.says(guilty, Kind::Hello, &said.data);
            return guilty;
        }
        Check::OverlayVersion(version) => greeting.overlay_version = version,
        Check::ListeningPort(port) => greeting.listening_port = port,
    }
    stage.says(guilty, Kind::Hello, &greeting.encode());
    guilty
}

#[test]
fn exactly_the_guilty_one_pays_for_each_fault() {
    let mut next = Some(Misbehavior::BadFrame);
    while let Some(fault) = next {
        let (price, following) = row(fault);
        next = following;
        story(|stage| {
            let honest = [stage.guest(HONEST[0]), stage.host(HONEST[1])];
            stage.lively = honest.to_vec();
            let guilty = provoke(stage, fault);
            let name = fault.name();
            let reasons = stage.reasons(GUILTY);
            let is_named = |reason: &Reason| matches!(reason, Reason::Slip(it) | Reason::Convicted(it) if it == name);
            assert!(reasons.iter().any(is_named), "{name}: {reasons:?}");
            let paid = match (stage.is_open(guilty), stage.severity(GUILTY)) {
                (true, None) if stage.slips(guilty) == 1 => Price::OneSlip,
                (false, None) => Price::Connection,
                (false, Some(Severity::Discouraged)) => Price::Discouraged,
                other => panic!("{name}: {other:?}"),
            };
            assert_eq!(paid, price, "{name}");
            for (peer, remote) in honest.into_iter().zip(HONEST) {
                assert_eq!((stage.slips(peer), stage.severity(remote)), (0, None), "{name}");
                stage.is_well(peer);
            }
        });
    }
}
