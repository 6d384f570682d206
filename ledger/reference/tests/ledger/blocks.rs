//! Each rule for blocks, with a block that breaks this rule alone.

use crate::world::{Draft, START_MS, World, genesis, hash, key, line, pay, pay_to, read};
use bytes::Bytes;
use polypeer_engine::kit::chain::{Answer, BlockFault, BlockKey, BlockOutcome, Hash, Request};
use polypeer_ledger_reference::{Account, BLOCK_BYTES_MAX, Header, NetworkParameters, TransactionBytes, Wallet};

const BODY: BlockOutcome = BlockOutcome::Invalid(BlockFault::Body);
const HEADER: BlockOutcome = BlockOutcome::Invalid(BlockFault::Header);
const STATE: BlockOutcome = BlockOutcome::Invalid(BlockFault::State);

/// The outcome of a first block with these transactions, after which the tip must fit it.
fn check(transactions: &[TransactionBytes], expected: BlockOutcome) {
    let block = Draft::on(&genesis()).with(transactions).mine();
    check_block(&block, expected);
}

fn check_block(block: &Bytes, expected: BlockOutcome) {
    let mut world = World::new();
    assert_eq!(world.take(block), expected);
    let height = u64::from(expected == BlockOutcome::Accepted);
    assert_eq!(world.tip().height, height);
    assert_eq!(world.reader.block(&BlockKey::Hash(hash(block))).is_some(), height == 1);
}

fn changed(change: impl FnOnce(&mut Header)) -> Bytes {
    Draft::on(&genesis()).change(change).mine()
}

#[test]
fn a_right_block_is_accepted_and_known_afterwards() {
    let mut world = World::new();
    let block = Draft::on(&genesis()).with(&[pay(1, 2, 5, 1, 0)]).mine();
    let (outcome, news) = world.take_with_news(&block);
    assert_eq!(outcome, BlockOutcome::Accepted);
    let [Answer::NewTip { tip, block: bytes }] = &news[..] else { panic!("{news:?}") };
    assert_eq!((tip.hash, tip.height, tip.work, bytes), (hash(&block), 1, 512, &block));
    assert_eq!(world.take_with_news(&block), (BlockOutcome::Known, vec![]));
}

#[test]
fn bytes_that_are_not_the_shape_of_a_block_are_no_block() {
    let block = Draft::on(&genesis()).with(&[pay(1, 2, 5, 1, 0)]).mine();
    let mut world = World::new();
    let mut wrong: Vec<Vec<u8>> = (0..block.len()).map(|length| block[..length].to_vec()).collect();
    wrong.push([&block[..], &[0]].concat());
    for count in [0_u32, 2, 20_001, u32::MAX] {
        let mut bytes = block.to_vec();
        bytes[129..133].copy_from_slice(&count.to_be_bytes());
        wrong.push(bytes);
    }
    for bytes in wrong {
        let (asked, news) = world.batch(vec![Request::TakeBlock(bytes.into())]);
        assert_eq!(asked, [Answer::BlockTaken { hash: Hash::ZERO, outcome: BODY }]);
        assert_eq!(news, []);
    }
    assert_eq!(world.take(&block), BlockOutcome::Accepted);
}

#[test]
fn twenty_thousand_transactions_fit_and_one_more_does_not() {
    let mut parameters = NetworkParameters::anya_devnet();
    let wallets: Vec<Wallet> = (0..20_u8).map(|seed| Wallet::new(&[seed + 100; 32])).collect();
    parameters.accounts = wallets.iter().map(|wallet| (wallet.public_key(), 1_000_000)).collect();
    let mut world = World::with(|config| config.network = parameters.clone());
    let genesis = world.tip_block();
    let payment =
        |at: u64| polypeer_ledger_reference::Payment { recipient: [5; 32], amount: 1, fee: 0, sequence: at / 20 };
    let mut transactions: Vec<TransactionBytes> =
        (0..20_001).map(|at| wallets[at as usize % 20].sign(crate::world::NETWORK, &payment(at))).collect();
    let larger = Draft::on(&genesis).with(&transactions).mine();
    assert_eq!(world.take(&larger), BODY);
    transactions.pop();
    let largest = Draft::on(&genesis).with(&transactions).mine();
    assert_eq!(largest.len(), BLOCK_BYTES_MAX);
    assert_eq!(world.take(&largest), BlockOutcome::Accepted);
    assert_eq!(world.reader.account(&[5; 32]).balance, 20_000);
}

