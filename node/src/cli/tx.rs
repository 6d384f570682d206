//! Sends transactions: a small wallet for private networks.

use super::args::{Reach, TxSend};
use super::exit::Failure;
use super::{put_json, put_line};
use crate::api::Taken;
use crate::client::{AskError, Client};
use crate::data;
use crate::purses::{Ledgers, Payment, Recipient, network_id, public_seed};
use crate::view;
use serde_json::json;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A pause between two looks for a transaction's block.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// `polypeer tx send`.
pub(super) fn send(args: &TxSend, json: bool) -> Result<(), Failure> {
    // What is wrong in itself is said before anybody is asked.
    let seed = seed(&args.from)?;
    let recipient = recipient(&args.to)?;
    let client = args.reach.client();
    let ledger = Ledger::find(&args.reach, &client)?;
    let purse = ledger.kind.purse(&seed).ok_or_else(|| Failure::new("the seed makes no key of this ledger"))?;
    let recipient = match recipient {
        To::Public(number) => ledger.kind.public(number).map(|purse| Recipient::Key(purse.key())),
        To::Named(recipient) => Some(recipient),
    };
    let recipient = recipient.ok_or_else(|| Failure::usage(TO))?;
    let sequence = match args.sequence {
        Some(sequence) => sequence,
        None => ledger.account(&purse.key())?.next,
    };
    let fee = args.fee.unwrap_or_else(|| ledger.kind.fee());
    let payment = Payment { recipient, amount: args.amount, fee, sequence };
    let transaction = purse.sign(&payment);
    let transaction = transaction.ok_or_else(|| Failure::usage("this ledger cannot say such a payment"))?;
    let id = ledger.send(&transaction)?;
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
    /// What its transactions are made for.
    pub(super) kind: Ledgers,
}

impl<'a> Ledger<'a> {
    /// The one that is meant.
    pub(super) fn find(reach: &Reach, client: &'a Client) -> Result<Self, Failure> {
        let network = reach.network(client)?;
        let kind = kind(&network);
        let kind = kind.ok_or_else(|| Failure::new(format!("{} has no accounts that pay", network.name)))?;
        Ok(Self { client, path: format!("/api/v1/networks/{}", network.name), kind })
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

fn kind(network: &view::Network) -> Option<Ledgers> {
    let id = network.network_id.as_deref()?;
    match &*network.protocol {
        "mina" => Some(Ledgers::Mina),
        "bumo" => Some(Ledgers::Bumo { chain_id: id.parse().ok()? }),
        _ => Some(Ledgers::Reference { id: network_id(id)? }),
    }
}

// The seed of whoever pays.
fn seed(from: &str) -> Result<[u8; 32], Failure> {
    match from.parse::<u8>() {
        Ok(number) => public_seed(number)
            .ok_or_else(|| Failure::usage("a public account is 1 to 16; a file with such a name is `./NAME`")),
        Err(_) => Ok(data::read_secret(Path::new(from))?),
    }
}

const TO: &str = "--to is a key of 64 hex digits, or 1 to 16 for a public account; on BUMO an address too";

// Who is paid, as far as that can be said without knowing the ledger.
enum To {
    Public(u8),
    Named(Recipient),
}

fn recipient(to: &str) -> Result<To, Failure> {
    if let Ok(number) = to.parse::<u8>() {
        return public_seed(number).map(|_| To::Public(number)).ok_or_else(|| Failure::usage(TO));
    }
    // No address is hex, whose letters end with f.
    if to.starts_with("bu") {
        return Ok(To::Named(Recipient::Address(to.to_owned())));
    }
    let mut key = [0; 32];
    const_hex::decode_to_slice(to, &mut key).map_err(|_| Failure::usage(TO))?;
    Ok(To::Named(Recipient::Key(key)))
}
