//! Keeps the accounts of a small wallet in step: whose turn it is, and with which sequence.

use crate::networks::{bumo_account, mina_account};
pub(crate) use polypeer_ledger_reference::PUBLIC_ACCOUNTS;
use polypeer_ledger_reference::{self as reference, Wallet};

/// Transactions of one account that may be on their way into a block. A node takes 64 sequences from the sender's
/// count up; half of them leaves room for nodes whose chains are behind.
const UNDER_WAY_MAX: u64 = 32;

/// Makes the transactions of a private network, one after another.
pub(crate) trait Payer: Send {
    /// The next one; nothing when all accounts wait for blocks.
    fn draft(&mut self) -> Option<Draft>;

    /// A draft of this account was taken.
    fn taken(&mut self, purse: usize);

    /// What this account wanted to use is someone else's; the next may be free.
    fn collided(&mut self, purse: usize);

    /// The accounts' keys, by which the ledger is asked how many of their transactions are in the chain; none when it
    /// does not count them.
    fn keys(&self) -> Vec<[u8; 32]>;

    /// So many of this account's transactions are in the chain now.
    fn confirmed(&mut self, purse: usize, count: u64);
}

/// What transactions are made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ledgers {
    /// The reference ledger, in a network of this id.
    Reference {
        /// What transactions are signed for.
        id: [u8; 16],
    },
    /// BUMO's.
    Bumo {
        /// 0 is the main chain.
        chain_id: i64,
    },
    /// Mina's, on a private network.
    Mina,
}

/// An account that pays.
pub(crate) trait Purse: Send {
    /// Its public key.
    fn key(&self) -> [u8; 32];

    /// The signed transaction; nothing when the ledger cannot say such a thing.
    fn sign(&self, payment: &Payment) -> Option<Vec<u8>>;
}

/// What an account pays.
#[derive(Clone, Debug)]
pub(crate) struct Payment {
    /// To whom.
    pub(crate) recipient: Recipient,
    /// How much.
    pub(crate) amount: u64,
    /// What it may cost.
    pub(crate) fee: u64,
    /// The number of the sender's earlier transactions.
    pub(crate) sequence: u64,
}

/// Who is paid.
#[derive(Clone, Debug)]
pub(crate) enum Recipient {
    /// The account of a public key.
    Key([u8; 32]),
    /// Where accounts have addresses.
    Address(String),
}

impl Ledgers {
    /// The account of this seed.
    pub(crate) fn purse(self, seed: &[u8; 32]) -> Option<Box<dyn Purse>> {
        match self {
            Self::Reference { id } => Some(Box::new(ReferenceAccount { id, wallet: Wallet::new(seed) })),
            Self::Bumo { chain_id } => Some(Box::new(bumo_account(chain_id, seed)?)),
            Self::Mina => Some(Box::new(mina_account(seed))),
        }
    }

    /// One of the private networks' accounts, 1 to 16.
    pub(crate) fn public(self, number: u8) -> Option<Box<dyn Purse>> {
        self.purse(&public_seed(number)?)
    }

    /// Of the public accounts, how many own something from the start.
    pub(crate) fn payers_max(self) -> u8 {
        match self {
            // What Mina's own nobody here knows.
            Self::Reference { .. } | Self::Mina => PUBLIC_ACCOUNTS,
            Self::Bumo { .. } => 1,
        }
    }

    /// The fee of every transaction when nothing is said. One fee for all never replaces what waits.
    pub(crate) fn fee(self) -> u64 {
        match self {
            // The least that nodes take.
            Self::Reference { .. } => 1,
            // A limit, about four times of what a payment costs. Of what is left the sender keeps the most.
            Self::Bumo { .. } => 1_000_000,
            // A thousandth of a Mina: the least that the network's own nodes take.
            Self::Mina => 1_000_000,
        }
    }

    // What a generator pays: enough to make an account of whoever has none.
    fn amount(self) -> u64 {
        match self {
            Self::Reference { .. } | Self::Mina => 1,
            Self::Bumo { .. } => 10_000_000,
        }
    }
}

/// The seed of a public account: 32 times its number, 1 to 16.
pub(crate) fn public_seed(number: u8) -> Option<[u8; 32]> {
    (1..=PUBLIC_ACCOUNTS).contains(&number).then_some([number; 32])
}

/// An account of the reference ledger.
struct ReferenceAccount {
    id: [u8; 16],
    wallet: Wallet,
}

impl Purse for ReferenceAccount {
    fn key(&self) -> [u8; 32] {
        self.wallet.public_key()
    }

    fn sign(&self, payment: &Payment) -> Option<Vec<u8>> {
        let Recipient::Key(recipient) = payment.recipient else { return None };
        let Payment { amount, fee, sequence, .. } = *payment;
        Some(self.wallet.sign(&self.id, &reference::Payment { recipient, amount, fee, sequence }).to_vec())
    }
}

