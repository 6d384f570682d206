//! The blame matrix: each fault, how it is provoked, and who pays for it. Nobody else ever does.

use crate::catching_up::is;
use crate::dag::{hash_of, header_of};
use crate::make::{self, block_on, line_on};
use crate::stage::*;
use crate::syncer::Syncer;
use crate::toy::id_of;
use bytes::Bytes;
use polypeer_engine::shell::bans::Severity;
use polypeer_engine::{BadFrame, ConnectionId, Misbehavior as _, P2pAction, Reason};
use polypeer_kaspa::ledger::{BlockOutcome, Branch, Fault, Hash, ImportFault, TransactionOutcome};
use polypeer_kaspa::wire::{self, Kind, Nonce, Version, WireError, encode_block};
use polypeer_kaspa::{Banned, Bans, Config, Misbehavior, Name, Refused};

const GUILTY: &str = "10.0.0.9:40000";
const HONEST: [&str; 2] = ["10.0.0.8:40000", "10.0.0.7:16511"];
const HELD: usize = 300;

/// What a fault costs whoever committed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Price {
    /// Borne, one slip the nearer to the end.
    OneSlip,
    /// The connection, and nothing more.
    Connection,
    /// The connection, and a day's discouragement.
    Discouraged,
    /// The connection, and a day's ban.
    Banned,
}

/// What each fault costs, and the fault in the next row. A variant without a row does not compile.
fn row(fault: Misbehavior) -> (Price, Option<Misbehavior>) {
    use Misbehavior::*;
    use Price::*;
    let (hash, kind, name) = (Hash::ZERO, Kind::Ping, Name::from(""));
    let banned = |what| Some(Misbehavior::Banned(what));
    match fault {
        BadFrame => (Discouraged, Some(FrameTooSlow)),
        FrameTooSlow => (Connection, Some(FrameOverBudget)),
        FrameOverBudget => (Connection, Some(Wire(WireError::MissingField))),
        Wire(_) => (Discouraged, Some(NobodyListens(kind))),
        NobodyListens(_) => (Discouraged, Some(UnknownRoute)),
        UnknownRoute => (Discouraged, Some(QueueFull(kind))),
        QueueFull(_) => (Discouraged, Some(Unexpected { expected: kind, got: kind })),
        Unexpected { .. } => (Discouraged, Some(TimedOut(0))),
        TimedOut(_) => (Connection, Some(Duplicate)),
        Duplicate => (Connection, Some(Loopback)),
        Loopback => (Connection, Some(OtherNetwork { local: name, remote: name })),
        OtherNetwork { .. } => (Connection, Some(OldVersion(0))),
        OldVersion(_) => (Connection, Some(WrongPong)),
        WrongPong => (Discouraged, Some(UnaskedPong)),
        UnaskedPong => (OneSlip, Some(Unasked(kind))),
        Unasked(_) => (OneSlip, Some(OtherBlock { wanted: hash, got: hash })),
        OtherBlock { .. } => (Discouraged, Some(HeaderOnly(hash))),
        HeaderOnly(_) => (Discouraged, Some(InvalidBlock(Fault::Bits))),
        InvalidBlock(_) => (Discouraged, Some(InvalidInv(hash))),
        InvalidInv(_) => (Discouraged, Some(InvalidChainBlock(hash))),
        InvalidChainBlock(_) => (Discouraged, Some(UnknownBlock(hash))),
        UnknownBlock(_) => (Connection, Some(OtherTransaction { wanted: hash, got: hash })),
        OtherTransaction { .. } => (Discouraged, Some(Refused(self::Refused::NoSmtState))),
        Refused(_) => (Connection, Some(BadLocator)),
        BadLocator => (Discouraged, Some(EmptyHeaders)),
        EmptyHeaders => (Discouraged, Some(SinkMissing)),
        SinkMissing => (Discouraged, Some(RelayBlockMissing)),
        RelayBlockMissing => (Discouraged, Some(EmptyBody(hash))),
        EmptyBody(_) => (Discouraged, Some(Import(ImportFault::Level))),
        Import(_) => (Discouraged, Some(PruningPointMoved)),
        PruningPointMoved => (Connection, Some(FinalityConflict)),
        FinalityConflict => (Connection, Some(StrangePruningPoint)),
        StrangePruningPoint => (Connection, Some(NothingShared)),
        NothingShared => (Connection, Some(TooMuchWork)),
        TooMuchWork => (OneSlip, banned(self::Banned::UnknownBlock(hash))),
        Misbehavior::Banned(self::Banned::UnknownBlock(_)) => {
            (Price::Banned, banned(self::Banned::UnknownTransaction(hash)))
        }
        Misbehavior::Banned(self::Banned::UnknownTransaction(_)) => {
            (Price::Banned, banned(self::Banned::InvalidTransaction(hash)))
        }
        Misbehavior::Banned(self::Banned::InvalidTransaction(_)) => (Price::Banned, banned(self::Banned::WrongPong)),
        Misbehavior::Banned(self::Banned::WrongPong) => (Price::Banned, None),
    }
}

