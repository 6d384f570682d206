//! Commands and SNARK work that wait.

use crate::made::{CONSTANTS, Draft, Made, id, key, payment, payment_until, rules};
use crate::world::World;
use bytes::Bytes;
use polypeer_ledger_mina::{Config, Finding, Host, Limits};
use polypeer_mina::binprot::{Binable as _, OneOrTwo, Whole};
use polypeer_mina::block::{Block, Proof};
use polypeer_mina::ledger::{Answer, Hash, Kind, Refusal, Request, Verdict};
use polypeer_mina::snark::{LedgerProof, SnarkDiff, SolvedWork, WorkStatement};

fn waiting(world: &World) -> Vec<Hash> {
    world.reader.waiting(100).1
}

fn with(parent: &Made, commands: &[Bytes]) -> Made {
    parent.next(&Draft { slot: parent.slot() + 1, drawn: 1, commands: commands.to_vec() })
}

#[test]
fn new_commands_wait_and_others_are_of_no_use() {
    let mut world = World::new();
    let (one, other) = (payment(1, 0, 10), payment(2, 5, 10));
    assert_eq!(world.gossip(std::slice::from_ref(&one)), Verdict::Unverified);
    assert_eq!(world.gossip(std::slice::from_ref(&one)), Verdict::Ignore);
    assert_eq!(world.gossip(&[one.clone(), other.clone()]), Verdict::Unverified, "one of them is new");
    assert_eq!(world.gossip(&[]), Verdict::Ignore);
    let mut expected = vec![id(&one), id(&other)];
    expected.sort_unstable();
    assert_eq!(waiting(&world), expected);
    let found = world.reader.command(&id(&one)).unwrap();
    assert_eq!((found.bytes, found.block), (one, None));
    assert_eq!(world.gossip(&[other.slice(1..)]), Verdict::Reject);
}

#[test]
fn of_two_with_a_nonce_the_one_that_pays_more_waits() {
    let mut world = World::new();
    let offers = [(10, true), (10, false), (9, false), (11, true), (11, false)];
    for (place, (fee, is_news)) in offers.into_iter().enumerate() {
        // Another amount of time makes another command.
        let command = payment_until(1, 0, fee, 1_000 + place as u32);
        let expected = if is_news { Verdict::Unverified } else { Verdict::Ignore };
        assert_eq!(world.gossip(&[command]), expected, "{place}");
        assert_eq!(waiting(&world).len(), 1);
    }
    // Nobody verified the peer's signature, so it does not displace the operator's.
    let ours = payment(1, 1, 10);
    world.submit(&ours).unwrap();
    assert_eq!(world.gossip(&[payment(1, 1, 1_000)]), Verdict::Ignore);
    assert_eq!(world.submit(&payment(1, 1, 9)), Err(Refusal::Nonce));
    let better = payment(1, 1, 11);
    world.submit(&better).unwrap();
    assert!(waiting(&world).contains(&id(&better)) && !waiting(&world).contains(&id(&ours)));
}

#[test]
fn a_block_takes_its_commands_out_and_uses_their_nonces() {
    let mut world = World::new();
    let commands = [payment(1, 3, 10), payment(1, 4, 10), payment(2, 0, 10)];
    assert_eq!(world.gossip(&commands), Verdict::Unverified);
    let block = with(&world.first(), &commands[1..2]);
    world.take_all(std::slice::from_ref(&block));
    assert_eq!(waiting(&world), [id(&commands[2])], "the nonce before it can never be used");
    let found = world.reader.command(&id(&commands[1])).unwrap();
    assert_eq!((found.bytes, found.block), (commands[1].clone(), Some((block.hash, 2))));
    assert_eq!(world.gossip(&commands[..2]), Verdict::Ignore);
    assert_eq!(world.submit(&commands[0]), Err(Refusal::Nonce));
    assert_eq!(world.submit(&commands[1]), Err(Refusal::Known));
    assert_eq!(world.reader.nonces(&key(1)), Some((5, 5)));
    assert_eq!(world.gossip(&[payment(1, 5, 1), payment(1, 7, 1)]), Verdict::Unverified);
    assert_eq!(world.reader.nonces(&key(1)), Some((5, 6)));
    assert_eq!(world.reader.nonces(&key(9)), Some((0, 0)), "all blocks are here, and it is in none");
}

