//! Measures what work costs us, for the table in `engine/src/kit/cost.rs`: processor time, the least of several tries.
//!
//! `cargo run --release -p polypeer-ledger-reference --example prices`. The ledger is in memory, as what is asked often
//! is in the cache. A build without optimisation prices our own code too high, the signature about right.

use bytes::Bytes;
use polypeer_engine::kit::chain::{Answer, BlockKey, Hash, Origin, Request};
use polypeer_engine::kit::cost::Class;
use polypeer_engine::shell::book::Book;
use polypeer_engine::{Address, Ledger, Now, Random, Ticket, Time};
use polypeer_ledger_reference::{
    Config, HEADER_BYTES, Header, NetworkParameters, Payment, Reference, TransactionBytes, Wallet, encode_block,
    merkle_root, transaction_id, verify_signature,
};
use std::error::Error;
use std::time::Instant;

const TRIES: usize = 7;
/// Transactions in the block that is looked at: 150 KB.
const TRANSACTIONS: u64 = 1_000;

fn main() -> Result<(), Box<dyn Error>> {
    let network = NetworkParameters::anya_devnet().build()?;
    let wallets: Vec<Wallet> = (1..=16).filter_map(Wallet::public_account).collect();
    let payment = |number: u64| {
        let payment = Payment { recipient: [7; 32], amount: 1, fee: 1, sequence: number / 16 };
        wallets[(number % 16) as usize].sign(&network.id(), &payment)
    };
    let payments: Vec<TransactionBytes> = (0..TRANSACTIONS).map(payment).collect();
    let (mut ledger, _reader) = Reference::open(Config::in_memory(NetworkParameters::anya_devnet()))?;
    let mut ask = |requests: Vec<Request>| {
        let mut answers = Vec::new();
        let now = Now { monotonic: Time::ZERO, unix_ms: u64::MAX / 2 };
        ledger.answer(now, requests.into_iter().map(|request| (Ticket(0), request)).collect(), &mut answers);
        answers.into_iter().map(|(_, answer)| answer).collect::<Vec<Answer>>()
    };

    say(
        Class::TransactionCheck,
        153,
        per(payments.len(), || {
            assert!(payments.iter().all(|bytes| verify_signature(&network.id(), bytes)));
        }),
    );

    let header = network.genesis().first_chunk::<HEADER_BYTES>().ok_or("genesis has a header")?;
    let genesis = Header::decode(header);
    let ids: Vec<Hash> = payments.iter().map(|bytes| transaction_id(bytes)).collect();
    let mined = |parent: Hash, body: &[TransactionBytes], ids: &[Hash]| {
        let mut header = Header {
            parent,
            height: 1,
            time: genesis.time + 1_000,
            root: merkle_root(ids),
            producer: [9; 32],
            nonce: 0,
            ..genesis
        };
        while !network.target().is_met_by(&header.hash().0) {
            header.nonce += 1;
        }
        Bytes::from(encode_block(&header, body))
    };
    // Orphans: proof of work and root, and no more.
    let small: Vec<Bytes> = (0..100u8).map(|number| mined(Hash([number; 32]), &[], &[])).collect();
    let large: Vec<Bytes> = (0..10u8).map(|number| mined(Hash([number; 32]), &payments, &ids)).collect();
    for orphans in [&small, &large] {
        let cost = per(orphans.len(), || {
            ask(orphans.iter().cloned().map(Request::TakeBlock).collect());
        });
        say(Class::HeaderCheck, orphans[0].len(), cost);
    }

    ask(vec![Request::TakeBlock(mined(genesis.hash(), &payments, &ids))]);
    for height in [0, 1] {
        let mut bytes = 0;
        let cost = per(100, || {
            for answer in ask(vec![Request::Block(BlockKey::Height(height)); 100]) {
                let Answer::Block(Some(block)) = answer else { panic!("the block is there") };
                bytes = block.len();
                std::hint::black_box(block.to_vec());
            }
        });
        say(Class::Lookup, bytes, cost);
    }
    let unknown: Vec<Hash> = (0..1_000u64).map(|number| transaction_id(&number.to_be_bytes())).collect();
    say(
        Class::Announcement,
        0,
        per(unknown.len(), || {
            ask(vec![Request::MissingTransactions(unknown.clone())]);
        }),
    );

    let waiting: Vec<Bytes> =
        (TRANSACTIONS..2 * TRANSACTIONS).map(|number| Bytes::copy_from_slice(&payment(number))).collect();
    ask(vec![Request::TakeTransactions { transactions: waiting, origin: Origin::Peer }]);
    let mut bytes = 0;
    let cost = per(1, || {
        let answers = ask(vec![Request::Waiting { bytes_max: 32 << 20, overhead: 4 }]);
        let Some(Answer::Waiting(list)) = answers.first() else { panic!("a list was asked for") };
        bytes = std::hint::black_box(list.concat()).len();
    });
    say(Class::ListServed, bytes, cost);

    let mut random = Random::new([1; 32]);
    let cost = per(10_000, || {
        let mut book = Book::default();
        for number in 0..10_000u32 {
            let address = Address::new((0x0a00_0000 + number * 7919 % 0x00ff_ffff).to_be_bytes().into(), 7333);
            book.learn(address, None, 5_000, &mut random);
        }
    });
    say(Class::AddressLearn, 0, cost);
    Ok(())
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