/// Somebody commits a fault. Who.
fn provoke(stage: &mut Stage, fault: Misbehavior) -> ConnectionId {
    use Misbehavior::*;
    match fault {
        BadFrame => guest_types(stage, &[7]),
        FrameTooSlow => host_refuses(stage, self::BadFrame::TOO_SLOW),
        FrameOverBudget => host_refuses(stage, self::BadFrame::OVER_BUDGET),
        Wire(_) => guest_says(stage, Kind::InvRelayBlock, &[]),
        NobodyListens(_) => guest_says(stage, Kind::Verack, &[]),
        UnknownRoute => guest_types(stage, &wire::pack(Kind::Block, &[], 0, 9)),
        QueueFull(_) => fills_queue(stage),
        Unexpected { .. } => guest_says(stage, Kind::RequestNextHeaders, &[]),
        TimedOut(_) => {
            let guilty = stage.accept(GUILTY);
            stage.wait(seconds(4));
            guilty
        }
        Duplicate => {
            let version = stage.new_version();
            let first = stage.guest_as(GUILTY, &version);
            let guilty = greets_as(stage, &version);
            stage.hang_up(first);
            guilty
        }
        Loopback => {
            let guilty = stage.accept(GUILTY);
            let ours = stage.hears_one(guilty, Kind::Version);
            stage.greets(guilty, &Version::decode(&ours.body).expect("our Version"));
            guilty
        }
        OtherNetwork { .. } => greets_as(stage, &Version { network: "kaspa-devnet".into(), ..make::version(99) }),
        OldVersion(_) => greets_as(stage, &Version { protocol_version: 5, ..make::version(99) }),
        WrongPong | Banned(self::Banned::WrongPong) => pongs_wrong(stage),
        UnaskedPong => guest_says(stage, Kind::Pong, &[]),
        Unasked(_) => guest_says(stage, Kind::DoneHeaders, &[]),
        OtherBlock { .. } => asked_and_brings(stage, |block| block_on(&[block], 2)),
        HeaderOnly(_) => asked_and_brings(stage, |block| encode_block(&header_of(block).encode(), [])),
        InvalidBlock(_) => asked_and_brings(stage, |block| make::with_body(block, &[make::transaction(77)])),
        InvalidInv(_) => {
            let guilty = stage.guest(GUILTY);
            stage.ledger.dag.invalid.insert(make::hash(3));
            stage.announces(guilty, make::hash(3));
            guilty
        }
        UnknownBlock(_) | Banned(self::Banned::UnknownBlock(_)) => {
            guest_says(stage, Kind::RequestRelayBlocks, &make::hashes([make::hash(1)]))
        }
        Banned(self::Banned::UnknownTransaction(_)) => {
            guest_says(stage, Kind::RequestTransactions, &make::hashes([make::hash(1)]))
        }
        Banned(self::Banned::InvalidTransaction(_)) => offers_and_brings(stage, 1, 1),
        OtherTransaction { .. } => offers_and_brings(stage, 1, 2),
        Refused(_) => guest_says(stage, Kind::RequestPruningPointSmtState, &make::hashes([hash_of(make::genesis())])),
        TooMuchWork => offers_for_nothing(stage),
        other => provoke_in_sync(stage, other),
    }
}