#[test]
fn the_header_alone_can_be_wrong() {
    check_block(&changed(|header| header.version = 0), HEADER);
    check_block(&changed(|header| header.version = 2), HEADER);
    check_block(&changed(|header| header.reserved = [0, 0, 0, 1]), HEADER);
    check_block(&changed(|header| header.reserved = [128, 0, 0, 0]), HEADER);
    // The same number written in another way is another target.
    check_block(&changed(|header| header.target = [0x1f, 0xff, 0xff, 0x00]), HEADER);
    check_block(&changed(|header| header.target = [0x20, 0x00, 0xff, 0xfe]), HEADER);
    check_block(&changed(|header| header.target = [0x20, 0x00, 0x80, 0x00]), HEADER);
    check_block(&changed(|header| header.height = 0), HEADER);
    check_block(&changed(|header| header.height = 2), HEADER);
    check_block(&changed(|header| header.height = u64::MAX), HEADER);
    check_block(&changed(|_| ()), BlockOutcome::Accepted);
}

#[test]
fn a_block_without_proof_of_work_is_kept_in_no_form() {
    let mut world = World::new();
    let block = Draft::on(&genesis()).fail_to_mine();
    assert_eq!(world.take(&block), HEADER);
    assert!(world.is_missing(hash(&block)));
    // Nor is its hash remembered: its child is one whose parent is unknown.
    let child = Draft::on(&block).mine();
    assert_eq!(world.take(&child), BlockOutcome::ParentUnknown);
}

#[test]
fn a_body_that_does_not_fit_the_root_says_nothing_about_the_hash() {
    let mut world = World::new();
    let right = Draft::on(&genesis()).with(&[pay(1, 2, 5, 1, 0)]).mine();
    let mut wrong = right.to_vec();
    wrong[133..].copy_from_slice(&pay(1, 2, 6, 1, 0));
    let wrong = Bytes::from(wrong);
    let (asked, _) = world.batch(vec![Request::TakeBlock(wrong.clone())]);
    assert_eq!(asked, [Answer::BlockTaken { hash: hash(&right), outcome: BODY }]);
    assert!(world.is_missing(hash(&right)));
    assert_eq!(world.take(&right), BlockOutcome::Accepted);
    assert_eq!(world.take(&wrong), BODY, "also when the right one is held");
}

#[test]
fn genesis_with_another_body_is_wrong() {
    let mut world = World::new();
    let mut bytes = genesis().to_vec();
    bytes[132] = 1;
    bytes.extend_from_slice(&pay(1, 2, 5, 1, 0));
    assert_eq!(world.take(&bytes.into()), BODY);
}

#[test]
fn the_root_is_that_of_the_transactions_in_their_order() {
    for count in 1..=9 {
        let transactions: Vec<TransactionBytes> = (0..count).map(|at| pay(1, 2, at, 1, at)).collect();
        let draft = Draft::on(&genesis()).with(&transactions);
        let block = draft.clone().mine();
        check_block(&block, BlockOutcome::Accepted);
        if count > 1 {
            let mut swapped = draft;
            swapped.header = read(&block).1;
            swapped.transactions.swap(0, count as usize - 1);
            swapped.keep_root = true;
            check_block(&swapped.mine(), BODY);
        }
    }
}

#[test]
fn a_blocks_time_is_above_the_median_of_the_last_eleven() {
    let mut world = World::new();
    let mut times = vec![read(&genesis()).1.time];
    let mut parent = genesis();
    let mut random = polypeer_engine::Random::new([1; 32]);
    // Each block has a time that jumps back and forth, as far back as the median allows.
    for round in 0..80 {
        let count = times.len().min(11);
        let mut last: Vec<u64> = times[times.len() - count..].to_vec();
        last.sort_unstable();
        let median = last[count / 2];
        let at_median = Draft::on(&parent).change(|header| header.time = median).mine();
        assert_eq!(world.take(&at_median), HEADER, "round {round}");
        let time = median + [1, 2, 40_000, 90_000][random.below(4)];
        world.pass(std::time::Duration::from_secs(60));
        let above = Draft::on(&parent).change(|header| header.time = time).mine();
        assert_eq!(world.take(&above), BlockOutcome::Accepted, "round {round}");
        times.push(time);
        parent = above;
    }
}

