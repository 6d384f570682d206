//! Sends transactions of the reference ledger: a small wallet for private networks.

use super::args::{Reach, TxGenerate, TxSend};
use super::ask::is_refused_for;
use super::exit::Failure;
use super::{put_json, put_line};
use crate::api::Taken;
use crate::client::{AskError, Client};
use crate::data;
use crate::purses::{Draft, Purses, network_id};
use crate::view;
use polypeer_ledger_reference::{Payment, Wallet};
use serde_json::json;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A pause between two looks for a transaction's block.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// How often progress is shown and the accounts' counts are read.
const PACE: Duration = Duration::from_secs(1);
/// A pause when every account waits for blocks, or the node for its store.
const FULL_PAUSE: Duration = Duration::from_millis(50);
/// A generator that is behind its rate does not catch up more than this: a stall must not become a flood.
const BURST_MAX: Duration = Duration::from_millis(250);

/// `polypeer tx send`.
pub(super) fn send(args: &TxSend, json: bool) -> Result<(), Failure> {
    let wallet = wallet(&args.from)?;
    let recipient = key(&args.to)?;
    let client = args.reach.client();
    let ledger = Ledger::find(&args.reach, &client)?;
    let sequence = match args.sequence {
        Some(sequence) => sequence,
        None => ledger.account(&wallet.public_key())?.next,
    };
    let payment = Payment { recipient, amount: args.amount, fee: args.fee, sequence };
    let id = ledger.send(&wallet.sign(&ledger.id, &payment))?;
    let block = args.wait.map(|wait| ledger.wait_for(&id, wait)).transpose()?;
    match (json, block) {
        (true, block) => put_json(&json!({ "id": id, "sequence": sequence, "block": block })),
        (false, _) => put_line(&id),
    }
}

/// `polypeer tx generate`.
pub(super) fn generate(args: &TxGenerate, json: bool) -> Result<(), Failure> {
    let client = args.reach.client();
    let ledger = Ledger::find(&args.reach, &client)?;
    let mut generator = Generator {
        purses: Purses::public(ledger.id, args.accounts),
        ledger,
        sent: 0,
        refused: 0,
        json,
        is_terminal: io::stderr().is_terminal(),
    };
    generator.run(args)?;
    generator.report("done")
}

struct Generator<'a> {
    purses: Purses,
    ledger: Ledger<'a>,
    sent: u64,
    refused: u64,
    json: bool,
    is_terminal: bool,
}