/// The faults of a source.
fn provoke_in_sync(stage: &mut Stage, fault: Misbehavior) -> ConnectionId {
    use Misbehavior::*;
    let genesis = hash_of(make::genesis());
    let locator = |hashes: &[Hash]| make::hashes(hashes.iter().copied());
    match fault {
        InvalidChainBlock(_) => {
            stage.ledger.dag.invalid.insert(make::hash(3));
            let told = locator(&[make::hash(4), make::hash(3), genesis]);
            source(stage, Kind::RequestIbdChainBlockLocator, &[(Kind::IbdChainBlockLocator, told)])
        }
        BadLocator => source(stage, Kind::RequestIbdChainBlockLocator, &[(Kind::IbdChainBlockLocator, Bytes::new())]),
        EmptyHeaders => source(stage, Kind::RequestHeaders, &[(Kind::BlockHeaders, Bytes::new())]),
        SinkMissing => source(stage, Kind::RequestHeaders, &[(Kind::DoneHeaders, Bytes::new())]),
        RelayBlockMissing => source(stage, Kind::RequestAntipast, &[(Kind::DoneHeaders, Bytes::new())]),
        EmptyBody(_) => source(stage, Kind::RequestBlockBodies, &[(Kind::BlockBody, Bytes::new())]),
        NothingShared => {
            let told = locator(&[make::hash(4), make::hash(3)]);
            source(stage, Kind::RequestIbdChainBlockLocator, &[(Kind::IbdChainBlockLocator, told)])
        }
        Import(fault) => {
            stage.ledger.proof = Err(fault);
            prover(stage)
        }
        PruningPointMoved => {
            stage.ledger.proof = Ok(make::hash(9));
            let guilty = prover(stage);
            for _ in 0..4 {
                proves(stage, guilty);
            }
            guilty
        }
        FinalityConflict | StrangePruningPoint => {
            let branch = if fault == FinalityConflict { Branch::Conflict } else { Branch::Strange };
            stage.ledger.branch = Some(branch);
            let told = locator(&[genesis]);
            source(stage, Kind::RequestIbdChainBlockLocator, &[(Kind::IbdChainBlockLocator, told)])
        }
        other => panic!("{other:?} is no source's"),
    }
}

fn guest_says(stage: &mut Stage, kind: Kind, body: &[u8]) -> ConnectionId {
    guest_types(stage, &wire::pack(kind, body, 0, 0))
}

fn guest_types(stage: &mut Stage, bytes: &[u8]) -> ConnectionId {
    let guilty = stage.guest(GUILTY);
    stage.types(guilty, bytes);
    guilty
}

fn greets_as(stage: &mut Stage, version: &Version) -> ConnectionId {
    let guilty = stage.accept(GUILTY);
    stage.greets(guilty, version);
    guilty
}

fn host_refuses(stage: &mut Stage, reason: u8) -> ConnectionId {
    let guilty = stage.guest(GUILTY);
    stage.act(P2pAction::BadFrame { connection: guilty, channel: CH, bad: BadFrame::of_host(reason) });
    guilty
}

fn fills_queue(stage: &mut Stage) -> ConnectionId {
    let guilty = stage.guest(GUILTY);
    stage.is_asleep = true;
    for _ in 0..257 {
        stage.says(guilty, Kind::RequestRelayBlocks, &make::hashes([hash_of(make::genesis())]));
    }
    stage.awakes();
    guilty
}