#[test]
fn what_a_lost_branch_had_waits_again() {
    let mut world = World::new();
    let first = world.first();
    let (mine, both) = (payment(1, 0, 10), payment(2, 0, 10));
    world.submit(&mine).unwrap();
    world.gossip(std::slice::from_ref(&both));
    let lost = with(&first, &[mine.clone(), both.clone()]);
    world.take_all(std::slice::from_ref(&lost));
    assert_eq!(waiting(&world), []);
    let won = first.next(&Draft { slot: 2, drawn: 1, commands: vec![both.clone()] });
    let longer = with(&won, &[]);
    world.take_all(&[won.clone(), longer]);
    assert_eq!(waiting(&world), [id(&mine)]);
    assert_eq!(world.reader.nonces(&key(1)), Some((0, 1)));
    assert_eq!(world.reader.command(&id(&both)).unwrap().block, Some((won.hash, 2)));
    assert_eq!(world.reader.command(&id(&mine)).unwrap().block, None);
}

#[test]
fn late_commands_are_refused_and_let_go() {
    let mut world = World::new();
    let line = world.first().line(4, 1);
    world.take_all(&line[..2]);
    assert_eq!(world.submit(&payment_until(1, 0, 10, 1)), Err(Refusal::Expired));
    assert_eq!(world.gossip(&[payment_until(2, 0, 10, 2)]), Verdict::Unverified);
    assert_eq!(world.gossip(&[payment_until(3, 0, 10, 4)]), Verdict::Unverified);
    world.take_all(&line[2..3]);
    assert_eq!(waiting(&world), [id(&payment_until(3, 0, 10, 4))]);
    // Time passes without a block, too.
    world.pass(std::time::Duration::from_secs(9));
    assert_eq!(world.gossip(&[payment_until(4, 0, 10, 8)]), Verdict::Ignore);
}

#[test]
fn a_full_pool_keeps_what_pays_most_and_never_drops_the_operators() {
    let limits = Limits { commands: 4, ..Limits::default() };
    let mut world = World::open(Config { limits, ..Config::in_memory(rules()) });
    let ours = payment(1, 0, 1);
    world.submit(&ours).unwrap();
    assert_eq!(world.gossip(&[payment(2, 0, 5), payment(3, 0, 6), payment(4, 0, 7)]), Verdict::Unverified);
    assert_eq!(world.gossip(&[payment(5, 0, 5)]), Verdict::Ignore, "it pays no more than the cheapest");
    assert_eq!(world.gossip(&[payment(5, 0, 8)]), Verdict::Unverified);
    assert!(world.reader.command(&id(&payment(2, 0, 5))).is_none());
    assert_eq!(world.submit(&payment(6, 0, 6)), Err(Refusal::Fee));
    for nonce in 1..4 {
        world.submit(&payment(1, nonce, 100)).unwrap();
    }
    assert_eq!(world.submit(&payment(1, 4, 100)), Err(Refusal::Full));
    assert!(waiting(&world).contains(&id(&ours)));
    assert_eq!(waiting(&world).len(), 4);
}

#[test]
fn peers_commands_that_nobody_takes_make_room_after_a_while() {
    let limits = Limits { commands: 2, ..Limits::default() };
    let mut world = World::open(Config { limits, ..Config::in_memory(rules()) });
    assert_eq!(world.gossip(&[payment(1, 0, 100), payment(2, 0, 100)]), Verdict::Unverified);
    world.pass(std::time::Duration::from_secs(29 * 60));
    assert_eq!(world.gossip(&[payment(3, 0, 1)]), Verdict::Ignore);
    world.pass(std::time::Duration::from_secs(60));
    assert_eq!(world.gossip(&[payment(3, 0, 1)]), Verdict::Unverified);
}

#[test]
fn bytes_are_bounded_too() {
    let room = 3 * (payment(1, 0, 1).len() + 512) + 100;
    let limits = Limits { command_bytes: room, ..Limits::default() };
    let mut world = World::open(Config { limits, ..Config::in_memory(rules()) });
    for payer in 0..50 {
        world.gossip(&[payment(payer, 0, u64::from(payer % 7))]);
        assert!(waiting(&world).len() <= 3);
    }
    assert_eq!(waiting(&world).len(), 3);
}

#[test]
fn the_operators_commands_are_told_when_they_come_and_again_later() {
    let mut world = World::new();
    let command = payment(1, 0, 10);
    let (answers, news) = world.batch(vec![Request::Submit { command: command.clone() }]);
    let payload = crate::made::list(std::slice::from_ref(&command));
    let told = Answer::Publish { kind: Kind::Transactions, payload };
    assert_eq!(answers, [Answer::Submitted { id: id(&command), refused: None }]);
    assert_eq!(news, std::slice::from_ref(&told));
    assert_eq!(world.submit(&command), Err(Refusal::Known));
    assert_eq!(world.run(std::time::Duration::from_secs(25 * 60)), [told.clone(), told]);
    let block = with(&world.first(), &[command]);
    world.take_all(&[block]);
    assert_eq!(world.run(std::time::Duration::from_secs(60 * 60)), []);
    assert_eq!(world.submit(&Bytes::from_static(&[9])), Err(Refusal::Malformed));
}

