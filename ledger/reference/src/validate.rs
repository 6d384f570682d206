//! Applies the rules: what makes a block or a transaction wrong, and what a right one does to the accounts (ledger
//! spec, sections "Transaction" and "Block").

use crate::block::{self, BLOCK_VERSION, Header};
use crate::parameters::Network;
use crate::tables::{Account, Result};
use crate::transaction::{self, Transaction, TransactionBytes};
use bytes::Bytes;
use polypeer_engine::kit::chain::{BlockFault, Hash, TransactionFault};

/// What a block's producer gets besides the fees.
pub const REWARD: u64 = 50;
/// How many blocks the median time looks back on.
pub const MEDIAN_BLOCKS: usize = 11;
/// How far ahead of our clock a block's time may be, milliseconds; from there on it is held.
pub const AHEAD_MS: u64 = 120_000;

/// What a block's bytes say on their own.
#[derive(Debug)]
pub(crate) enum Examined {
    /// Shape, proof of work and root are right.
    Block(Candidate),
    /// The genesis block's header, with the right body or not.
    Genesis { right: bool },
    /// Wrong whatever the state. `costly` when the header's proof of work was paid for all the same, so that
    /// remembering the hash cannot be made to fill memory.
    Wrong { hash: Hash, fault: BlockFault, costly: bool },
}

impl Examined {
    /// The block's hash; zero when the bytes are no block.
    pub(crate) fn hash(&self, network: &Network) -> Hash {
        match self {
            Self::Block(block) => block.hash,
            Self::Genesis { .. } => network.genesis_hash,
            Self::Wrong { hash, .. } => *hash,
        }
    }
}

/// A block whose shape, proof of work and root are right.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) hash: Hash,
    pub(crate) header: Header,
    pub(crate) bytes: Bytes,
    pub(crate) ids: Vec<Hash>,
    /// Whether its signatures verify, where that was looked at already.
    pub(crate) signatures: Option<bool>,
}

impl Candidate {
    /// A block that the store held, so that its rules need no second look.
    pub(crate) fn stored(bytes: Bytes, signatures: Option<bool>) -> Option<Self> {
        let (header, transactions) = block::split(&bytes)?;
        let ids = transactions.iter().map(|bytes| transaction::id(bytes)).collect();
        let (hash, header) = (block::header_hash(header), Header::decode(header));
        Some(Self { hash, header, ids, bytes, signatures })
    }

    /// Its transactions' bytes.
    pub(crate) fn transactions(&self) -> &[TransactionBytes] {
        block::split(&self.bytes).map_or(&[], |(_, transactions)| transactions)
    }
}

/// Checks everything that needs no state: cheap things first, proof of work before the body is hashed.
pub(crate) fn examine(network: &Network, bytes: &Bytes) -> Examined {
    let Some((header_bytes, transactions)) = block::split(bytes) else {
        return Examined::Wrong { hash: Hash::ZERO, fault: BlockFault::Body, costly: false };
    };
    let hash = block::header_hash(header_bytes);
    if hash == network.genesis_hash {
        return Examined::Genesis { right: *bytes == network.genesis };
    }
    let header = Header::decode(header_bytes);
    let costly = network.target.is_met_by(&hash.0);
    if !costly || !header_stands_alone(network, &header) {
        return Examined::Wrong { hash, fault: BlockFault::Header, costly };
    }
    let ids: Vec<Hash> = transactions.iter().map(|bytes| transaction::id(bytes)).collect();
    if block::merkle_root(&ids) != header.root {
        return Examined::Wrong { hash, fault: BlockFault::Body, costly: false };
    }
    Examined::Block(Candidate { hash, header, bytes: bytes.clone(), ids, signatures: None })
}

fn header_stands_alone(network: &Network, header: &Header) -> bool {
    header.version == BLOCK_VERSION && header.reserved == [0; 4] && header.target == network.target.compact()
}

/// The median of these blocks' times: sorted, the one at index floor(n / 2).
pub(crate) fn median(times: impl IntoIterator<Item = u64>) -> u64 {
    let mut times: Vec<u64> = times.into_iter().collect();
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or(0)
}

/// Accounts that a block can change.
pub(crate) trait Accounts {
    fn account_of(&self, key: &[u8; 32]) -> Result<Account>;
    fn set_account(&mut self, key: &[u8; 32], account: Account) -> Result<()>;
}

/// What a transaction does to the accounts, or why it is not valid in this state; then nothing has changed.
pub(crate) fn apply(accounts: &mut impl Accounts, what: &Transaction) -> Result<Result<(), TransactionFault>> {
    let sender = accounts.account_of(&what.sender)?;
    if what.sequence != sender.sequence {
        return Ok(Err(TransactionFault::Sequence));
    }
    let Some(cost) = what.cost() else { return Ok(Err(TransactionFault::Overflow)) };
    let Some(balance) = sender.balance.checked_sub(cost) else { return Ok(Err(TransactionFault::Balance)) };
    let recipient = accounts.account_of(&what.recipient)?;
    let Some(gained) = recipient.balance.checked_add(what.amount) else {
        return Ok(Err(TransactionFault::Overflow));
    };
    accounts.set_account(&what.sender, Account { balance, sequence: what.sequence + 1 })?;
    accounts.set_account(&what.recipient, Account { balance: gained, ..recipient })?;
    Ok(Ok(()))
}

/// Gives the producer the reward and the fees. False, and nothing changed, when a sum is above 2^64 - 1.
pub(crate) fn reward(accounts: &mut impl Accounts, producer: &[u8; 32], fees: u128) -> Result<bool> {
    let account = accounts.account_of(producer)?;
    let sum = u128::from(account.balance) + u128::from(REWARD) + fees;
    let Ok(balance) = u64::try_from(sum) else { return Ok(false) };
    accounts.set_account(producer, Account { balance, ..account })?;
    Ok(true)
}

/// Takes back what a valid block did. Nothing in a block's effects is rounded or cut off, so the block itself says
/// how to undo it, and no undo data is stored.
pub(crate) fn undo(accounts: &mut impl Accounts, block: &Candidate) -> Result<()> {
    let transactions: Vec<Transaction> = block.transactions().iter().flat_map(Transaction::read).collect();
    let fees: u64 = transactions.iter().fold(0, |sum, transaction| sum.wrapping_add(transaction.fee));
    let producer = accounts.account_of(&block.header.producer)?;
    let balance = producer.balance.wrapping_sub(REWARD).wrapping_sub(fees);
    accounts.set_account(&block.header.producer, Account { balance, ..producer })?;
    for transaction in transactions.iter().rev() {
        let recipient = accounts.account_of(&transaction.recipient)?;
        let balance = recipient.balance.wrapping_sub(transaction.amount);
        accounts.set_account(&transaction.recipient, Account { balance, ..recipient })?;
        let sender = accounts.account_of(&transaction.sender)?;
        let cost = transaction.amount.wrapping_add(transaction.fee);
        let balance = sender.balance.wrapping_add(cost);
        accounts.set_account(&transaction.sender, Account { balance, sequence: transaction.sequence })?;
    }
    Ok(())
}
