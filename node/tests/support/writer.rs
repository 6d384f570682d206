//! Writes through the real ledger and the real peer store, step by step, and can tell what must be there.

use bytes::Bytes;
use polypeer::chain::{Answer, BlockKey, BlockOutcome, Hash, Origin, Request, TransactionOutcome};
use polypeer::engine::{Ledger, Now, Record, Table, Ticket, To};
use polypeer::reference::{
    Config, Header, NetworkParameters, Payment, Reader, Reference, Target, Wallet, encode_block, merkle_root,
    transaction_id,
};
use polypeer::store::{StorageBackend, Store};
use redb::backends::FileBackend;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const TARGET: [u8; 4] = [0x20, 0x00, 0xff, 0xff];
const GENESIS_TIME: u64 = 1_767_225_600_000;
const NETWORK: &[u8; 16] = b"anya-devnet\0\0\0\0\0";
/// Records of a step.
const RECORDS: u64 = 4;

/// A ledger and a store. Step `n` makes the block of height `n`, with a payment that was accepted before it, and then
/// keeps the records of number `n`; only then it is acknowledged.
pub(crate) struct Writer {
    ledger: Reference,
    reader: Reader,
    store: Store,
    tickets: u64,
}

impl Writer {
    /// Opens both files; with a number, the process dies in the middle of that storage call.
    pub(crate) fn open(folder: &Path, dies_in: Option<u64>) -> Self {
        let (chain, peers) = (folder.join("chain.redb"), folder.join("peers.redb"));
        let config = Config::in_memory(NetworkParameters::anya_devnet());
        let ((ledger, reader), store) = match dies_in {
            Some(calls) => {
                // What makes a file, whole or not at all, is the stores' own door to it.
                if !chain.exists() || !peers.exists() {
                    drop(Self::open(folder, None));
                }
                let left = Arc::new(AtomicU64::new(calls));
                let ledger = Reference::open_with_backend(Dying::on(&chain, &left), config).unwrap();
                (ledger, Store::open_with_backend(Dying::on(&peers, &left)).unwrap())
            }
            None => {
                let config = Config { path: Some(chain), ..config };
                (Reference::open(config).unwrap(), Store::open(&peers).unwrap())
            }
        };
        assert!(!ledger.was_repaired() && !store.was_repaired(), "a kill damages nothing");
        Self { ledger, reader, store, tickets: 0 }
    }

    fn ask(&mut self, request: Request) -> Answer {
        self.tickets += 1;
        let now = Now { unix_ms: GENESIS_TIME + 86_400_000_000, ..Now::default() };
        let mut answers = Vec::new();
        self.ledger.answer(now, vec![(Ticket(self.tickets), request)], &mut answers);
        answers.into_iter().find_map(|(to, answer)| matches!(to, To::Asker(_)).then_some(answer)).unwrap()
    }

    /// Does the next step and gives its number: all of it is durable.
    pub(crate) fn step(&mut self) -> u64 {
        let tip = self.reader.tip();
        let number = tip.height + 1;
        let payment = payment(number);
        let transactions = vec![Bytes::copy_from_slice(&payment)];
        match self.ask(Request::TakeTransactions { transactions, origin: Origin::Operator }) {
            Answer::TransactionsTaken(taken) => {
                // The one before may have died between this and its block.
                assert!(matches!(taken[0].1, TransactionOutcome::Accepted | TransactionOutcome::Known), "{taken:?}");
            }
            other => panic!("{other:?}"),
        }
        let block = block(tip.hash, number);
        match self.ask(Request::TakeBlock(block)) {
            Answer::BlockTaken { outcome: BlockOutcome::Accepted, .. } => {}
            other => panic!("{other:?}"),
        }
        self.store.save(&records(number).collect::<Vec<_>>()).unwrap();
        number
    }

