//! The blame matrix: each fault, how it is provoked, and who pays for it. Nobody else ever does.

use crate::doors::exceed;
use crate::stage::*;
use crate::toy::{Kind, block, genesis, hash_of, transaction};
use bytes::Bytes;
use polypeer_engine::kit::chain::{BlockFault, Hash, TransactionFault};
use polypeer_engine::shell::bans::Severity;
use polypeer_engine::{BadFrame, ConnectionId, Misbehavior as _, P2pAction, Reason};
use polypeer_hello::Misbehavior;
use polypeer_hello::wire::Method;
use serde_json::{Value, json};

const GUILTY: &str = "10.0.0.9:40000";
const HONEST: [&str; 2] = ["10.0.0.8:40000", "10.0.0.7:7444"];

/// What a fault costs whoever committed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Price {
    /// Borne, one slip the nearer to the end.
    OneSlip,
    /// The connection, and nothing more.
    Connection,
    /// The connection, without blame: it is of another chain.
    Stranger,
    /// The connection, and a day's discouragement.
    Discouraged,
}

/// What each fault costs, and the fault in the next row. A variant without a row does not compile.
fn row(fault: Misbehavior) -> (Price, Option<Misbehavior>) {
    use Misbehavior::*;
    use Price::*;
    let none = Method::NONE;
    match fault {
        NotAnObject => (OneSlip, Some(NotOneEntry)),
        NotOneEntry => (OneSlip, Some(DuplicateKey(none))),
        DuplicateKey(_) => (OneSlip, Some(TooDeep(none))),
        TooDeep(_) => (OneSlip, Some(UnknownMethod(none))),
        UnknownMethod(_) => (OneSlip, Some(WrongForm(none))),
        WrongForm(_) => (OneSlip, Some(MalformedReject)),
        MalformedReject => (OneSlip, Some(TooManyQuestions)),
        TooManyQuestions => (OneSlip, Some(SecondListQuestion)),
        SecondListQuestion => (OneSlip, Some(HelloTooOften)),
        HelloTooOften => (OneSlip, Some(GetaddrTooOften)),
        GetaddrTooOften => (OneSlip, Some(UnaskedBlock)),
        UnaskedBlock => (OneSlip, Some(UnaskedList)),
        UnaskedList => (OneSlip, Some(NeverValid(TransactionFault::Length))),
        NeverValid(_) => (OneSlip, Some(LineTooLong)),
        LineTooLong => (Discouraged, Some(OutOfOrder(none))),
        OutOfOrder(_) => (Discouraged, Some(OtherBlock)),
        OtherBlock => (Discouraged, Some(NotABlock)),
        NotABlock => (Discouraged, Some(WrongNumber)),
        WrongNumber => (Discouraged, Some(InvalidBlock(BlockFault::Header))),
        InvalidBlock(BlockFault::Header) => (Discouraged, Some(InvalidBlock(BlockFault::State))),
        InvalidBlock(BlockFault::State) => (Discouraged, Some(InvalidBlock(BlockFault::Body))),
        InvalidBlock(BlockFault::Body) => (Discouraged, Some(OtherGenesis)),
        OtherGenesis => (Stranger, Some(OtherGenesisListed)),
        OtherGenesisListed => (Stranger, Some(RejectedUs)),
        RejectedUs => (Connection, Some(LineTooSlow)),
        LineTooSlow => (Connection, Some(LineOverBudget)),
        LineOverBudget => (Connection, Some(TooMuchWork)),
        TooMuchWork => (OneSlip, None),
    }
}

