//! Makes the chains that are synced, and keeps them for the next run.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use polypeer_engine::kit::chain::{Answer, BlockOutcome, Hash, Request};
use polypeer_engine::{Ledger, Now, Ticket, Time};
use polypeer_ledger_reference::{
    Config, Header, NetworkParameters, PUBLIC_ACCOUNTS, Payment, Reference, TransactionBytes, Wallet, encode_block,
    merkle_root, transaction_id,
};
use std::fs;
use std::path::{Path, PathBuf};

/// A chain to make.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Its private network.
    pub(crate) network: &'static str,
    /// Its blocks, genesis not counted.
    pub(crate) blocks: u64,
    /// Transactions in each.
    pub(crate) transactions: u64,
}

/// Bytes of blocks that the ledger gets at once.
const BATCH_BYTES: usize = 8 << 20;

impl Plan {
    fn parameters(&self) -> NetworkParameters {
        NetworkParameters::devnet(self.network)
    }

    /// A data folder that holds the chain, made now or by an earlier run.
    pub(crate) fn folder(&self, cache: &Path) -> Result<PathBuf> {
        let name = format!("{}-{}-blocks-{}-transactions", self.network, self.blocks, self.transactions);
        let folder = cache.join(&name);
        if self.is_whole(&folder) {
            return Ok(folder);
        }
        eprintln!("making {name}");
        // Under another name until it is whole.
        let unfinished = cache.join(format!("{name}.unfinished"));
        for old in [&folder, &unfinished] {
            if old.exists() {
                fs::remove_dir_all(old)?;
            }
        }
        fs::create_dir_all(unfinished.join(self.network))?;
        self.make(&chain_file(&unfinished, self.network))?;
        fs::rename(&unfinished, &folder)?;
        Ok(folder)
    }

    // Whether an earlier run left the chain, in a form that today's ledger reads.
    fn is_whole(&self, folder: &Path) -> bool {
        let path = chain_file(folder, self.network);
        if !path.exists() {
            return false;
        }
        let opened = Reference::open(Config { path: Some(path), ..Config::in_memory(self.parameters()) });
        opened.is_ok_and(|(_, reader)| reader.tip().height == self.blocks)
    }

    fn make(&self, file: &Path) -> Result<()> {
        let config = Config { path: Some(file.to_owned()), ..Config::in_memory(self.parameters()) };
        let (mut ledger, reader) = Reference::open(config)?;
        let mut maker = Maker::new(self)?;
        let mut batch = Vec::new();
        let mut bytes = 0;
        for height in 1..=self.blocks {
            let block = maker.block();
            bytes += block.len();
            batch.push((Ticket(height), Request::TakeBlock(block)));
            if bytes > BATCH_BYTES || height == self.blocks {
                take(&mut ledger, std::mem::take(&mut batch))?;
                bytes = 0;
            }
        }
        let height = reader.tip().height;
        ensure!(height == self.blocks, "the ledger took {height} blocks of {}", self.blocks);
        Ok(())
    }
}

/// Where a node's data folder keeps a network's chain.
pub(crate) fn chain_file(folder: &Path, network: &str) -> PathBuf {
    folder.join(network).join("chain.redb")
}

fn take(ledger: &mut Reference, batch: Vec<(Ticket, Request)>) -> Result<()> {
    let unix_ms = std::time::UNIX_EPOCH.elapsed().context("a clock before 1970")?.as_millis() as u64;
    let mut answers = Vec::new();
    ledger.answer(Now { monotonic: Time::ZERO, unix_ms }, batch, &mut answers);
    for (_, answer) in answers {
        if let Answer::BlockTaken { hash, outcome } = answer {
            ensure!(outcome == BlockOutcome::Accepted, "the ledger says of {hash}: {outcome:?}");
        }
    }
    Ok(())
}

/// Makes one block after another.
struct Maker {
    parameters: NetworkParameters,
    network_id: [u8; 16],
    wallets: Vec<Wallet>,
    transactions: u64,
    signed: u64,
    parent: Hash,
    height: u64,
}

impl Maker {
    fn new(plan: &Plan) -> Result<Self> {
        let parameters = plan.parameters();
        let network = parameters.build()?;
        Ok(Self {
            network_id: network.id(),
            wallets: (1..=PUBLIC_ACCOUNTS).filter_map(Wallet::public_account).collect(),
            transactions: plan.transactions,
            signed: 0,
            parent: network.genesis_hash(),
            height: 0,
            parameters,
        })
    }

    fn block(&mut self) -> Bytes {
        let transactions: Vec<TransactionBytes> = (0..self.transactions).map(|_| self.transaction()).collect();
        let ids: Vec<Hash> = transactions.iter().map(|transaction| transaction_id(transaction)).collect();
        self.height += 1;
        let mut header = Header {
            version: 1,
            parent: self.parent,
            height: self.height,
            time: self.parameters.genesis_time + self.height,
            root: merkle_root(&ids),
            producer: [7; 32],
            target: self.parameters.target,
            nonce: 0,
            reserved: [0; 4],
        };
        // The devnets' target: a zero byte and one below 0xff, 256 tries on average.
        let target = polypeer_ledger_reference::Target::from_compact(self.parameters.target);
        while !target.is_some_and(|target| target.is_met_by(&header.hash().0)) {
            header.nonce += 1;
        }
        self.parent = header.hash();
        encode_block(&header, &transactions).into()
    }

    // Everyone pays their neighbour in turn.
    fn transaction(&mut self) -> TransactionBytes {
        let accounts = self.wallets.len() as u64;
        let (sender, sequence) = ((self.signed % accounts) as usize, self.signed / accounts);
        self.signed += 1;
        let recipient = self.wallets[(sender + 1) % self.wallets.len()].public_key();
        self.wallets[sender].sign(&self.network_id, &Payment { recipient, amount: 1, fee: 1, sequence })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_is_made_once_and_the_ledger_takes_it() {
        let cache = tempfile::tempdir().unwrap();
        let plan = Plan { network: "anya-devnet", blocks: 5, transactions: 20 };
        let folder = plan.folder(cache.path()).unwrap();
        assert!(plan.is_whole(&folder) && !Plan { blocks: 6, ..plan }.is_whole(&folder));
        let made = fs::metadata(&folder).unwrap().modified().unwrap();
        assert_eq!(plan.folder(cache.path()).unwrap(), folder);
        assert_eq!(fs::metadata(&folder).unwrap().modified().unwrap(), made);
        fs::write(chain_file(&folder, plan.network), "damaged").unwrap();
        assert!(!plan.is_whole(&folder));
        assert!(plan.is_whole(&plan.folder(cache.path()).unwrap()));
    }
}
