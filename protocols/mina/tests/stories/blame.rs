//! The blame matrix: each fault, how it is weighed, and that stories provoke it. Whoever adds a fault adds its row.

use crate::make::{self, gossip};
use crate::stage::*;
use polypeer_engine::shell::bans::Severity;
use polypeer_engine::{Misbehavior as _, Weight};
use polypeer_mina::binprot::BinprotError;
use polypeer_mina::checks::Objection;
use polypeer_mina::ledger::Kind;
use polypeer_mina::{GossipFault, Misbehavior, StreamFault, kad, mesh, rpc};

/// What each fault weighs (Mina spec, section 3.6, and the table in `misbehavior`). A variant without a row does not
/// compile.
fn weight(fault: Misbehavior) -> Weight {
    use Misbehavior::*;
    use Weight::{Attack, Breach, Slip};
    match fault {
        NoIdentity | Itself | OtherPeer | Duplicate | NoIdentify | NotReady | NoPong | Silent => Slip,
        Transport => Breach,
        Stream(StreamFault::TooLong | StreamFault::BadLength | StreamFault::TooSlow | StreamFault::OverBudget) => Slip,
        TooManyStreams | MalformedIdentify | OtherKey | TooManyPings | WrongPong | MalformedStatus => Slip,
        MalformedExchange | TooManyAddresses | MalformedAnswer | OtherBlocks | TooMuchWork => Slip,
        UnprovenTip => Breach,
        Mesh(mesh::Fault::Malformed | mesh::Fault::TooMany | mesh::Fault::TooLong) => Breach,
        Mesh(_) => Slip,
        Gossip(GossipFault::Malformed) => Slip,
        Gossip(GossipFault::Rule(Objection::Version | Objection::Future | Objection::Late)) => Slip,
        Gossip(GossipFault::Rule(_)) => Attack,
        Gossip(GossipFault::Refused(_)) => Breach,
        Kad(_) => Slip,
        Rpc(fault) => fault.weight(),
    }
}

/// All faults that there are, one of each kind.
fn all() -> Vec<Misbehavior> {
    use Misbehavior::*;
    let mut all = vec![
        NoIdentity,
        Itself,
        OtherPeer,
        Duplicate,
        NoIdentify,
        NotReady,
        NoPong,
        Silent,
        Transport,
        TooManyStreams,
        MalformedIdentify,
        OtherKey,
        TooManyPings,
        WrongPong,
        MalformedStatus,
        MalformedExchange,
        TooManyAddresses,
        MalformedAnswer,
        OtherBlocks,
        UnprovenTip,
        TooMuchWork,
        Gossip(GossipFault::Malformed),
        Rpc(rpc::Fault::Handshake),
        Rpc(rpc::Fault::Message(BinprotError::Truncated)),
        Rpc(rpc::Fault::UnknownId),
        Rpc(rpc::Fault::TooManyHashes),
        Rpc(rpc::Fault::TooManyQuestions),
        Rpc(rpc::Fault::TooManyStreams),
        Kad(kad::Fault::Unasked),
        Kad(kad::Fault::WrongKind),
        Kad(kad::Fault::RequestTooLong),
        Kad(kad::Fault::TooManyRequests),
        Kad(kad::Fault::TooManyStreams),
        Kad(kad::Fault::ForeignProvider),
    ];
    all.extend(
        [StreamFault::TooLong, StreamFault::BadLength, StreamFault::TooSlow, StreamFault::OverBudget].map(Stream),
    );
    all.extend(Kind::ALL.map(|kind| Gossip(GossipFault::Refused(kind))));
    let objections = [
        Objection::Genesis,
        Objection::Constants,
        Objection::Version,
        Objection::DeltaProof,
        Objection::Timestamp,
        Objection::BodyReference,
        Objection::Future,
        Objection::Late,
        Objection::Statement,
    ];
    all.extend(objections.map(|objection| Gossip(GossipFault::Rule(objection))));
    let faults = [
        mesh::Fault::Malformed,
        mesh::Fault::TooMany,
        mesh::Fault::Unsigned,
        mesh::Fault::BadAuthor,
        mesh::Fault::BadSignature,
        mesh::Fault::TooLong,
        mesh::Fault::Rejected,
        mesh::Fault::GraftInBackOff,
        mesh::Fault::GraftFlood,
        mesh::Fault::ControlStorm,
    ];
    all.extend(faults.map(Mesh));
    all
}

#[test]
fn each_fault_has_its_weight_and_a_name_of_its_own() {
    let all = all();
    for fault in &all {
        assert_eq!(fault.weight(), weight(*fault), "{fault:?}");
        assert_eq!(fault.farewell(), None, "nothing on this network says why");
        assert!(fault.name().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_' || byte.is_ascii_digit()));
    }
    let mut names: Vec<_> = all.iter().map(|fault| fault.name()).collect();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn nineteen_slips_are_borne_and_the_twentieth_discourages() {
    story(|stage| {
        let (peer, channel) = stage.gossip("10.0.0.9:40000", 7);
        for number in 0..19_u64 {
            stage.says(peer, channel, &gossip(9, number, &[number as u8]));
            assert!(stage.is_open(peer), "{number}: {:?}", stage.faults(peer));
        }
        stage.says(peer, channel, &gossip(9, 20, &[20]));
        assert!(!stage.is_open(peer));
        assert_eq!(stage.severity("10.0.0.9:40000"), Some(Severity::Discouraged));
    });
}

#[test]
fn four_blocks_of_another_version_are_as_bad_as_twenty_messages_that_do_not_decode() {
    story(|stage| {
        let (peer, channel) = stage.gossip("10.0.0.9:40000", 7);
        for number in 0..4_u8 {
            assert!(stage.is_open(peer));
            let mut data = make::block().to_vec();
            data[9 + 12_719 - 4] = 4 + number;
            stage.says(peer, channel, &gossip(9, u64::from(number), &data));
        }
        assert_eq!(stage.faults(peer), ["other_protocol_version"; 20]);
        assert!(!stage.is_open(peer));
    });
}

#[test]
fn slips_fade_in_an_hour() {
    story(|stage| {
        let (peer, channel) = stage.gossip("10.0.0.9:40000", 7);
        for hour in 0..3 {
            for number in 0..15_u64 {
                stage.says(peer, channel, &gossip(9, number, &[hour, number as u8]));
            }
            stage.wait(seconds(3_601));
        }
        assert!(stage.is_open(peer));
    });
}

#[test]
fn a_rule_breaker_is_banned_with_all_of_its_host_and_nobody_else_is() {
    story(|stage| {
        let (guilty, channel) = stage.gossip("10.0.0.9:40000", 7);
        let honest = stage.guest("10.0.0.8:40000", 8);
        let mut data = make::block().to_vec();
        data[9 + 32] ^= 1;
        stage.says(guilty, channel, &gossip(9, 1, &data));
        assert_eq!(stage.severity("10.0.0.9:40000"), Some(Severity::Banned));
        assert!(stage.is_open(honest) && stage.severity("10.0.0.8:40000").is_none());
        let again = stage.guest("10.0.0.9:40001", 9);
        assert!(!stage.is_open(again));
        stage.wait(seconds(24 * 3_600));
        let later = stage.guest("10.0.0.9:40002", 9);
        assert!(stage.is_open(later), "after a day it may come back");
    });
}
