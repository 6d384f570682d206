//! Describes a network: its id, its genesis, its target (ledger spec, sections "Block" and "Private networks").

use crate::block::{self, BLOCK_VERSION, Header};
use crate::target::Target;
use crate::wallet::{PUBLIC_ACCOUNTS, Wallet};
use bytes::Bytes;
use polypeer_engine::kit::chain::Hash;
use thiserror::Error;

/// The two devnets' genesis time, milliseconds since 1970.
const DEVNET_TIME: u64 = 1_767_225_600_000;
/// The two devnets' target: about 256 tries a block.
const DEVNET_TARGET: [u8; 4] = [0x20, 0x00, 0xff, 0xff];
/// What each public account of the devnets starts with.
const DEVNET_BALANCE: u64 = 1_000_000_000;
/// The most accounts that a genesis may name. They are one hash and one commit; this is 40 MB of them.
const ACCOUNTS_MAX: usize = 1_000_000;

/// What makes a network of this ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkParameters {
    /// The name, 1 to 16 bytes of ASCII.
    pub network_id: String,
    /// The genesis block's time, milliseconds since 1970.
    pub genesis_time: u64,
    /// Every block's target, compact.
    pub target: [u8; 4],
    /// Who starts with how much, in any order, each key once.
    pub accounts: Vec<([u8; 32], u64)>,
}

impl NetworkParameters {
    /// The private AnYa network that anyone can join.
    pub fn anya_devnet() -> Self {
        Self::devnet("anya-devnet")
    }

    /// The private Hello network that anyone can join.
    pub fn hello_devnet() -> Self {
        Self::devnet("hello-devnet")
    }

    /// A network with the devnets' time, target and accounts under another name.
    pub fn devnet(network_id: &str) -> Self {
        let accounts = (1..=PUBLIC_ACCOUNTS).filter_map(Wallet::public_account);
        Self {
            network_id: network_id.to_owned(),
            genesis_time: DEVNET_TIME,
            target: DEVNET_TARGET,
            accounts: accounts.map(|wallet| (wallet.public_key(), DEVNET_BALANCE)).collect(),
        }
    }

    /// The 16 bytes that signatures and genesis blocks carry.
    ///
    /// # Errors
    /// [`ParametersError::NetworkId`].
    pub fn network_id_bytes(&self) -> Result<[u8; 16], ParametersError> {
        let name = self.network_id.as_bytes();
        if name.is_empty() || name.len() > 16 || !name.iter().all(u8::is_ascii_graphic) {
            return Err(ParametersError::NetworkId);
        }
        let mut bytes = [0; 16];
        bytes[..name.len()].copy_from_slice(name);
        Ok(bytes)
    }

    /// The network of these parameters, with its genesis block made.
    ///
    /// # Errors
    /// What of the parameters is out of range.
    pub fn build(&self) -> Result<Network, ParametersError> {
        let id = self.network_id_bytes()?;
        let target = Target::from_compact(self.target).ok_or(ParametersError::Target)?;
        if self.accounts.len() > ACCOUNTS_MAX {
            return Err(ParametersError::TooManyAccounts);
        }
        let mut accounts = self.accounts.clone();
        accounts.sort_unstable();
        if accounts.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err(ParametersError::AccountTwice);
        }
        let header = Header {
            version: BLOCK_VERSION,
            parent: Hash::ZERO,
            height: 0,
            time: self.genesis_time,
            root: genesis_root(&id, &accounts),
            producer: [0; 32],
            target: self.target,
            nonce: 0,
            reserved: [0; 4],
        };
        let genesis = Bytes::from(block::encode(&header, &[]));
        Ok(Network { id, target, genesis_hash: header.hash(), genesis, accounts })
    }
}

fn genesis_root(id: &[u8; 16], accounts: &[([u8; 32], u64)]) -> Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(id);
    for (key, balance) in accounts {
        hasher.update(key).update(&balance.to_be_bytes());
    }
    Hash(*hasher.finalize().as_bytes())
}

/// Why parameters make no network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ParametersError {
    /// The name is empty, longer than 16 bytes, or not printable ASCII.
    #[error("the network id must be 1 to 16 printable ASCII characters")]
    NetworkId,
    /// The target is above 2^256 - 1 or below 2^192.
    #[error("the target must be a compact number from 2^192 to 2^256 - 1")]
    Target,
    /// A key is named twice.
    #[error("an account is named twice")]
    AccountTwice,
    /// More than a million accounts.
    #[error("a genesis block names at most 1,000,000 accounts")]
    TooManyAccounts,
}

/// A network, ready to judge blocks.
#[derive(Clone, Debug)]
pub struct Network {
    pub(crate) id: [u8; 16],
    pub(crate) target: Target,
    pub(crate) genesis: Bytes,
    pub(crate) genesis_hash: Hash,
    /// Sorted by key.
    pub(crate) accounts: Vec<([u8; 32], u64)>,
}

impl Network {
    /// The network id, NUL padded.
    pub fn id(&self) -> [u8; 16] {
        self.id
    }

    /// The genesis block's bytes.
    pub fn genesis(&self) -> &Bytes {
        &self.genesis
    }

    /// The genesis block's hash.
    pub fn genesis_hash(&self) -> Hash {
        self.genesis_hash
    }

    /// The target of every block.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The work of a chain whose newest block has this height. Every block of a network has the same target, so that
    /// the chain with most work is the longest, and work needs no column in any table.
    pub fn chain_work(&self, height: u64) -> u128 {
        u128::from(self.target.work()) * (u128::from(height) + 1)
    }
}
