//! The mempool's rules.

use crate::world::{Draft, World, genesis, hash, key, line, pay, pay_to};
use bytes::Bytes;
use polypeer_engine::kit::chain::{
    Answer, BlockOutcome, Hash, Origin, Request, TransactionFault as Fault, TransactionOutcome as Outcome,
};
use polypeer_ledger_reference::{NetworkParameters, transaction_id};

const ALL: u64 = 1_000_000_000;

impl World {
    fn offers(&mut self, bytes: &[u8], expected: Outcome) {
        assert_eq!(self.offer(bytes, Origin::Peer), expected);
    }

    fn waits(&mut self, bytes: &[u8]) -> bool {
        self.waiting().contains(&transaction_id(bytes))
    }
}

#[test]
fn what_is_never_valid_is_told_apart() {
    let mut world = World::new();
    let right = pay(1, 2, 5, 1, 0);
    world.offers(&right[..152], Outcome::NeverValid(Fault::Length));
    world.offers(&[&right[..], &[0]].concat(), Outcome::NeverValid(Fault::Length));
    world.offers(&[], Outcome::NeverValid(Fault::Length));
    let mut version = right;
    version[0] = 0;
    world.offers(&version, Outcome::NeverValid(Fault::Version));
    let mut signature = right;
    signature[152] ^= 1;
    world.offers(&signature, Outcome::NeverValid(Fault::Signature));
    world.offers(&pay(1, 1, 5, 1, 0), Outcome::NeverValid(Fault::ToSelf));
    world.offers(&right, Outcome::Accepted);
    world.offers(&right, Outcome::Known);
    // Also when the state would not have it anyway.
    world.confirm(&[right]);
    world.offers(&signature, Outcome::NeverValid(Fault::Signature));
}

#[test]
fn a_fee_of_one_is_enough_and_none_is_not() {
    let mut world = World::new();
    world.offers(&pay(1, 2, 5, 0, 0), Outcome::NotNow(Fault::FeeTooLow));
    world.offers(&pay(1, 2, 0, 1, 0), Outcome::Accepted);
    let mut world = World::with(|config| config.limits.fee_min = 10);
    world.offers(&pay(1, 2, 5, 9, 0), Outcome::NotNow(Fault::FeeTooLow));
    world.offers(&pay(1, 2, 5, 10, 0), Outcome::Accepted);
    let mut world = World::with(|config| config.limits.fee_min = 0);
    world.offers(&pay(1, 2, 5, 0, 0), Outcome::Accepted);
    // Blocks may hold less than the mempool takes.
    let mut world = World::new();
    world.confirm(&[pay(1, 2, 0, 0, 0)]);
}

#[test]
fn sequences_up_to_sixty_three_ahead_wait_with_gaps() {
    let mut world = World::new();
    world.offers(&pay(1, 2, 1, 1, 64), Outcome::NotNow(Fault::Sequence));
    for sequence in [63, 0, 5, 30] {
        world.offers(&pay(1, 2, 1, 1, sequence), Outcome::Accepted);
    }
    world.confirm(&[pay(1, 2, 1, 1, 0), pay(1, 3, 1, 1, 1)]);
    world.offers(&pay(1, 2, 9, 9, 1), Outcome::NotNow(Fault::Sequence));
    world.offers(&pay(1, 2, 1, 1, 66), Outcome::NotNow(Fault::Sequence));
    world.offers(&pay(1, 2, 1, 1, 65), Outcome::Accepted);
    world.offers(&pay(1, 2, 1, 1, 0), Outcome::Known);
    world.offers(&pay(1, 2, 1, 1, u64::MAX), Outcome::NotNow(Fault::Sequence));
    assert_eq!(world.waiting().len(), 4);
}

#[test]
fn the_balance_covers_everything_of_a_sender_together() {
    let mut world = World::new();
    world.offers(&pay(1, 2, ALL, 1, 0), Outcome::NotNow(Fault::Balance));
    world.offers(&pay(1, 2, ALL - 20, 10, 5), Outcome::Accepted);
    world.offers(&pay(1, 2, 1, 10, 0), Outcome::NotNow(Fault::Balance));
    world.offers(&pay(1, 2, 0, 10, 0), Outcome::Accepted);
    world.offers(&pay(1, 2, 0, 1, 1), Outcome::NotNow(Fault::Balance));
    // What waits to come in does not count.
    world.offers(&pay(3, 1, 100, 1, 0), Outcome::Accepted);
    world.offers(&pay(1, 2, 0, 1, 1), Outcome::NotNow(Fault::Balance));
}