    /// Whether all up to step `told` is there, whole, and nothing that was never done; the last step that is there.
    pub(crate) fn check(&mut self, told: u64) -> Result<u64, String> {
        let height = self.reader.tip().height;
        if height < told {
            return Err(format!("the chain ends at {height}"));
        }
        if height > told + 1 {
            return Err(format!("the chain ends at {height}, which nobody did"));
        }
        let mut parent = self.reader.block(&BlockKey::Height(0)).ok_or("no genesis")?.hash;
        for number in 1..=height {
            let found = self.reader.block(&BlockKey::Height(number)).ok_or(format!("block {number} is gone"))?;
            if found.bytes != block(parent, number) {
                return Err(format!("block {number} is another"));
            }
            let id = transaction_id(&payment(number));
            let paid = self.reader.transaction(&id).ok_or(format!("payment {number} is gone"))?;
            if paid.height != Some(number) {
                return Err(format!("payment {number} is at {:?}", paid.height));
            }
            parent = found.hash;
        }
        let balance = self.reader.account(&wallet(2).public_key()).balance;
        if balance != 1_000_000_000 + 5 * height {
            return Err(format!("{balance} after {height} payments"));
        }
        // The records of the block that was not acknowledged yet may be missing, as a whole.
        let kept = self.store.load().map_err(|error| error.to_string())?;
        if !(kept.len() as u64).is_multiple_of(RECORDS)
            || kept.len() as u64 / RECORDS < told.max(height.saturating_sub(1))
        {
            return Err(format!("{} records after step {told}", kept.len()));
        }
        let expected: Vec<Record> = (1..=kept.len() as u64 / RECORDS).flat_map(records).collect();
        if kept != expected {
            return Err("records are not those that were kept".into());
        }
        if height as usize * RECORDS as usize > kept.len() {
            // As the step itself would have done next.
            self.store.save(&records(height).collect::<Vec<_>>()).map_err(|error| error.to_string())?;
        }
        Ok(height)
    }
}

fn wallet(account: u8) -> Wallet {
    Wallet::public_account(account).unwrap()
}

fn payment(number: u64) -> [u8; 153] {
    let payment = Payment { recipient: wallet(2).public_key(), amount: 5, fee: 1, sequence: number - 1 };
    wallet(1).sign(NETWORK, &payment)
}

/// The one block of this number on this parent.
fn block(parent: Hash, number: u64) -> Bytes {
    let payment = payment(number);
    let mut header = Header {
        version: 1,
        parent,
        height: number,
        time: GENESIS_TIME + 1_000 * number,
        root: merkle_root(&[transaction_id(&payment)]),
        producer: [9; 32],
        target: TARGET,
        nonce: 0,
        reserved: [0; 4],
    };
    let target = Target::from_compact(TARGET).unwrap();
    while !target.is_met_by(&header.hash().0) {
        header.nonce += 1;
    }
    encode_block(&header, &[payment]).into()
}

fn records(number: u64) -> impl Iterator<Item = Record> + use<> {
    (0..RECORDS).map(move |place| Record {
        table: Table::Addresses,
        key: Bytes::copy_from_slice(&(number * RECORDS + place).to_be_bytes()),
        value: Some(Bytes::copy_from_slice(&[number as u8; 60])),
    })
}

/// A line that says so, and how long it is: one that a kill cut does not count.
pub(crate) fn acknowledge(number: u64) -> String {
    let text = format!("ack {number}");
    format!("{text} {}", text.len())
}

/// The number of a whole line.
pub(crate) fn acknowledgement(line: &str) -> Option<u64> {
    let (text, length) = line.trim().rsplit_once(' ')?;
    (length.parse() == Ok(text.len())).then(|| text.strip_prefix("ack ")?.parse().ok())?
}

/// A file that kills its process in the middle of a call, with half of a write done.
#[derive(Debug)]
struct Dying {
    file: FileBackend,
    left: Arc<AtomicU64>,
}

impl Dying {
    fn on(path: &Path, left: &Arc<AtomicU64>) -> Self {
        let file = File::options().read(true).write(true).create(true).truncate(false).open(path).unwrap();
        Self { file: FileBackend::new(file).unwrap(), left: left.clone() }
    }

    fn is_last(&self) -> bool {
        self.left.fetch_sub(1, Ordering::Relaxed) == 1
    }

    fn die() -> ! {
        let own = rustix::process::getpid();
        rustix::process::kill_process(own, rustix::process::Signal::KILL).unwrap();
        unreachable!("nobody survives this")
    }
}

impl StorageBackend for Dying {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        if self.is_last() {
            Self::die();
        }
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.is_last() {
            Self::die();
        }
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        if self.is_last() {
            self.file.write(offset, &data[..data.len() / 2])?;
            Self::die();
        }
        self.file.write(offset, data)
    }
}
