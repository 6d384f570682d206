//! Writes that a crash cut in two, and bits that turned: a prefix of what was acknowledged comes back, or an error.

use crate::disk::Opens;
use crate::world::{Draft, World, genesis, hash, line, pay};
use bytes::Bytes;
use polypeer_engine::Random;
use polypeer_engine::kit::chain::{BlockKey, Hash, Origin, TransactionOutcome};
use polypeer_ledger_reference::OpenError;
use polypeer_sim::Tape;
use polypeer_store::file::FileError;

/// Writes at the end of the history that are torn.
const LAST_WRITES: usize = 64;
/// redb's header, and what its page holds beside it.
const HEADER_BYTES: usize = 512;

/// All that an acknowledgement promises, at one moment: the main chain and what waits.
type Promised = (Vec<Hash>, Vec<Hash>);

/// A disk's history: how many changes had been made when what was acknowledged.
struct History {
    disk: Tape,
    promised: Vec<(usize, Promised)>,
}

impl History {
    /// Blocks, a reorganisation, and transactions of the operator's that wait, are mined and come back.
    fn lived() -> Self {
        let disk = Tape::default();
        let mut world = disk.world();
        let mut history = Self { disk: disk.clone(), promised: Vec::new() };
        history.acknowledge(&mut world);
        let ours = line(&genesis(), 8, 1);
        let theirs = line(&genesis(), 12, 2);
        for (sequence, block) in ours.iter().enumerate() {
            let payment = pay(1, 2, 5, 1, sequence as u64);
            assert_eq!(world.offer(&payment, Origin::Operator), TransactionOutcome::Accepted);
            history.acknowledge(&mut world);
            world.take_all([block]);
            history.acknowledge(&mut world);
        }
        for block in &theirs {
            world.take_all([block]);
            history.acknowledge(&mut world);
        }
        let payments: Vec<_> = (0..8).map(|sequence| pay(1, 2, 5, 1, sequence)).collect();
        let mined: Bytes = Draft::on(&theirs[11]).with(&payments).mine();
        world.take_all([&mined]);
        history.acknowledge(&mut world);
        history
    }

    fn acknowledge(&mut self, world: &mut World) {
        let count = self.disk.changes();
        self.promised.push((count, promised(world)));
    }

    /// What had been promised when so many changes were made, and what would be next.
    fn at(&self, changes: usize) -> &[(usize, Promised)] {
        let last = self.promised.iter().rposition(|(count, _)| *count <= changes).expect("founded by then");
        &self.promised[last..self.promised.len().min(last + 2)]
    }
}

/// Reads everything again, and holds it to the rules.
fn promised(world: &mut World) -> Promised {
    let tip = world.tip();
    let mut chain = vec![genesis()];
    for height in 1..=tip.height {
        let block = world.block(BlockKey::Height(height)).expect("the main chain has no holes");
        assert_eq!(crate::world::read(&block).1.parent, hash(&chain[chain.len() - 1]));
        chain.push(block);
    }
    let chain: Vec<Hash> = chain.iter().map(hash).collect();
    assert_eq!(chain.last(), Some(&tip.hash));
    let reader = &world.reader;
    let mined = [1, 2].map(|producer| reader.account(&[producer; 32]).balance);
    let paid = world.balance(2) - 1_000_000_000;
    assert_eq!(world.balance(1) + paid + paid / 5, 1_000_000_000, "money is neither made nor lost");
    assert_eq!(mined.iter().sum::<u64>() % 50, 0);
    (chain, world.waiting())
}

/// How many images are tried where there are too many: a few thousand, or as many as the environment says.
fn images(few: usize) -> usize {
    std::env::var("POLYPEER_TEST_IMAGES").ok().and_then(|count| count.parse().ok()).unwrap_or(few)
}

#[test]
fn every_torn_write_of_the_last_64_leaves_what_was_acknowledged() {
    let history = History::lived();
    let mut tried = 0;
    history.disk.each_torn(LAST_WRITES, |moment, torn| {
        let found = promised(&mut torn.world());
        assert!(history.at(moment).iter().any(|(_, it)| *it == found), "change {moment}");
        tried += 1;
    });
    println!("{tried} images of torn writes");
    assert!(tried > LAST_WRITES);
}

#[test]
fn a_turned_bit_is_told_or_harmless() {
    let history = History::lived();
    let open = history.disk.bytes();
    // One as a crash leaves it, one that was closed in order.
    let closed = Tape::holding(open.clone());
    drop(closed.world());
    let closed = closed.bytes();
    let mut random = Random::new([9; 32]);
    let (mut whole, mut earlier, mut told) = (0, 0, 0);
    for image in [&open, &closed] {
        let header = (0..HEADER_BYTES).map(|byte| (byte, 1 << random.below(8)));
        let header: Vec<(usize, u8)> = header.collect();
        let pages = (0..images(1_500)).map(|_| (random.below(image.len()), 1_u8 << random.below(8)));
        for (byte, bit) in header.into_iter().chain(pages) {
            let mut bytes = image.clone();
            bytes[byte] ^= bit;
            let disk = Tape::holding(bytes.clone());
            match disk.open() {
                Ok(opened) => {
                    let found = promised(&mut World::over(opened));
                    let place = history.promised.iter().position(|(_, it)| *it == found);
                    let place = place.unwrap_or_else(|| panic!("byte {byte}, bit {bit}: nothing that was promised"));
                    match place + 1 == history.promised.len() {
                        true => whole += 1,
                        false => earlier += 1,
                    }
                }
                Err(OpenError::File(FileError::Damaged { offset, .. })) => {
                    told += 1;
                    assert!(offset <= image.len() as u64);
                    assert_eq!(disk.bytes(), bytes, "a damaged file is left as it is");
                }
                Err(OpenError::File(_)) => told += 1,
                Err(other) => panic!("byte {byte}, bit {bit}: {other}"),
            }
        }
    }
    println!("{whole} whole, {earlier} at an earlier commit, {told} told");
    assert!(told > 0 && whole > 0);
}