#[test]
fn sums_above_sixty_four_bits_are_not_taken() {
    let mut world = World::with(|config| {
        config.network = NetworkParameters::anya_devnet();
        config.network.accounts = vec![(key(1), u64::MAX), (key(2), u64::MAX - 5)];
    });
    world.offers(&pay(1, 3, u64::MAX, 1, 0), Outcome::NotNow(Fault::Overflow));
    world.offers(&pay(1, 2, 6, 1, 0), Outcome::NotNow(Fault::Overflow));
    world.offers(&pay(1, 2, 5, 1, 0), Outcome::Accepted);
}

#[test]
fn a_replacement_pays_a_tenth_more_and_at_least_one() {
    for (old, too_little, enough) in
        [(1, 1, 2), (9, 9, 10), (10, 10, 11), (11, 12, 13), (100, 109, 110), (101, 111, 112)]
    {
        let mut world = World::new();
        let first = pay(1, 2, 5, old, 3);
        world.offers(&first, Outcome::Accepted);
        world.offers(&pay(1, 3, 5, too_little, 3), Outcome::NotNow(Fault::ReplacementFeeTooLow));
        let second = pay(1, 3, 5, enough, 3);
        world.offers(&second, Outcome::Accepted);
        assert_eq!(world.waiting(), [transaction_id(&second)], "in the place of the first");
        world.offers(&first, Outcome::NotNow(Fault::ReplacementFeeTooLow));
    }
}

#[test]
fn a_replacement_gives_back_what_the_replaced_one_would_cost() {
    let mut world = World::new();
    world.offers(&pay(1, 2, ALL - 10, 10, 0), Outcome::Accepted);
    world.offers(&pay(1, 2, ALL - 11, 12, 0), Outcome::NotNow(Fault::Balance));
    world.offers(&pay(1, 2, ALL - 11, 11, 0), Outcome::Accepted);
}

#[test]
fn when_it_is_full_the_lowest_fee_leaves_with_the_same_senders_later_ones() {
    let mut world = World::with(|config| config.limits.mempool_bytes = 4 * 153 + 152);
    let cheap = pay(1, 2, 1, 2, 0);
    let after_cheap = pay(1, 2, 1, 50, 1);
    let before_cheap = pay(2, 1, 1, 5, 0);
    let good = pay(3, 1, 1, 7, 0);
    for bytes in [&cheap, &after_cheap, &before_cheap, &good] {
        world.offers(bytes, Outcome::Accepted);
    }
    world.offers(&pay(4, 1, 1, 1, 0), Outcome::NotNow(Fault::NoRoom));
    world.offers(&pay(4, 1, 1, 2, 0), Outcome::NotNow(Fault::NoRoom));
    // It would have to leave with the one that leaves for it.
    world.offers(&pay(1, 2, 1, 60, 2), Outcome::NotNow(Fault::NoRoom));
    // A replacement needs no room.
    let replacement = pay(3, 1, 1, 8, 0);
    world.offers(&replacement, Outcome::Accepted);
    let better = pay(4, 1, 1, 3, 0);
    world.offers(&better, Outcome::Accepted);
    let mut left = [before_cheap, replacement, better].map(|bytes| transaction_id(&bytes));
    let mut waiting = world.waiting();
    left.sort_unstable();
    waiting.sort_unstable();
    assert_eq!(waiting, left);
    world.offers(&cheap, Outcome::Accepted);
}

#[test]
fn a_mempool_without_room_takes_nothing() {
    let mut world = World::with(|config| config.limits.mempool_bytes = 152);
    world.offers(&pay(1, 2, 1, 2, 0), Outcome::NotNow(Fault::NoRoom));
}

#[test]
fn a_block_drops_what_is_not_valid_any_more() {
    let mut world = World::new();
    let confirmed = pay(1, 2, 1, 1, 0);
    let beside = pay(1, 3, 2, 2, 1);
    let unpaid = pay(1, 2, ALL / 2, 1, 2);
    let paid = pay(2, 1, 1, 1, 0);
    for bytes in [&confirmed, &beside, &unpaid, &paid] {
        world.offers(bytes, Outcome::Accepted);
    }
    // The block holds the first, another one in place of the second, and leaves too little for the third.
    world.confirm(&[confirmed, pay(1, 5, ALL / 2, 1, 1)]);
    assert_eq!(world.waiting(), [transaction_id(&paid)]);
    world.offers(&confirmed, Outcome::Known);
    world.offers(&beside, Outcome::NotNow(Fault::Sequence));
    world.offers(&unpaid, Outcome::NotNow(Fault::Balance));
}