/// Accounts that pay in turn, each to one that is not its own.
pub(crate) struct Purses {
    ledger: Ledgers,
    purses: Vec<Place>,
    turn: usize,
}

struct Place {
    purse: Box<dyn Purse>,
    recipient: [u8; 32],
    // The sequence of its next transaction, and how many are in the chain.
    next: u64,
    confirmed: u64,
}

impl Purses {
    /// The first `count` public accounts shared out: of `shares` hands this one has the accounts at `index`, `index` +
    /// `shares` and so on, as far as they can pay.
    pub(crate) fn public(ledger: Ledgers, count: u8, shares: usize, index: usize) -> Self {
        let all: Vec<_> = (1..=count).filter_map(|number| ledger.public(number)).collect();
        let keys: Vec<[u8; 32]> = all.iter().map(|purse| purse.key()).collect();
        let place = |(place, purse)| Place { purse, recipient: keys[(place + 1) % keys.len()], next: 0, confirmed: 0 };
        let paying = all.into_iter().take(usize::from(ledger.payers_max())).enumerate();
        let purses = paying.skip(index).step_by(shares).map(place).collect();
        Self { ledger, purses, turn: 0 }
    }

    /// Starts over: so many are in the chain, and `next` is the first sequence that is free.
    pub(crate) fn restart(&mut self, purse: usize, count: u64, next: u64) {
        let purse = &mut self.purses[purse];
        (purse.confirmed, purse.next) = (count, next.max(count));
    }
}

/// A signed transaction that was not sent yet.
pub(crate) struct Draft {
    /// Which account pays.
    pub(crate) purse: usize,
    /// Its bytes.
    pub(crate) bytes: Vec<u8>,
}

impl Payer for Purses {
    fn keys(&self) -> Vec<[u8; 32]> {
        self.purses.iter().map(|place| place.purse.key()).collect()
    }

    fn draft(&mut self) -> Option<Draft> {
        let count = self.purses.len();
        let order = (self.turn..self.turn + count).map(|turn| turn % count);
        let purse = { order }.find(|index| {
            let purse = &self.purses[*index];
            purse.next - purse.confirmed < UNDER_WAY_MAX
        })?;
        self.turn = (purse + 1) % count;
        let sender = &self.purses[purse];
        let payment = Payment {
            recipient: Recipient::Key(sender.recipient),
            amount: self.ledger.amount(),
            fee: self.ledger.fee(),
            sequence: sender.next,
        };
        Some(Draft { purse, bytes: sender.purse.sign(&payment)? })
    }

    fn taken(&mut self, purse: usize) {
        self.purses[purse].next += 1;
    }

    fn collided(&mut self, purse: usize) {
        self.purses[purse].next += 1;
    }

    fn confirmed(&mut self, purse: usize, count: u64) {
        // A reorganisation can take some out again; what was sent waits then, and its sequences stay used.
        let purse = &mut self.purses[purse];
        purse.confirmed = count;
        purse.next = purse.next.max(count);
    }
}

/// A network's id as its transactions are signed for it.
pub(crate) fn network_id(name: &str) -> Option<[u8; 16]> {
    let mut id = [0; 16];
    id.get_mut(..name.len())?.copy_from_slice(name.as_bytes());
    Some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEDGER: Ledgers = Ledgers::Reference { id: [0; 16] };

    fn senders(purses: &mut Purses, count: usize) -> Vec<usize> {
        let mut senders = Vec::new();
        for _ in 0..count {
            let Some(draft) = purses.draft() else { break };
            purses.taken(draft.purse);
            senders.push(draft.purse);
        }
        senders
    }

    #[test]
    fn accounts_take_turns_until_all_wait() {
        let mut purses = Purses::public(LEDGER, 2, 1, 0);
        assert_eq!(senders(&mut purses, 4), [0, 1, 0, 1]);
        assert_eq!(senders(&mut purses, 100).len(), 60);
        purses.confirmed(1, 10);
        assert_eq!(senders(&mut purses, 100), [1; 10]);
    }

    #[test]
    fn hands_share_the_accounts_without_overlap() {
        let mut keys: Vec<_> = (0..3).flat_map(|index| Purses::public(LEDGER, 16, 3, index).keys()).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), 16);
    }

    #[test]
    fn sequences_never_fall_behind_the_chain() {
        let mut purses = Purses::public(LEDGER, 2, 1, 0);
        purses.confirmed(0, 7);
        let draft = purses.draft().unwrap();
        // The sequence's place in a transaction: version, two keys, amount, fee.
        assert_eq!(draft.bytes[81..89], 7u64.to_be_bytes());
        purses.collided(0);
        purses.collided(1);
        let drafts = [purses.draft().unwrap(), purses.draft().unwrap()];
        let sequences = drafts.map(|draft| (draft.purse, draft.bytes[88]));
        assert_eq!(sequences, [(1, 1), (0, 8)]);
        purses.restart(0, 7, 7);
        purses.restart(1, 0, 0);
        assert_eq!(purses.draft().unwrap().bytes[88], 0);
    }
}