/// Somebody commits a fault. Who.
fn provoke(stage: &mut Stage, fault: Misbehavior) -> ConnectionId {
    use Misbehavior::*;
    match fault {
        NotAnObject => guest_types(stage, b"hello\n"),
        NotOneEntry => guest_types(stage, b"{}\n"),
        DuplicateKey(_) => guest_types(stage, b"{\"HEY\":{\"block_count\":1,\"block_count\":1}}\n"),
        TooDeep(_) => guest_types(stage, b"{\"FOO\":[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]}\n"),
        UnknownMethod(_) => guest_types(stage, b"{\"FOO\":1}\n"),
        WrongForm(_) => guest_repeats(stage, 1, &json!({"HEY": {}})),
        MalformedReject => guest_repeats(stage, 1, &json!({"REJECT": 7})),
        TooManyQuestions => asleep(stage, 129, |n| json!({"GETBLOCK": {"number": n}})),
        SecondListQuestion => asleep(stage, 2, |_| json!({"GETLISTOFBLOCKS": {"from": 0, "latest": 0}})),
        HelloTooOften => guest_repeats(stage, 11, &hello(1)),
        GetaddrTooOften => guest_repeats(stage, 6, &json!({"GETADDR": null})),
        UnaskedBlock => guest_repeats(stage, 1, &number_and(1, &good())),
        UnaskedList => guest_repeats(stage, 1, &list(hash_of(&genesis()))),
        NeverValid(_) => guest_repeats(stage, 1, &json!({"PUSHTRANSACTION": [hex(transaction(1, 1))]})),
        LineTooLong => {
            let guilty = stage.accept(GUILTY);
            stage.types(guilty, &[b' '; 1025]);
            guilty
        }
        OutOfOrder(_) => stranger_says(stage, hey(1)),
        OtherBlock => asked_and_says(stage, &good(), number_and(1, &another())),
        NotABlock => asked_and_says(stage, &good(), json!({"BLOCK": {"number": 1, "data": "00"}})),
        WrongNumber => asked_and_says(stage, &good(), number_and(2, &good())),
        InvalidBlock(BlockFault::Header) => invalid(stage, Kind::BadHeader, b""),
        InvalidBlock(BlockFault::State) => invalid(stage, Kind::BadState, b""),
        InvalidBlock(BlockFault::Body) => invalid(stage, Kind::Good, b"\xff"),
        OtherGenesis => stranger_says(stage, hello_with(1, 0, &[("genesis", json!(hex([7; 32])))])),
        OtherGenesisListed => {
            let guilty = stranger_says(stage, hello(5));
            stage.says(guilty, hey(5));
            stage.says(guilty, list(Hash([7; 32])));
            guilty
        }
        RejectedUs => stranger_says(stage, json!({"REJECT": {"method": "HELLO", "reason": "no"}})),
        LineTooSlow => host_refuses(stage, BadFrame::TOO_SLOW),
        LineOverBudget => host_refuses(stage, BadFrame::OVER_BUDGET),
        TooMuchWork => transactions_for_nothing(stage),
    }
}

fn transactions_for_nothing(stage: &mut Stage) -> ConnectionId {
    let guilty = stage.guest(GUILTY, 1);
    exceed(stage, guilty);
    guilty
}

fn good() -> Bytes {
    block(hash_of(&genesis()), 1, Kind::Good, 1, b"")
}

fn another() -> Bytes {
    block(hash_of(&genesis()), 1, Kind::Good, 2, b"")
}

fn number_and(number: u64, block: &Bytes) -> Value {
    json!({"BLOCK": {"number": number, "data": hex(block)}})
}

fn list(parent: Hash) -> Value {
    json!({"LISTOFBLOCKS": {"from": 0, "latest": 0, "parent": hex(parent), "hashes": []}})
}

fn guest_types(stage: &mut Stage, line: &[u8]) -> ConnectionId {
    let guilty = stage.guest(GUILTY, 1);
    stage.types(guilty, line);
    guilty
}

fn guest_repeats(stage: &mut Stage, times: usize, message: &Value) -> ConnectionId {
    let guilty = stage.guest(GUILTY, 1);
    (0..times).for_each(|_| stage.says(guilty, message.clone()));
    guilty
}

fn stranger_says(stage: &mut Stage, message: Value) -> ConnectionId {
    let guilty = stage.accept(GUILTY);
    stage.says(guilty, message);
    guilty
}

/// Questions that come while the ledger is asleep; then it wakes.
fn asleep(stage: &mut Stage, count: u64, question: fn(u64) -> Value) -> ConnectionId {
    let guilty = stage.guest(GUILTY, 1);
    stage.is_asleep = true;
    (0..count).for_each(|n| stage.says(guilty, question(n)));
    stage.is_asleep = false;
    while !stage.asked.is_empty() {
        stage.answer();
    }
    guilty
}

/// It announces a block, is asked for it, and says this.
fn asked_and_says(stage: &mut Stage, block: &Bytes, answer: Value) -> ConnectionId {
    let guilty = stage.guest(GUILTY, 1);
    stage.announces(guilty, 1, hash_of(block));
    assert_eq!(stage.hears_one(guilty), ask_hash(hash_of(block)));
    stage.says(guilty, answer);
    guilty
}