#[test]
fn a_peers_command_can_become_the_operators() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("blocks.redb");
    let mut world = World::on(&path);
    let (one, other) = (payment(1, 0, 10), payment(2, 0, 10));
    world.gossip(&[one.clone(), other]);
    world.submit(&one).unwrap();
    drop(world);
    assert_eq!(waiting(&World::on(&path)), [id(&one)]);
}

/// A host that says the same of everything.
struct Says(Finding);

impl Host for Says {
    fn block(&mut self, _: &[u8]) -> Finding {
        self.0
    }

    fn command(&mut self, _: &[u8]) -> Finding {
        self.0
    }

    fn work(&mut self, _: &[u8]) -> Finding {
        self.0
    }

    fn query(&mut self, method: &str, version: u32, payload: &[u8]) -> Option<Bytes> {
        (method == "answer_sync_ledger_query" && version == 3).then(|| Bytes::copy_from_slice(payload))
    }
}

#[test]
fn a_host_that_can_tell_decides() {
    for (finding, expected) in
        [(Finding::Holds, Verdict::Accept), (Finding::Broken, Verdict::Reject), (Finding::Unknown, Verdict::Unverified)]
    {
        let mut world = World::open(Config { host: Box::new(Says(finding)), ..Config::in_memory(rules()) });
        let block = world.first().line(1, 1).remove(0);
        assert_eq!(world.judge(&block).0, expected);
        assert_eq!(world.gossip(&[payment(1, 0, 10)]), expected);
        assert_eq!(work(&mut world, 7).0, expected);
        let is_broken = finding == Finding::Broken;
        assert_eq!(world.submit(&payment(2, 0, 10)).is_err(), is_broken);
        assert_eq!((waiting(&world).is_empty(), world.reader.works() == 0), (is_broken, is_broken));
        assert_eq!(world.tip().length, if is_broken { 1 } else { 2 });
        let query = |method: &str| Request::LedgerQuery {
            method: method.to_owned(),
            version: 3,
            payload: Bytes::from_static(b"what"),
        };
        assert_eq!(world.served(query("answer_sync_ledger_query")), Some(Bytes::from_static(b"what")));
        assert_eq!(world.served(query("get_epoch_ledger")), None);
    }
}

/// Offers work at a price, for the statement of the first block's state.
fn work(world: &mut World, fee: u64) -> (Verdict, Bytes) {
    let first = world.first();
    let block = Block::decode(&first.bytes).unwrap();
    let statement = block.header.state.body.blockchain.statement;
    let named = WorkStatement { statement, sok_digest: () }.encode();
    let proof = block.header.proof.bytes();
    let proof =
        LedgerProof { statement, sok_digest: [3; 32], proof: Whole::<Proof<'_>>::decode(proof).unwrap() }.encode();
    let diff = SnarkDiff::AddSolvedWork(SolvedWork {
        statements: OneOrTwo::One(Whole::decode(&named).unwrap()),
        proofs: OneOrTwo::One(Whole::decode(&proof).unwrap()),
        fee,
        prover: key(4),
    })
    .encode();
    let id = Hash([8; 32]);
    match world.ask(Request::SnarkWork { id, diff: diff.clone() }) {
        Answer::Judged { verdict, wants: None, .. } => (verdict, diff),
        other => panic!("{other:?}"),
    }
}

#[test]
fn of_work_for_a_statement_the_cheapest_waits() {
    let mut world = World::new();
    for (fee, expected) in
        [(10, Verdict::Unverified), (10, Verdict::Ignore), (11, Verdict::Ignore), (9, Verdict::Unverified)]
    {
        assert_eq!(work(&mut world, fee).0, expected, "{fee}");
        assert_eq!(world.reader.works(), 1);
    }
    let empty = SnarkDiff::Empty.encode();
    for (diff, expected) in [(empty, Verdict::Ignore), (Bytes::from_static(&[2]), Verdict::Reject)] {
        let answer = world.ask(Request::SnarkWork { id: Hash([1; 32]), diff });
        assert_eq!(answer, Answer::Judged { id: Hash([1; 32]), verdict: expected, wants: None });
    }
    // It grows old: nobody knows here whether the statement is still wanted.
    let line = world.first().line(CONSTANTS.k + 2, 1);
    world.take_all(&line);
    assert_eq!(world.reader.works(), 0);
}