#[test]
fn the_median_is_that_of_the_blocks_own_branch() {
    let mut world = World::new();
    let trunk = line(&genesis(), 12, 1);
    world.take_all(&trunk);
    // A side branch from the middle: its median looks back over its own blocks only.
    let fork = &trunk[5];
    let mut parent = fork.clone();
    let mut times: Vec<u64> = std::iter::once(&genesis()).chain(&trunk[..=5]).map(|block| read(block).1.time).collect();
    for _ in 0..4 {
        let count = times.len().min(11);
        let mut last: Vec<u64> = times[times.len() - count..].to_vec();
        last.sort_unstable();
        let median = last[count / 2];
        let wrong = Draft::on(&parent).by(2).change(|header| header.time = median).mine();
        assert_eq!(world.take(&wrong), HEADER);
        let right = Draft::on(&parent).by(2).change(|header| header.time = median + 1).mine();
        assert_eq!(world.take(&right), BlockOutcome::Accepted);
        times.push(median + 1);
        parent = right;
    }
    assert_eq!(world.tip().height, 12);
}

#[test]
fn transactions_that_are_never_valid_make_a_block_invalid() {
    let right = pay(1, 2, 5, 1, 0);
    let mut version = right;
    version[0] = 2;
    check(&[version], STATE);
    let mut signature = right;
    signature[120] ^= 1;
    check(&[signature], STATE);
    check(&[pay(1, 1, 5, 1, 0)], STATE);
    check(&[right], BlockOutcome::Accepted);
}

#[test]
fn a_signature_is_for_one_network() {
    let wallet = Wallet::public_account(1).expect("1 is an account");
    let payment = polypeer_ledger_reference::Payment { recipient: key(2), amount: 1, fee: 1, sequence: 0 };
    check(&[wallet.sign(b"hello-devnet\0\0\0\0", &payment)], STATE);
}

#[test]
fn sequences_count_the_senders_transactions() {
    check(&[pay(1, 2, 5, 1, 1)], STATE);
    check(&[pay(1, 2, 5, 1, u64::MAX)], STATE);
    check(&[pay(1, 2, 5, 1, 0), pay(1, 2, 5, 1, 0)], STATE);
    check(&[pay(1, 2, 5, 1, 1), pay(1, 2, 5, 1, 0)], STATE);
    check(&[pay(1, 2, 5, 1, 0), pay(2, 1, 5, 1, 0), pay(1, 2, 5, 1, 1)], BlockOutcome::Accepted);
}

#[test]
fn a_sender_pays_amount_and_fee_from_its_balance() {
    const ALL: u64 = 1_000_000_000;
    check(&[pay(1, 2, ALL, 1, 0)], STATE);
    check(&[pay(1, 2, ALL - 1, 2, 0)], STATE);
    check(&[pay(1, 2, ALL, 0, 0), pay(1, 2, 0, 1, 1)], STATE);
    check(&[pay(1, 2, ALL - 1, 1, 0), pay(1, 2, 0, 0, 1)], BlockOutcome::Accepted);
    // What came in earlier in the block can be spent.
    check(&[pay(1, 2, ALL, 0, 0), pay(2, 1, 2 * ALL, 0, 0)], BlockOutcome::Accepted);
    check(&[pay(2, 1, 2 * ALL, 0, 0), pay(1, 2, ALL, 0, 0)], STATE);
}