fn pongs_wrong(stage: &mut Stage) -> ConnectionId {
    let guilty = stage.guest(GUILTY);
    stage.says(guilty, Kind::RequestAddresses, &[]);
    stage.wait(seconds(120));
    let ping = stage.hears(guilty).into_iter().find(is(Kind::Ping)).expect("a Ping");
    let Nonce(nonce) = Nonce::decode(&ping.body).expect("a nonce");
    stage.says(guilty, Kind::Pong, &Nonce(nonce ^ 1).encode());
    guilty
}

/// It announces a block, is asked for it, and brings this.
fn asked_and_brings(stage: &mut Stage, what: impl Fn(&Bytes) -> Bytes) -> ConnectionId {
    let guilty = stage.guest(GUILTY);
    let block = block_on(&[&make::dag()[HELD - 1]], 1);
    stage.announces(guilty, hash_of(&block));
    let id = stage.is_asked_for(guilty, hash_of(&block));
    stage.answers(guilty, Kind::Block, &what(&block), id);
    guilty
}

/// It announces one transaction and brings the other; both are malformed to the ledger.
fn offers_and_brings(stage: &mut Stage, offered: u64, brought: u64) -> ConnectionId {
    let guilty = stage.guest(GUILTY);
    let ids = [offered, brought].map(|salt| id_of(&make::transaction(salt)));
    stage.ledger.verdicts.extend(ids.map(|id| (id, TransactionOutcome::Malformed)));
    stage.offers(guilty, [ids[0]]);
    stage.says(guilty, Kind::Transaction, &make::transaction(brought));
    guilty
}

fn offers_for_nothing(stage: &mut Stage) -> ConnectionId {
    let guilty = stage.guest(GUILTY);
    let mut number = 0;
    while stage.slips(guilty) == 0 {
        stage.offers(guilty, (0..100_000).map(|at| make::hash(number * 100_000 + at)));
        number += 1;
    }
    guilty
}

/// A source does well until it is asked for something, and says this.
fn source(stage: &mut Stage, kind: Kind, words: &[(Kind, Bytes)]) -> ConnectionId {
    let side = line_on(&make::dag()[1_060], 3, 5);
    let mut syncer = Syncer::of(&[make::dag(), &side[..]].concat());
    let guilty = stage.guest(GUILTY);
    stage.announces(guilty, hash_of(&side[2]));
    let request = syncer.serves_until(stage, guilty, is(kind)).expect("it is asked");
    for (kind, body) in words {
        stage.answers(guilty, *kind, body, request.request_id);
    }
    guilty
}

/// Its chain shares nothing with ours, and it gives a proof.
fn prover(stage: &mut Stage) -> ConnectionId {
    stage.wait(seconds(700));
    let locator = make::hashes([make::hash(4), make::hash(3)]);
    let guilty = source(stage, Kind::RequestIbdChainBlockLocator, &[(Kind::IbdChainBlockLocator, locator)]);
    let is_asked = stage.hears_kinds(guilty).contains(&Kind::RequestPruningPointProof);
    assert_eq!(is_asked, stage.is_open(guilty));
    stage.says(guilty, Kind::PruningPointProofChunksEnd, &[]);
    guilty
}

/// It is asked anew, and says the same.
fn proves(stage: &mut Stage, guilty: ConnectionId) {
    let request = stage.hears_one(guilty, Kind::RequestIbdChainBlockLocator);
    let locator = make::hashes([make::hash(4), make::hash(3)]);
    stage.answers(guilty, Kind::IbdChainBlockLocator, &locator, request.request_id);
    assert!(stage.hears_kinds(guilty).contains(&Kind::RequestPruningPointProof));
    stage.says(guilty, Kind::PruningPointProofChunksEnd, &[]);
}