fn invalid(stage: &mut Stage, kind: Kind, body: &[u8]) -> ConnectionId {
    let wrong = block(hash_of(&genesis()), 1, kind, 1, body);
    asked_and_says(stage, &wrong, number_and(1, &wrong))
}

fn host_refuses(stage: &mut Stage, reason: u8) -> ConnectionId {
    let guilty = stage.guest(GUILTY, 1);
    stage.act(P2pAction::BadFrame { connection: guilty, channel: CH, bad: BadFrame::of_host(reason) });
    guilty
}

fn reasons(stage: &Stage, of: &str) -> Vec<Reason> {
    stage.engine.state().reasons.about(address(of).ip()).map(|record| record.reason.clone()).collect()
}

fn severity(stage: &Stage, of: &str) -> Option<Severity> {
    stage.engine.state().bans.get(stage.now, address(of).ip()).map(|ban| ban.severity)
}

/// The guilty one pays the price, for this fault.
fn pays(stage: &Stage, guilty: ConnectionId, price: Price, fault: &str) {
    let (severity, peer) = (severity(stage, GUILTY), stage.engine.state().peers.get(&guilty));
    let said = reasons(stage, GUILTY);
    let is_said = |reason: fn(String) -> Reason| said.contains(&reason(fault.to_owned()));
    match price {
        Price::OneSlip => {
            assert_eq!(peer.map(|peer| peer.slips.len()), Some(1), "{fault}: {said:?}");
            assert!(severity.is_none() && is_said(Reason::Slip), "{fault}: {said:?}");
        }
        Price::Connection | Price::Stranger => {
            assert!(peer.is_none() && severity.is_none() && is_said(Reason::Convicted), "{fault}: {said:?}");
        }
        Price::Discouraged => {
            assert!(peer.is_none() && is_said(Reason::Convicted), "{fault}: {said:?}");
            assert_eq!(severity, Some(Severity::Discouraged), "{fault}");
        }
    }
}

/// Nobody else does: still there, still served, without a mark.
fn pays_nothing(stage: &mut Stage, honest: ConnectionId, of: &str, fault: &str) {
    assert!(stage.is_open(honest), "{fault}: {of}");
    assert!(stage.engine.state().peers[&honest].slips.is_empty(), "{fault}: {of}");
    assert_eq!(severity(stage, of), None, "{fault}: {of}");
    let said = reasons(stage, of);
    let is_harmless = |reason: &Reason| matches!(reason, Reason::DialledForOperator | Reason::DialledToProve);
    assert!(said.iter().all(is_harmless), "{fault}: {of}: {said:?}");
    stage.hears(honest);
    stage.says(honest, json!({"GETBLOCK": {"number": 0}}));
    assert_eq!(stage.hears_methods(honest), ["BLOCK"], "{fault}: {of}");
}

#[test]
fn exactly_the_guilty_one_pays_for_each_fault() {
    let mut next = Some(Misbehavior::NotAnObject);
    let mut rows = 0;
    while let Some(fault) = next {
        let (price, after) = row(fault);
        story(|stage| {
            let honest = [stage.guest(HONEST[0], 1), stage.host(HONEST[1], 1)];
            let guilty = provoke(stage, fault);
            pays(stage, guilty, price, fault.name());
            for (connection, of) in honest.into_iter().zip(HONEST) {
                pays_nothing(stage, connection, of, fault.name());
            }
            assert_eq!(stage.engine.state().check(), Ok(()));
        });
        rows += 1;
        next = after;
    }
    assert_eq!(rows, 28, "every row is in the chain");
}

/// A stranger that we dialled is left alone for an hour, and a guilty one for a day.
#[test]
fn whoever_was_dialled_pays_at_its_address_too() {
    story(|stage| {
        let other = stage.dial(GUILTY);
        stage.says(other, hey(1));
        stage.says(other, hello_with(1, 0, &[("genesis", json!(hex([7; 32])))]));
        assert!(!stage.is_open(other));
        assert_eq!(severity(stage, GUILTY), None);
    });
    story(|stage| {
        let guilty = stage.dial(GUILTY);
        stage.says(guilty, hello(1));
        assert_eq!(severity(stage, GUILTY), Some(Severity::Discouraged));
        let dials = stage.dialled.len();
        stage.act(P2pAction::Connect { address: address(GUILTY) });
        assert_eq!(stage.dialled.len(), dials);
        assert_eq!(reasons(stage, GUILTY).first(), Some(&Reason::RefusedDiscouraged));
    });
}