#[test]
fn sums_above_sixty_four_bits_are_not_valid() {
    check(&[pay(1, 2, u64::MAX, 1, 0)], STATE);
    let mut parameters = NetworkParameters::anya_devnet();
    parameters.accounts = vec![(key(1), 100), (key(2), u64::MAX - 50), (key(3), 40)];
    let over = |amount, producer, expected| {
        let mut world = World::with(|config| config.network = parameters.clone());
        let block = Draft::on(&world.tip_block()).with(&[pay(1, 2, amount, 0, 0)]).by(producer).mine();
        assert_eq!(world.take(&block), expected, "amount {amount}");
    };
    over(51, 9, STATE);
    over(50, 9, BlockOutcome::Accepted);
    // Nor can the reward and the fees lift an account above them.
    let reward = |amount, expected| {
        let mut world = World::with(|config| config.network = parameters.clone());
        let block = Draft::on(&world.tip_block()).with(&[pay(1, 2, amount, 0, 0)]);
        let block = block.change(|header| header.producer = key(2)).mine();
        assert_eq!(world.take(&block), expected, "amount {amount}");
    };
    reward(0, BlockOutcome::Accepted);
    reward(1, STATE);
}

#[test]
fn the_producer_gets_reward_and_fees_after_the_last_transaction() {
    let mut world = World::new();
    world.confirm(&[pay(1, 2, 10, 3, 0), pay_to(2, [77; 32], 7, 4, 0)]);
    assert_eq!(world.balance(1), 1_000_000_000 - 13);
    assert_eq!(world.balance(2), 1_000_000_000 + 10 - 11);
    assert_eq!(world.balance(3), 1_000_000_000 + 50 + 7);
    assert_eq!(world.reader.account(&[77; 32]), Account { balance: 7, sequence: 0 });
    assert_eq!(world.reader.account(&key(1)).sequence, 1);
    // Account 3 produces and would need its own reward to pay.
    let draft = Draft::on(&world.tip_block()).with(&[pay(3, 1, 1_000_000_000 + 58, 0, 0)]);
    assert_eq!(world.take(&draft.mine()), STATE);
}

#[test]
fn a_failed_block_leaves_no_trace_in_the_accounts() {
    let mut world = World::new();
    let block = Draft::on(&genesis()).with(&[pay(1, 2, 10, 3, 0), pay(2, 1, 5, 5, 0), pay(4, 5, 1, 1, 9)]).mine();
    assert_eq!(world.take(&block), STATE);
    // In the same batch, so that nothing was written in between.
    let right = Draft::on(&genesis()).with(&[pay(1, 2, 10, 3, 0)]).mine();
    let (asked, _) = world.batch(vec![Request::TakeBlock(block), Request::TakeBlock(right.clone())]);
    assert_eq!(asked[1], Answer::BlockTaken { hash: hash(&right), outcome: BlockOutcome::Accepted });
    assert_eq!(world.balance(1), 1_000_000_000 - 13);
    assert_eq!(world.balance(2), 1_000_000_000 + 10);
    assert_eq!(world.balance(4), 1_000_000_000);
}

#[test]
fn a_child_of_an_invalid_block_is_invalid() {
    let mut world = World::new();
    let bad = Draft::on(&genesis()).with(&[pay(1, 2, 5, 1, 7)]).mine();
    assert_eq!(world.take(&bad), STATE);
    assert_eq!(world.take(&bad), STATE, "and it stays so");
    let mut parent = bad;
    for _ in 0..3 {
        let child = Draft::on(&parent).mine();
        assert_eq!(world.take(&child), STATE);
        assert!(world.is_missing(hash(&child)));
        parent = child;
    }
    // The same for a header that no body can mend.
    let bad = changed(|header| header.height = 5);
    assert_eq!(world.take(&bad), HEADER);
    assert_eq!(world.take(&Draft::on(&bad).mine()), STATE);
    let bad = changed(|header| header.version = 7);
    assert_eq!(world.take(&bad), HEADER);
    assert_eq!(world.take(&Draft::on(&bad).mine()), STATE);
}

#[test]
fn nothing_is_kept_of_a_block_without_its_parent() {
    let mut world = World::new();
    let blocks = line(&genesis(), 3, 1);
    assert_eq!(world.take(&blocks[1]), BlockOutcome::ParentUnknown);
    assert!(world.is_missing(hash(&blocks[1])));
    assert_eq!(world.take(&blocks[2]), BlockOutcome::ParentUnknown);
    world.take_all(&blocks);
    assert_eq!(world.tip().hash, hash(&blocks[2]));
    assert!(read(&blocks[2]).1.time < START_MS);
}