#[test]
fn a_balance_that_shrank_drops_the_latest_first() {
    let mut world = World::new();
    let kept = [pay(1, 2, 10, 1, 1), pay(1, 2, 10, 1, 2)];
    let dropped = pay(1, 2, ALL / 2, 1, 3);
    for bytes in [&kept[0], &kept[1], &dropped] {
        world.offers(bytes, Outcome::Accepted);
    }
    world.confirm(&[pay(1, 2, ALL / 2, 0, 0)]);
    assert!(world.waits(&kept[0]) && world.waits(&kept[1]) && !world.waits(&dropped));
}

#[test]
fn waiting_transactions_are_given_by_fee_and_each_senders_in_order() {
    let mut world = World::new();
    let [a0, a1] = [pay(1, 2, 1, 3, 0), pay(1, 2, 1, 90, 1)];
    let [b0, b7] = [pay(2, 3, 1, 5, 0), pay(2, 3, 1, 4, 7)];
    let c0 = pay(3, 4, 1, 4, 0);
    for bytes in [&a1, &c0, &b7, &a0, &b0] {
        world.offers(bytes, Outcome::Accepted);
    }
    // 5 (b0); then 4 twice, the older first (c0, b7); then 3 (a0), which 90 has to wait for (a1).
    let order = [b0, c0, b7, a0, a1];
    assert_eq!(world.waiting(), order.map(|bytes| transaction_id(&bytes)));
    let given = |world: &mut World, bytes_max, overhead| match world.ask(Request::Waiting { bytes_max, overhead }) {
        Answer::Waiting(given) => given,
        other => panic!("{other:?}"),
    };
    assert_eq!(given(&mut world, 1_000_000, 4), order.map(|bytes| Bytes::copy_from_slice(&bytes)));
    assert_eq!(given(&mut world, 3 * 157, 4).len(), 3);
    assert_eq!(given(&mut world, 3 * 157 - 1, 4).len(), 2);
    assert_eq!(given(&mut world, 3 * 157 - 1, 0).len(), 3);
    assert_eq!(given(&mut world, u64::MAX, u64::MAX).len(), 1);
    match world.ask(Request::WaitingIds(2)) {
        Answer::WaitingIds(ids) => assert_eq!(ids, [transaction_id(&b0), transaction_id(&c0)]),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_waits_or_is_confirmed_is_not_missing() {
    let mut world = World::new();
    let (waiting, confirmed, unknown) = (pay(1, 2, 1, 1, 1), pay(1, 2, 1, 1, 0), pay(1, 2, 1, 1, 2));
    world.confirm(&[confirmed]);
    world.offers(&waiting, Outcome::Accepted);
    let ids = [waiting, unknown, confirmed].map(|bytes| transaction_id(&bytes)).to_vec();
    let missing = world.ask(Request::MissingTransactions(ids));
    assert_eq!(missing, Answer::Missing(vec![transaction_id(&unknown)]));
    let give = |world: &mut World, bytes: &[u8]| world.ask(Request::Transaction(transaction_id(bytes)));
    assert_eq!(give(&mut world, &waiting), Answer::Transaction(Some(Bytes::copy_from_slice(&waiting))));
    assert_eq!(give(&mut world, &confirmed), Answer::Transaction(None));
    assert_eq!(give(&mut world, &unknown), Answer::Transaction(None));
}

#[test]
fn the_operators_transactions_are_announced_and_peers_are_not() {
    let mut world = World::new();
    let take = |world: &mut World, bytes: &[u8], origin| {
        let transactions = vec![Bytes::copy_from_slice(bytes)];
        world.batch(vec![Request::TakeTransactions { transactions, origin }])
    };
    let (_, news) = take(&mut world, &pay(1, 2, 1, 1, 0), Origin::Peer);
    assert_eq!(news, []);
    let own = pay(2, 3, 1, 1, 0);
    let (_, news) = take(&mut world, &own, Origin::Operator);
    let transaction = Bytes::copy_from_slice(&own);
    assert_eq!(news, [Answer::NewTransaction { id: transaction_id(&own), transaction }]);
    let (asked, news) = take(&mut world, &own, Origin::Operator);
    assert_eq!(asked, [Answer::TransactionsTaken(vec![(transaction_id(&own), Outcome::Known)])]);
    assert_eq!(news, []);
}

#[test]
fn verified_transactions_of_the_mempool_are_confirmed_by_a_block() {
    let mut world = World::new();
    let transactions: Vec<_> = (0..40).map(|at| pay(1, 2, 1, 1, at)).collect();
    for bytes in &transactions {
        world.offers(bytes, Outcome::Accepted);
    }
    world.confirm(&transactions);
    assert_eq!(world.waiting(), Vec::<Hash>::new());
    // A signature that was changed makes another transaction, which is not taken for the waiting one.
    let waiting = pay(1, 2, 1, 1, 40);
    world.offers(&waiting, Outcome::Accepted);
    let mut changed = waiting;
    changed[152] ^= 1;
    let block = Draft::on(&world.tip_block()).with(&[changed]).mine();
    assert!(matches!(world.take(&block), BlockOutcome::Invalid(_)));
}

#[test]
fn a_reorganisation_puts_back_what_is_still_valid() {
    let mut world = World::new();
    let both = pay(1, 2, 1, 1, 0);
    let ours = pay(2, 3, 7, 1, 0);
    let gone = pay_to(4, [9; 32], 5, 1, 0);
    let first = Draft::on(&genesis()).with(&[both, ours, gone]).mine();
    let second = Draft::on(&first).with(&[pay(2, 3, 8, 0, 1)]).mine();
    world.take_all(&[first, second]);
    // The other side has one of them too, and another one in the place of a third.
    let base = Draft::on(&genesis()).by(8).with(&[both, pay_to(4, [8; 32], 5, 1, 0)]).mine();
    let branch = line(&base, 2, 8);
    world.take_all(&[base, branch[0].clone()]);
    let (outcome, news) = world.take_with_news(&branch[1]);
    assert_eq!(outcome, BlockOutcome::Accepted);
    let Answer::NewTip { tip, .. } = &news[0] else { panic!("{news:?}") };
    assert_eq!(tip.hash, hash(&branch[1]));
    let back: Vec<Hash> = news[1..]
        .iter()
        .map(|answer| match answer {
            Answer::NewTransaction { id, transaction } => {
                assert_eq!(*id, transaction_id(transaction));
                *id
            }
            other => panic!("{other:?}"),
        })
        .collect();
    let expected = [transaction_id(&ours), transaction_id(&pay(2, 3, 8, 0, 1))];
    assert_eq!(back, expected, "in their order, whatever their fee");
    assert_eq!(world.waiting(), expected);
}

#[test]
fn what_comes_back_goes_before_what_waited_behind_it() {
    let mut world = World::new();
    let confirmed = pay(1, 2, ALL - 100, 1, 0);
    world.take_all(&[Draft::on(&genesis()).with(&[confirmed]).mine()]);
    let behind = [pay(1, 2, 10, 1, 1), pay(1, 2, 70, 1, 2)];
    for bytes in &behind {
        world.offers(bytes, Outcome::Accepted);
    }
    // On the other branch the account is poorer, so that not all of it fits any more.
    let base = Draft::on(&genesis()).by(8).mine();
    world.take_all([&base]);
    world.take_all(&line(&base, 1, 8));
    let all = [confirmed, behind[0], behind[1]].map(|bytes| transaction_id(&bytes));
    assert_eq!(world.waiting(), all);
    let mut poorer = World::new();
    poorer.take_all(&[Draft::on(&genesis()).with(&[pay(5, 1, 60, 0, 0), pay(1, 2, ALL, 1, 0)]).mine()]);
    let behind = pay(1, 2, 50, 1, 1);
    poorer.offers(&behind, Outcome::Accepted);
    let base = Draft::on(&genesis()).by(8).with(&[pay(5, 6, 60, 0, 0)]).mine();
    poorer.take_all([&base]);
    poorer.take_all(&line(&base, 1, 8));
    // Without the 60 that came in, neither the payment of all nor what was behind it can be covered together.
    assert!(!poorer.waits(&pay(1, 2, ALL, 1, 0)) && poorer.waits(&behind));
}
