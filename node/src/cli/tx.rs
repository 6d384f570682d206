//! Sends transactions of the reference ledger: a small wallet for private networks.

use super::args::{Reach, TxSend};
use super::exit::Failure;
use super::{put_json, put_line};
use crate::api::Taken;
use crate::client::{AskError, Client};
use crate::data;
use crate::purses::network_id;
use crate::view;
use polypeer_ledger_reference::{Payment, Wallet};
use serde_json::json;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A pause between two looks for a transaction's block.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

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

/// The ledger of one network of a running node.
pub(super) struct Ledger<'a> {
    client: &'a Client,
    path: String,
    /// What its transactions are signed for.
    pub(super) id: [u8; 16],
}

impl<'a> Ledger<'a> {
    /// The one that is meant.
    pub(super) fn find(reach: &Reach, client: &'a Client) -> Result<Self, Failure> {
        let network = reach.network(client)?;
        let id = network.network_id.as_deref().and_then(network_id);
        let id = id.ok_or_else(|| Failure::new(format!("{} has no reference ledger", network.name)))?;
        Ok(Self { client, path: format!("/api/v1/networks/{}", network.name), id })
    }

    /// An account at the tip.
    pub(super) fn account(&self, key: &[u8; 32]) -> Result<view::Account, AskError> {
        self.client.get(&format!("{}/accounts/{}", self.path, const_hex::encode(key)))
    }

    /// Sends a transaction; its identifier.
    pub(super) fn send(&self, transaction: &[u8]) -> Result<String, AskError> {
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