/// The guilty one pays the price, for this fault.
fn pays(stage: &Stage, guilty: ConnectionId, price: Price, fault: &str) {
    let (severity, peer) = (stage.severity(GUILTY), stage.engine.state().peers.get(&guilty));
    let said = stage.reasons(GUILTY);
    let is_said = |reason: fn(String) -> Reason| said.contains(&reason(fault.to_owned()));
    match price {
        Price::OneSlip => {
            assert_eq!(peer.map(|peer| peer.slips.len()), Some(1), "{fault}: {said:?}");
            assert!(severity.is_none() && is_said(Reason::Slip), "{fault}: {said:?}");
        }
        Price::Connection => {
            assert!(peer.is_none() && severity.is_none() && is_said(Reason::Convicted), "{fault}: {said:?}");
        }
        Price::Discouraged | Price::Banned => {
            assert!(peer.is_none() && is_said(Reason::Convicted), "{fault}: {said:?}");
            let firm = if price == Price::Banned { Severity::Banned } else { Severity::Discouraged };
            assert_eq!(severity, Some(firm), "{fault}");
        }
    }
}

/// Nobody else does: still there, still served, without a mark.
fn pays_nothing(stage: &mut Stage, honest: ConnectionId, of: &str, fault: &str) {
    assert!(stage.is_open(honest), "{fault}: {of}");
    assert_eq!((stage.slips(honest), stage.severity(of)), (0, None), "{fault}: {of}");
    let said = stage.reasons(of);
    let is_harmless = |reason: &Reason| matches!(reason, Reason::DialledForOperator | Reason::DialledToProve);
    assert!(said.iter().all(is_harmless), "{fault}: {of}: {said:?}");
    stage.is_well(honest);
}

fn setting(fault: Misbehavior) -> Setting {
    let is_strict = matches!(fault, Misbehavior::Banned(_));
    let bans = Bans { unknown_block: true, unknown_transaction: true, invalid_transaction: true, wrong_pong: true };
    let setting = holding(HELD);
    let bans = if is_strict { bans } else { Bans::default() };
    Setting { config: Config { bans, ..setting.config }, ..setting }
}

#[test]
fn exactly_the_guilty_one_pays_for_each_fault() {
    let mut next = Some(Misbehavior::BadFrame);
    let mut rows = 0;
    while let Some(fault) = next {
        let (price, after) = row(fault);
        story_of(&setting(fault), |stage| {
            let honest = [stage.guest(HONEST[0]), stage.host(HONEST[1])];
            stage.lively = honest.to_vec();
            let guilty = provoke(stage, fault);
            pays(stage, guilty, price, fault.name());
            for (connection, of) in honest.into_iter().zip(HONEST) {
                pays_nothing(stage, connection, of, fault.name());
            }
        });
        rows += 1;
        next = after;
    }
    assert_eq!(rows, 39, "every row is in the chain");
}

/// A block that the ledger found wrong is refused in the words of the rule that it broke.
#[test]
fn each_rule_of_a_block_has_its_words() {
    use Fault::*;
    let faults = [
        Version,
        TimeTooFar,
        TimeTooOld,
        Parents,
        IndirectParents,
        ProofOfWork,
        Bits,
        DaaScore,
        BlueScore,
        BlueWork,
        MergeSet,
        PruningPoint,
        MerkleRoot,
        Coinbase,
        Transaction,
        Mass,
        NoBody,
        KnownInvalid,
        InvalidParent,
    ];
    for fault in faults {
        story_of(&holding(HELD), |stage| {
            let [guilty, other] = [GUILTY, HONEST[0]].map(|remote| stage.guest(remote));
            let block = block_on(&[&make::dag()[HELD - 1]], 1);
            stage.ledger.outcomes.insert(hash_of(&block), BlockOutcome::Invalid(fault));
            stage.relays(guilty, &block);
            stage.is_rejected(guilty, fault.text());
            stage.hears_nothing(other);
            // Only what is of the header says anything of the hash.
            stage.announces(other, hash_of(&block));
            assert_eq!(stage.is_open(other), !fault.is_of_header());
        });
    }
}
