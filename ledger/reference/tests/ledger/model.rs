//! Compares chain and mempool with models that are too simple to be wrong.

use crate::world::{Draft, World, genesis, hash, key, pay, read};
use bytes::Bytes;
use polypeer_engine::kit::chain::{BlockFault, BlockOutcome, Hash, Origin, TransactionFault, TransactionOutcome};
use polypeer_ledger_reference::{Account, Transaction, TransactionBytes, transaction_id};
use proptest::prelude::*;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Accounts by number; the public ones of few hands.
type Book = BTreeMap<[u8; 32], Account>;

fn founded() -> Book {
    (1..=16).map(|account| (key(account), Account { balance: 1_000_000_000, sequence: 0 })).collect()
}

fn apply(book: &mut Book, block: &Bytes) -> bool {
    let mut fees = 0;
    for bytes in block[133..].chunks(153) {
        let Ok(it) = Transaction::decode(bytes) else { return false };
        let sender = book.entry(it.sender).or_default();
        if it.sequence != sender.sequence || sender.balance < it.amount + it.fee {
            return false;
        }
        sender.sequence += 1;
        sender.balance -= it.amount + it.fee;
        book.entry(it.recipient).or_default().balance += it.amount;
        fees += it.fee;
    }
    book.entry(read(block).1.producer).or_default().balance += 50 + fees;
    true
}

/// Keeps every block and works everything out from genesis each time.
#[derive(Default)]
struct Chains {
    blocks: HashMap<Hash, Bytes>,
    invalid: HashSet<Hash>,
    tip: Hash,
    height: u64,
}

impl Chains {
    fn new() -> Self {
        let genesis = genesis();
        let tip = hash(&genesis);
        Self { blocks: HashMap::from([(tip, genesis)]), tip, ..Self::default() }
    }

    /// The blocks from genesis' child to this one.
    fn path(&self, tip: Hash) -> Vec<Bytes> {
        let mut path = Vec::new();
        let mut at = tip;
        while at != hash(&genesis()) {
            let block = self.blocks[&at].clone();
            at = read(&block).1.parent;
            path.push(block);
        }
        path.reverse();
        path
    }

    fn book(&self) -> Book {
        let mut book = founded();
        assert!(self.path(self.tip).iter().all(|block| apply(&mut book, block)));
        book
    }

    fn take(&mut self, block: &Bytes) -> BlockOutcome {
        let (hash, header) = read(block);
        if self.blocks.contains_key(&hash) {
            return BlockOutcome::Known;
        }
        if self.invalid.contains(&hash) || self.invalid.contains(&header.parent) {
            self.invalid.insert(hash);
            return BlockOutcome::Invalid(BlockFault::State);
        }
        if !self.blocks.contains_key(&header.parent) {
            return BlockOutcome::ParentUnknown;
        }
        self.blocks.insert(hash, block.clone());
        if header.height <= self.height {
            return BlockOutcome::Accepted;
        }
        let mut book = founded();
        if let Some(bad) = self.path(hash).iter().find(|block| !apply(&mut book, block)) {
            self.forget(read(bad).0);
            return BlockOutcome::Invalid(BlockFault::State);
        }
        (self.tip, self.height) = (hash, header.height);
        BlockOutcome::Accepted
    }

    fn forget(&mut self, bad: Hash) {
        self.blocks.remove(&bad);
        self.invalid.insert(bad);
        let children: Vec<Hash> =
            self.blocks.iter().filter(|(_, block)| read(block).1.parent == bad).map(|(hash, _)| *hash).collect();
        children.into_iter().for_each(|child| self.forget(child));
    }
}

/// A block of the forest: which earlier one it stands on, and what it pays.
#[derive(Clone, Debug)]
struct Plan {
    parent: prop::sample::Index,
    payments: Vec<(u8, u8, u64, u64)>,
    /// Off the right sequence, so that the block is invalid.
    skew: bool,
}

fn plan() -> impl Strategy<Value = Plan> {
    let payment = (1..4_u8, 4..7_u8, 0..400_000_000_u64, 0..3_u64);
    let payments = prop::collection::vec(payment, 0..3);
    (any::<prop::sample::Index>(), payments, prop::bool::weighted(0.08)).prop_map(|(parent, payments, skew)| Plan {
        parent,
        payments,
        skew,
    })
}

