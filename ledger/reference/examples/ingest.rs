//! Measures how fast the ledger takes a chain, and how soon it serves after a kill.
//!
//! `cargo run --release -p polypeer-ledger-reference --example ingest [-- FOLDER]`; the folder (default: the system's
//! temporary one) decides which disk is measured. Each figure is one run on whatever else the machine does.

use bytes::Bytes;
use polypeer_engine::kit::chain::{Answer, BlockOutcome, Hash, Request};
use polypeer_engine::{Ledger, Now, Ticket, Time};
use polypeer_ledger_reference::{
    Config, HEADER_BYTES, Header, NetworkParameters, Payment, Reference, TransactionBytes, Wallet, encode_block,
    merkle_root, transaction_id,
};
use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

const EMPTY_BLOCKS: u64 = 100_000;
const FULL_BLOCKS: u64 = 2_000;
const TRANSACTIONS: u64 = 500;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let first = arguments.next();
    if first.as_deref() == Some("--ingest") {
        let path = PathBuf::from(arguments.next().ok_or("a path is missing")?);
        let plan = arguments.next().ok_or("a plan is missing")?;
        return ingest_and_wait(&path, &plan);
    }
    let folder = first.map_or_else(std::env::temp_dir, PathBuf::from);
    found(&folder)?;
    for (plan, batch) in [("empty", 100), ("empty", 500), ("empty", 2_000), ("full", 4), ("full", 32)] {
        run(&folder, plan, batch)?;
    }
    Ok(())
}

/// Opens a new ledger, and says what that costs.
fn found(folder: &Path) -> Result<(), Box<dyn Error>> {
    let path = folder.join(format!("found-{}.redb", std::process::id()));
    let before = memory("VmRSS:");
    let started = Instant::now();
    let (mut ledger, _reader) = Reference::open(config(&path))?;
    let founded = started.elapsed();
    take(&mut ledger, &chain(1, 0)?)?;
    println!(
        "a new store opens in {:.1} ms; memory {before} before, {} with one block; file {} KiB",
        founded.as_secs_f64() * 1e3,
        memory("VmRSS:"),
        std::fs::metadata(&path)?.len() >> 10,
    );
    drop(ledger);
    Ok(std::fs::remove_file(&path)?)
}

/// Lets a child take the chain, kills it, and opens what it left.
fn run(folder: &Path, plan: &str, batch: usize) -> Result<(), Box<dyn Error>> {
    let path = folder.join(format!("ingest-{}.redb", std::process::id()));
    let mut child = Command::new(std::env::current_exe()?)
        .args(["--ingest".as_ref(), path.as_os_str(), format!("{plan}:{batch}").as_ref()])
        .stdout(Stdio::piped())
        .spawn()?;
    let mut said = String::new();
    BufReader::new(child.stdout.take().ok_or("no pipe")?).read_line(&mut said)?;
    child.kill()?;
    child.wait()?;
    let bytes = std::fs::metadata(&path)?.len();
    let started = Instant::now();
    let (ledger, reader) = Reference::open(config(&path))?;
    let opened = started.elapsed();
    let height = reader.tip().height;
    println!(
        "{plan:5} batch={batch:<5} {}  file={:.1} MiB  reopened after kill in {:.1} ms at height {height}",
        said.trim(),
        bytes as f64 / (1 << 20) as f64,
        opened.as_secs_f64() * 1e3,
    );
    drop(ledger);
    std::fs::remove_file(&path)?;
    Ok(())
}

fn config(path: &Path) -> Config {
    Config { path: Some(path.to_owned()), ..Config::in_memory(NetworkParameters::anya_devnet()) }
}

/// Takes a chain, says how fast, and waits to be killed.
fn ingest_and_wait(path: &Path, plan: &str) -> Result<(), Box<dyn Error>> {
    let (kind, batch) = plan.split_once(':').ok_or("a plan is kind:batch")?;
    let (count, transactions) = if kind == "empty" { (EMPTY_BLOCKS, 0) } else { (FULL_BLOCKS, TRANSACTIONS) };
    let chain = chain(count, transactions)?;
    let (mut ledger, _reader) = Reference::open(config(path))?;
    eprintln!("the chain is made");
    let (started, worked) = (Instant::now(), processor_seconds());
    for blocks in chain.chunks(batch.parse()?) {
        take(&mut ledger, blocks)?;
    }
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{:>8.0} blocks/s {:>8.0} transactions/s, {:.1} us of processor time a block, peak memory {}",
        count as f64 / seconds,
        (count * transactions) as f64 / seconds,
        (processor_seconds() - worked) * 1e6 / count as f64,
        memory("VmHWM:"),
    );
    std::io::stdout().flush()?;
    loop {
        std::thread::park();
    }
}

/// What this process has used of all processors, from its user and system ticks of a hundredth of a second.
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = after_name.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    ticks as f64 / 100.0
}

fn memory(which: &str) -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(which));
    line.map_or_else(|| "unknown".to_owned(), |size| size.trim().to_owned())
}

fn take(ledger: &mut Reference, blocks: &[Bytes]) -> Result<(), Box<dyn Error>> {
    let now = Now { monotonic: Time::ZERO, unix_ms: u64::MAX / 2 };
    let requests = blocks.iter().map(|block| (Ticket(0), Request::TakeBlock(block.clone()))).collect();
    let mut answers = Vec::new();
    ledger.answer(now, requests, &mut answers);
    let accepted = answers
        .iter()
        .filter(|(_, answer)| matches!(answer, Answer::BlockTaken { outcome: BlockOutcome::Accepted, .. }))
        .count();
    if accepted == blocks.len() { Ok(()) } else { Err(format!("{accepted} of {} accepted", blocks.len()).into()) }
}

/// A chain of `count` blocks with as many transactions each, of all sixteen accounts in turn.
fn chain(count: u64, transactions: u64) -> Result<Vec<Bytes>, Box<dyn Error>> {
    let network = NetworkParameters::anya_devnet().build()?;
    let header_bytes = network.genesis().first_chunk::<HEADER_BYTES>().ok_or("genesis has a header")?;
    let mut header = Header::decode(header_bytes);
    let wallets: Vec<Wallet> = (1..=16).filter_map(Wallet::public_account).collect();
    let mut next: u64 = 0;
    let mut blocks = Vec::new();
    for _ in 0..count {
        let body: Vec<TransactionBytes> = (0..transactions)
            .map(|_| {
                let (turn, sequence) = (next % 16, next / 16);
                next += 1;
                // A recipient of its own for each of the first payments, then the same again.
                let mut recipient = [7; 32];
                recipient[..8].copy_from_slice(&(next % 10_000).to_be_bytes());
                let payment = Payment { recipient, amount: 1, fee: 1, sequence };
                wallets[turn as usize].sign(&network.id(), &payment)
            })
            .collect();
        let ids: Vec<Hash> = body.iter().map(|bytes| transaction_id(bytes)).collect();
        header = Header {
            parent: header.hash(),
            height: header.height + 1,
            time: header.time + 1_000,
            root: merkle_root(&ids),
            producer: [9; 32],
            nonce: 0,
            ..header
        };
        while !network.target().is_met_by(&header.hash().0) {
            header.nonce += 1;
        }
        blocks.push(encode_block(&header, &body).into());
    }
    Ok(blocks)
}