impl Generator<'_> {
    fn run(&mut self, args: &TxGenerate) -> Result<(), Failure> {
        if args.rate <= 0.0 {
            return Err(Failure::usage("--rate must be more than 0"));
        }
        let gap = Duration::from_secs_f64(1.0 / args.rate);
        let end = args.time.map(|time| Instant::now() + time);
        let count = args.count.unwrap_or(u64::MAX);
        let (mut due, mut report_due) = (Instant::now(), Instant::now() + PACE);
        for (purse, key) in self.purses.keys().iter().enumerate() {
            let account = self.ledger.account(key)?;
            self.purses.restart(purse, account.sequence, account.next);
        }
        while self.sent < count && end.is_none_or(|end| due < end) {
            sleep(due.saturating_duration_since(Instant::now()));
            match self.purses.draft() {
                Some(draft) => self.send(&draft)?,
                None => {
                    sleep(FULL_PAUSE);
                    self.count()?;
                }
            }
            due = (due + gap).max(Instant::now().checked_sub(BURST_MAX).unwrap_or(due));
            if Instant::now() >= report_due {
                report_due += PACE;
                self.count()?;
                self.progress()?;
            }
        }
        Ok(())
    }

    fn send(&mut self, draft: &Draft) -> Result<(), Failure> {
        match self.ledger.send(&draft.bytes) {
            Ok(_) => {
                self.purses.taken(draft.purse);
                self.sent += 1;
            }
            Err(error) if is_refused_for(&error, &["replacement_fee_too_low"]) => self.purses.collided(draft.purse),
            Err(error) if is_refused_for(&error, &["sequence"]) => {
                self.refused += 1;
                let account = self.ledger.account(&self.purses.keys()[draft.purse])?;
                self.purses.restart(draft.purse, account.sequence, account.next);
            }
            Err(error) if is_refused_for(&error, &["no_room", "balance"]) => {
                self.refused += 1;
                sleep(FULL_PAUSE);
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    // Reads how far the chain has come.
    fn count(&mut self) -> Result<(), Failure> {
        for (purse, key) in self.purses.keys().iter().enumerate() {
            self.purses.confirmed(purse, self.ledger.account(key)?.sequence);
        }
        Ok(())
    }

    fn progress(&self) -> Result<(), Failure> {
        if self.json {
            return self.report("progress");
        }
        if self.is_terminal {
            // A terminal that is gone shows nothing; the work goes on.
            let _ = write!(io::stderr(), "\r{} sent, {} refused", self.sent, self.refused);
        }
        Ok(())
    }

    fn report(&self, event: &str) -> Result<(), Failure> {
        let (sent, refused) = (self.sent, self.refused);
        if self.json {
            return put_json(&json!({ "event": event, "sent": sent, "refused": refused }));
        }
        if self.is_terminal {
            eprintln!();
        }
        put_line(&format!("{sent} sent, {refused} refused"))
    }
}

/// The ledger of one network of a running node.
struct Ledger<'a> {
    client: &'a Client,
    path: String,
    id: [u8; 16],
}

impl<'a> Ledger<'a> {
    fn find(reach: &Reach, client: &'a Client) -> Result<Self, Failure> {
        let network = reach.network(client)?;
        let id = network.network_id.as_deref().and_then(network_id);
        let id = id.ok_or_else(|| Failure::new(format!("{} has no reference ledger", network.name)))?;
        Ok(Self { client, path: format!("/api/v1/networks/{}", network.name), id })
    }

    fn account(&self, key: &[u8; 32]) -> Result<view::Account, AskError> {
        self.client.get(&format!("{}/accounts/{}", self.path, const_hex::encode(key)))
    }

    fn send(&self, transaction: &[u8]) -> Result<String, AskError> {
        let body = json!({ "hex": const_hex::encode(transaction) });
        let taken: Taken = self.client.post(&format!("{}/transactions", self.path), &body)?;
        Ok(taken.id)
    }

    fn wait_for(&self, id: &str, wait: Duration) -> Result<String, Failure> {
        let end = Instant::now() + wait;
        loop {
            let found: view::Transaction = self.client.get(&format!("{}/transactions/{id}", self.path))?;
            match found.block {
                Some(block) => return Ok(block),
                None if Instant::now() >= end => {
                    let text =
                        format!("{id} is sent, but in no block yet; `polypeer status` shows whether blocks are made");
                    return Err(Failure::new(text));
                }
                None => sleep(LOOK_AGAIN),
            }
        }
    }
}

fn wallet(from: &str) -> Result<Wallet, Failure> {
    if let Ok(number) = from.parse::<u8>() {
        let wallet = Wallet::public_account(number);
        return wallet
            .ok_or_else(|| Failure::usage("a public account is 1 to 16; a file with such a name is `./NAME`"));
    }
    Ok(Wallet::new(&data::read_secret(Path::new(from))?))
}

fn key(to: &str) -> Result<[u8; 32], Failure> {
    if to.len() < 64 {
        let wallet = to.parse::<u8>().ok().and_then(Wallet::public_account);
        let wallet =
            wallet.ok_or_else(|| Failure::usage("--to is a key of 64 hex digits, or 1 to 16 for a public account"));
        return wallet.map(|wallet| wallet.public_key());
    }
    let mut key = [0; 32];
    const_hex::decode_to_slice(to, &mut key)
        .map_err(|_| Failure::usage("--to is a key of 64 hex digits, or 1 to 16 for a public account"))?;
    Ok(key)
}