/// Turns plans into blocks; mostly on late ones, so that branches grow.
fn forest(plans: &[Plan]) -> Vec<Bytes> {
    let mut blocks = vec![genesis()];
    let mut counts: Vec<HashMap<u8, u64>> = vec![HashMap::new()];
    for (at, plan) in plans.iter().enumerate() {
        let from = plan.parent.index(blocks.len().min(6));
        let parent = blocks.len() - 1 - from;
        let mut count = counts[parent].clone();
        let transactions: Vec<TransactionBytes> = plan
            .payments
            .iter()
            .map(|(from, to, amount, fee)| {
                let sequence = count.entry(*from).or_default();
                *sequence += 1;
                pay(*from, *to, *amount, *fee, *sequence - 1 + u64::from(plan.skew))
            })
            .collect();
        blocks.push(Draft::on(&blocks[parent]).by(at as u8).with(&transactions).mine());
        counts.push(count);
    }
    blocks.remove(0);
    blocks
}

fn same_accounts(world: &World, book: &Book) {
    for (key, account) in book {
        assert_eq!(world.reader.account(key), *account);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn the_chain_is_the_one_that_a_replay_from_genesis_chooses(
        plans in prop::collection::vec(plan(), 1..40),
        order in any::<prop::sample::Index>(),
        side_bytes in prop::sample::select(vec![0_u64, 256 << 20]),
    ) {
        let blocks = forest(&plans);
        let mut world = World::new();
        let mut model = Chains::new();
        // Children before parents at times, then everything once more.
        let turn = order.index(blocks.len());
        let sent = blocks[turn..].iter().chain(&blocks).chain(&blocks);
        for block in sent {
            let expected = model.take(block);
            prop_assert_eq!(world.take(block), expected);
            prop_assert_eq!(world.tip().hash, model.tip);
        }
        same_accounts(&world, &model.book());
        // With no room beside the main chain, a chain that came first and in order is the same.
        let mut narrow = World::with(|config| config.limits.side_bytes = side_bytes);
        let best = model.path(model.tip);
        for block in &best {
            prop_assert_eq!(narrow.take(block), BlockOutcome::Accepted);
        }
        same_accounts(&narrow, &model.book());
    }
}

/// A waiting transaction of the model.
#[derive(Clone, Debug)]
struct Waiting {
    id: Hash,
    fee: u64,
    cost: u64,
    arrival: usize,
}

/// The mempool's rules, one after another, over plain lists.
struct Pool {
    book: Book,
    waiting: BTreeMap<([u8; 32], u64), Waiting>,
    room: usize,
    arrivals: usize,
}

impl Pool {
    fn offer(&mut self, bytes: &TransactionBytes) -> Result<(), TransactionFault> {
        let it = Transaction::decode(bytes)?;
        let account = self.book[&it.sender];
        if it.fee < 1 {
            return Err(TransactionFault::FeeTooLow);
        }
        if it.sequence < account.sequence || it.sequence > account.sequence + 63 {
            return Err(TransactionFault::Sequence);
        }
        let place = (it.sender, it.sequence);
        if let Some(old) = self.waiting.get(&place)
            && (it.fee * 10 < old.fee * 11 || it.fee < old.fee + 1)
        {
            return Err(TransactionFault::ReplacementFeeTooLow);
        }
        let others: u64 = self
            .waiting
            .iter()
            .filter(|((sender, sequence), _)| *sender == it.sender && *sequence != it.sequence)
            .map(|(_, waiting)| waiting.cost)
            .sum();
        if others + it.amount + it.fee > account.balance {
            return Err(TransactionFault::Balance);
        }
        if !self.waiting.contains_key(&place) && self.waiting.len() == self.room {
            self.evict_for(&it)?;
        }
        self.arrivals += 1;
        let waiting =
            Waiting { id: transaction_id(bytes), fee: it.fee, cost: it.amount + it.fee, arrival: self.arrivals };
        self.waiting.insert(place, waiting);
        Ok(())
    }

    fn evict_for(&mut self, it: &Transaction) -> Result<(), TransactionFault> {
        let newest_first = |waiting: &Waiting| (waiting.fee, usize::MAX - waiting.arrival);
        let lowest = self.waiting.iter().min_by_key(|(_, waiting)| newest_first(waiting));
        let ((sender, first), fee) = lowest.map(|(place, waiting)| (*place, waiting.fee)).expect("it is full");
        if fee >= it.fee || (sender == it.sender && first < it.sequence) {
            return Err(TransactionFault::NoRoom);
        }
        self.waiting.retain(|(who, sequence), _| *who != sender || *sequence < first);
        Ok(())
    }

    fn confirm(&mut self, block: &Bytes) {
        assert!(apply(&mut self.book, block));
        let book = self.book.clone();
        self.waiting.retain(|(sender, sequence), _| *sequence >= book[sender].sequence);
        for (sender, account) in book {
            let total = |pool: &Self| -> u64 {
                pool.waiting.iter().filter(|((who, _), _)| *who == sender).map(|(_, waiting)| waiting.cost).sum()
            };
            while total(self) > account.balance {
                let latest = self.waiting.keys().filter(|(who, _)| *who == sender).max().copied();
                self.waiting.remove(&latest.expect("something costs"));
            }
        }
    }

    /// What a block takes next: the best of the senders' firsts, as long as no sequence is missing.
    fn ready(&self) -> Vec<Hash> {
        let mut next: BTreeMap<[u8; 32], u64> = self.book.iter().map(|(key, it)| (*key, it.sequence)).collect();
        let mut taken = Vec::new();
        loop {
            let heads = next.iter().filter_map(|(key, sequence)| Some((*key, self.waiting.get(&(*key, *sequence))?)));
            let best = heads.max_by_key(|(_, waiting)| (waiting.fee, usize::MAX - waiting.arrival));
            let Some((key, waiting)) = best else { return taken };
            taken.push(waiting.id);
            *next.get_mut(&key).expect("everyone has a count") += 1;
        }
    }
}

/// A step of the mempool's story.
#[derive(Clone, Debug)]
enum Step {
    Offer { from: u8, ahead: u64, amount: u64, fee: u64 },
    Confirm { from: u8, amount: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let ahead = prop_oneof![8 => 0..4_u64, 1 => 62..66_u64];
    let amount = prop_oneof![6 => 0..1_000_u64, 1 => 400_000_000..900_000_000_u64];
    prop_oneof![
        6 => (1..4_u8, ahead, amount.clone(), 0..30_u64)
            .prop_map(|(from, ahead, amount, fee)| Step::Offer { from, ahead, amount, fee }),
        1 => (1..4_u8, amount).prop_map(|(from, amount)| Step::Confirm { from, amount }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 80, ..ProptestConfig::default() })]

    #[test]
    fn the_mempool_keeps_what_the_rules_keep(steps in prop::collection::vec(step(), 1..60), room in 3..12_usize) {
        let mut world = World::with(|config| config.limits.mempool_bytes = room * 153);
        let mut pool = Pool { book: founded(), waiting: BTreeMap::new(), room, arrivals: 0 };
        for step in steps {
            match step {
                Step::Offer { from, ahead, amount, fee } => {
                    let sequence = pool.book[&key(from)].sequence + ahead;
                    let bytes = pay(from, 9, amount, fee, sequence);
                    let known = pool.waiting.values().any(|waiting| waiting.id == transaction_id(&bytes));
                    let expected = match known {
                        true => TransactionOutcome::Known,
                        false => match pool.offer(&bytes) {
                            Ok(()) => TransactionOutcome::Accepted,
                            Err(fault) => TransactionOutcome::NotNow(fault),
                        },
                    };
                    prop_assert_eq!(world.offer(&bytes, Origin::Peer), expected);
                }
                Step::Confirm { from, amount } => {
                    let account = pool.book[&key(from)];
                    if account.balance >= amount {
                        let block = world.confirm(&[pay(from, 10, amount, 0, account.sequence)]);
                        pool.confirm(&block);
                    }
                }
            }
            let mut waiting: Vec<Hash> = pool.waiting.values().map(|waiting| waiting.id).collect();
            let mut there = world.waiting();
            waiting.sort_unstable();
            there.sort_unstable();
            prop_assert_eq!(there, waiting);
        }
        let ready = pool.ready();
        let given: Vec<Hash> = world.waiting().into_iter().filter(|id| ready.contains(id)).collect();
        prop_assert_eq!(given, ready, "without gaps, the order is that of the next block");
    }
}
