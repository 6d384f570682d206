//! Casts the networks of the reference ledger: AnYa and Hello differ in their protocol only.

mod witness;

pub use witness::{Lie, Witness};

use crate::cast::{Cast, Id, LedgerSeat};
use crate::disk::Disk;
use bytes::Bytes;
use polypeer_engine::Protocol;
use polypeer_engine::kit::chain::{Answer, ChainFormat, Hash, Origin, Request};
use polypeer_ledger_reference::{Config, Format, Limits, NetworkParameters, Payment, Producer, Reference, Wallet};

/// How long after genesis a world begins, in milliseconds: blocks of ten minutes may be in the past.
const AFTER_GENESIS_MS: u64 = 600_000;
/// A node's page cache, in bytes: a thousand nodes must fit.
const CACHE_BYTES: usize = 256 << 10;
/// Accounts that pay: each node below this number has one of its own, so that nobody's sequence depends on another.
const AUTHORS_MAX: usize = 64;
/// What each of them starts with.
const BALANCE: u64 = 1_000_000_000;

/// A private network of the reference ledger whose nodes speak `P`.
pub struct Chain<P: Protocol> {
    parameters: NetworkParameters,
    network_id: [u8; 16],
    config: P::Config,
    wallets: Vec<Wallet>,
}

impl<P: Protocol<Request = Request, Answer = Answer>> Chain<P> {
    /// A network of this name, 1 to 16 bytes of ASCII. `config` makes the protocol's section from the ledger's
    /// parameters.
    ///
    /// # Errors
    /// What of the name or the section is out of range.
    pub fn new<E: From<polypeer_ledger_reference::ParametersError>>(
        name: &str,
        config: impl FnOnce(&NetworkParameters) -> Result<P::Config, E>,
    ) -> Result<Self, E> {
        let wallets: Vec<Wallet> = (0..AUTHORS_MAX).map(|author| Wallet::new(&secret(author))).collect();
        let accounts = wallets.iter().map(|wallet| (wallet.public_key(), BALANCE)).collect();
        let parameters = NetworkParameters { accounts, ..NetworkParameters::devnet(name) };
        let network_id = parameters.network_id_bytes()?;
        let config = config(&parameters)?;
        Ok(Self { parameters, network_id, config, wallets })
    }
}

impl<P: Protocol<Request = Request, Answer = Answer>> Cast for Chain<P> {
    type Protocol = P;
    type Ledger = Witness;

    fn config(&self, _: usize) -> P::Config {
        self.config.clone()
    }

    fn epoch_ms(&self) -> u64 {
        self.parameters.genesis_time + AFTER_GENESIS_MS
    }

    fn open(&self, disk: &Disk, seat: &LedgerSeat) -> Result<Witness, String> {
        let mut key = [1; 32];
        key[..8].copy_from_slice(&(seat.node as u64).to_be_bytes());
        let producer = seat.block_interval.map(|interval| Producer { key, interval, seed: seat.seed });
        let limits = Limits { cache_bytes: CACHE_BYTES, ..Limits::default() };
        let config = Config { path: None, network: self.parameters.clone(), producer, limits };
        let (ledger, reader) = Reference::open_with_backend(disk.clone(), config).map_err(|error| error.to_string())?;
        Ok(Witness::new(ledger, reader, seat.lie, key))
    }

    fn publish(&self, author: usize, nth: u64) -> Option<(Request, Id)> {
        let wallet = self.wallets.get(author)?;
        let recipient = self.wallets[(author + 1) % self.wallets.len()].public_key();
        let payment = Payment { recipient, amount: 1, fee: 1, sequence: nth };
        let bytes = Bytes::copy_from_slice(&wallet.sign(&self.network_id, &payment));
        let Hash(id) = Format::transaction_id(&bytes);
        Some((Request::TakeTransactions { transactions: vec![bytes], origin: Origin::Operator }, id))
    }
}

fn secret(author: usize) -> [u8; 32] {
    *blake3::hash(&[b"simulated author ", &author.to_be_bytes()[..]].concat()).as_bytes()
}
