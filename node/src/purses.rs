//! Keeps the accounts of a small wallet in step: whose turn it is, and with which sequence.

use polypeer_ledger_reference::{Payment, Wallet};

/// Transactions of one account that may be on their way into a block. A node takes 64 sequences from the sender's
/// count up; half of them leaves room for nodes whose chains are behind.
const UNDER_WAY_MAX: u64 = 32;
/// The fee of every transaction: the least that nodes take. One fee for all never replaces what waits.
const FEE: u64 = 1;

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

/// Accounts that pay in turn, each to one that is not its own.
pub(crate) struct Purses {
    network_id: [u8; 16],
    purses: Vec<Purse>,
    turn: usize,
}

struct Purse {
    wallet: Wallet,
    key: [u8; 32],
    recipient: [u8; 32],
    // The sequence of its next transaction, and how many are in the chain.
    next: u64,
    confirmed: u64,
}

/// A signed transaction that was not sent yet.
pub(crate) struct Draft {
    /// Which account pays.
    pub(crate) purse: usize,
    /// Its bytes.
    pub(crate) bytes: Vec<u8>,
}

impl Purses {
    /// The first `count` public accounts shared out: of `shares` hands this one has the accounts at `index`, `index` +
    /// `shares` and so on.
    pub(crate) fn public(network_id: [u8; 16], count: u8, shares: usize, index: usize) -> Self {
        let wallets: Vec<Wallet> = (1..=count).filter_map(Wallet::public_account).collect();
        let keys: Vec<[u8; 32]> = wallets.iter().map(Wallet::public_key).collect();
        let purse = |(place, wallet)| {
            let recipient = keys[(place + 1) % keys.len()];
            Purse { wallet, key: keys[place], recipient, next: 0, confirmed: 0 }
        };
        let purses = wallets.into_iter().enumerate().skip(index).step_by(shares).map(purse).collect();
        Self { network_id, purses, turn: 0 }
    }

    /// Starts over: so many are in the chain, and `next` is the first sequence that is free.
    pub(crate) fn restart(&mut self, purse: usize, count: u64, next: u64) {
        let purse = &mut self.purses[purse];
        (purse.confirmed, purse.next) = (count, next.max(count));
    }
}

impl Payer for Purses {
    fn keys(&self) -> Vec<[u8; 32]> {
        self.purses.iter().map(|purse| purse.key).collect()
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
        let payment = Payment { recipient: sender.recipient, amount: 1, fee: FEE, sequence: sender.next };
        Some(Draft { purse, bytes: sender.wallet.sign(&self.network_id, &payment).to_vec() })
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
        let mut purses = Purses::public([0; 16], 2, 1, 0);
        assert_eq!(senders(&mut purses, 4), [0, 1, 0, 1]);
        assert_eq!(senders(&mut purses, 100).len(), 60);
        purses.confirmed(1, 10);
        assert_eq!(senders(&mut purses, 100), [1; 10]);
    }

    #[test]
    fn hands_share_the_accounts_without_overlap() {
        let mut keys: Vec<_> = (0..3).flat_map(|index| Purses::public([0; 16], 16, 3, index).keys()).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), 16);
    }

    #[test]
    fn sequences_never_fall_behind_the_chain() {
        let mut purses = Purses::public([0; 16], 2, 1, 0);
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
