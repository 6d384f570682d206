//! Measures what work costs us, for the table in `engine/src/kit/cost.rs`: processor time, the least of several tries.
//!
//! `cargo run --release -p polypeer-ledger-reference --example prices`. The ledger is in memory, as what is asked often
//! is in the cache. A build without optimisation prices our own code too high, the signature about right.

use bytes::Bytes;
use polypeer_engine::kit::chain::{Answer, BlockKey, Hash, Origin, Request};
use polypeer_engine::kit::cost::Class;
use polypeer_engine::shell::book::Book;
use polypeer_engine::{Address, AsMap, Ledger, Now, Random, Ticket, Time};
use polypeer_ledger_reference::{
    Config, HEADER_BYTES, Header, Network, NetworkParameters, Payment, Reference, TransactionBytes, Wallet,
    encode_block, merkle_root, transaction_id, verify_signature,
};
use std::error::Error;
use std::time::Instant;

const TRIES: usize = 7;
/// Transactions in the block that is looked at: 150 KB.
const TRANSACTIONS: u64 = 1_000;

fn main() -> Result<(), Box<dyn Error>> {
    let network = NetworkParameters::anya_devnet().build()?;
    let mut bench = Bench::open(network)?;
    let payments: Vec<TransactionBytes> = (0..TRANSACTIONS).map(|number| bench.payment(number)).collect();
    let id = bench.network.id();
    let cost = per(payments.len(), || assert!(payments.iter().all(|bytes| verify_signature(&id, bytes))));
    say(Class::TransactionCheck, 153, cost);
    bench.orphans(&payments)?;
    bench.lookups(&payments)?;
    bench.lists();
    addresses();
    Ok(())
}

struct Bench {
    network: Network,
    ledger: Reference,
    wallets: Vec<Wallet>,
}

impl Bench {
    fn open(network: Network) -> Result<Self, Box<dyn Error>> {
        let (ledger, _reader) = Reference::open(Config::in_memory(NetworkParameters::anya_devnet()))?;
        Ok(Self { network, ledger, wallets: (1..=16).filter_map(Wallet::public_account).collect() })
    }

    fn ask(&mut self, requests: Vec<Request>) -> Vec<Answer> {
        let mut answers = Vec::new();
        let now = Now { monotonic: Time::ZERO, unix_ms: u64::MAX / 2 };
        self.ledger.answer(now, requests.into_iter().map(|request| (Ticket(0), request)).collect(), &mut answers);
        answers.into_iter().map(|(_, answer)| answer).collect()
    }

    fn payment(&self, number: u64) -> TransactionBytes {
        let payment = Payment { recipient: [7; 32], amount: 1, fee: 1, sequence: number / 16 };
        self.wallets[(number % 16) as usize].sign(&self.network.id(), &payment)
    }

    fn genesis(&self) -> Result<Header, Box<dyn Error>> {
        let header = self.network.genesis().first_chunk::<HEADER_BYTES>().ok_or("genesis has a header")?;
        Ok(Header::decode(header))
    }

    // A block at height 1 with proof of work.
    fn mined(&self, parent: Hash, body: &[TransactionBytes]) -> Result<Bytes, Box<dyn Error>> {
        let genesis = self.genesis()?;
        let ids: Vec<Hash> = body.iter().map(|bytes| transaction_id(bytes)).collect();
        let (time, root) = (genesis.time + 1_000, merkle_root(&ids));
        let mut header = Header { parent, height: 1, time, root, producer: [9; 32], nonce: 0, ..genesis };
        while !self.network.target().is_met_by(&header.hash().0) {
            header.nonce += 1;
        }
        Ok(Bytes::from(encode_block(&header, body)))
    }

    // Proof of work and root, and no more.
    fn orphans(&mut self, payments: &[TransactionBytes]) -> Result<(), Box<dyn Error>> {
        for (count, body) in [(100u8, &[][..]), (10, payments)] {
            let orphans = (1..=count).map(|number| self.mined(Hash([number; 32]), body));
            let orphans = orphans.collect::<Result<Vec<_>, _>>()?;
            let cost = per(orphans.len(), || {
                self.ask(orphans.iter().cloned().map(Request::TakeBlock).collect());
            });
            say(Class::HeaderCheck, orphans[0].len(), cost);
        }
        Ok(())
    }

    fn lookups(&mut self, payments: &[TransactionBytes]) -> Result<(), Box<dyn Error>> {
        let block = self.mined(self.genesis()?.hash(), payments)?;
        self.ask(vec![Request::TakeBlock(block)]);
        for height in [0, 1] {
            let mut bytes = 0;
            let cost = per(100, || {
                for answer in self.ask(vec![Request::Block(BlockKey::Height(height)); 100]) {
                    let Answer::Block(Some(block)) = answer else { panic!("the block is there") };
                    bytes = block.len();
                    std::hint::black_box(block.to_vec());
                }
            });
            say(Class::Lookup, bytes, cost);
        }
        let unknown: Vec<Hash> = (0..1_000u64).map(|number| transaction_id(&number.to_be_bytes())).collect();
        let cost = per(unknown.len(), || {
            self.ask(vec![Request::MissingTransactions(unknown.clone())]);
        });
        say(Class::Announcement, 0, cost);
        Ok(())
    }

    fn lists(&mut self) {
        let waiting = (TRANSACTIONS..2 * TRANSACTIONS).map(|number| Bytes::copy_from_slice(&self.payment(number)));
        let waiting = waiting.collect();
        self.ask(vec![Request::TakeTransactions { transactions: waiting, origin: Origin::Peer }]);
        let mut bytes = 0;
        let cost = per(1, || {
            let answers = self.ask(vec![Request::Waiting { bytes_max: 32 << 20, overhead: 4 }]);
            let Some(Answer::Waiting(list)) = answers.first() else { panic!("a list was asked for") };
            bytes = std::hint::black_box(list.concat()).len();
        });
        say(Class::ListServed, bytes, cost);
    }
}

fn addresses() {
    let mut random = Random::new([1; 32]);
    let cost = per(10_000, || {
        let mut book = Book::new([1; 32], 5_000, AsMap::default());
        for number in 0..10_000u32 {
            let address = Address::new((0x0a00_0000 + number * 7919 % 0x00ff_ffff).to_be_bytes().into(), 7333);
            book.learn(address, None, 0, &mut random);
        }
    });
    say(Class::AddressLearn, 0, cost);
}

// Nanoseconds for each of so many, the least of some tries.
fn per(count: usize, mut work: impl FnMut()) -> u128 {
    let tries = (0..TRIES).map(|_| {
        let started = Instant::now();
        work();
        started.elapsed().as_nanos() / count as u128
    });
    tries.min().unwrap_or(0)
}

fn say(class: Class, bytes: usize, nanos: u128) {
    let price = class.price(bytes).time();
    println!(
        "{:17} of {bytes:>7} bytes: {nanos:>9} ns measured, {:>9} ns in the table",
        class.name(),
        price.as_nanos()
    );
}
