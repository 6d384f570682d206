//! Holds an account as it stands in the tree, with who may sign for it (BUMO spec, sections 3.3, 9.1 and 9.5).

use crate::header::hash;
use crate::tables::AccountKey;
use bytes::Bytes;
use polypeer_bumo::hash::Hash;
use polypeer_bumo::wire;
use polypeer_bumo::wire::{AccountPrivilege, AccountThreshold, Contract, List, Message, Signer, TypeThreshold};
use std::collections::BTreeSet;

/// Signers of an account, and operations with a threshold of their own: more are not added, in silence.
const SIGNERS_MAX: usize = 100;

/// An account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) address: String,
    pub(crate) nonce: i64,
    pub(crate) privilege: Privilege,
    /// The roots of its own tries; nothing in genesis' accounts until they are touched.
    pub(crate) metadatas: Option<Hash>,
    pub(crate) assets: Option<Hash>,
    /// Absent, or present and empty, by how it was made.
    pub(crate) contract: Option<Code>,
    pub(crate) balance: i64,
}

/// Code, of which an account that is executed here has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Code {
    pub(crate) kind: i32,
    pub(crate) payload: String,
}

/// Who may sign for an account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Privilege {
    /// What the account's own key weighs.
    pub(crate) master_weight: i64,
    /// Others, and what they weigh.
    pub(crate) signers: Vec<(String, i64)>,
    /// What a transaction must weigh.
    pub(crate) threshold: i64,
    /// What an operation of this type must weigh.
    pub(crate) types: Vec<(i32, i64)>,
}

impl Privilege {
    /// The account's own key is enough.
    pub(crate) fn common() -> Self {
        Self { master_weight: 1, threshold: 1, ..Self::default() }
    }

    /// As a message has it; nothing when it has no thresholds.
    pub(crate) fn of(wire: &AccountPrivilege<'_>) -> Option<Self> {
        let thresholds = wire.thresholds?;
        Some(Self {
            master_weight: wire.master_weight,
            signers: wire.signers.iter().map(|signer| (signer.address.to_owned(), signer.weight)).collect(),
            threshold: thresholds.tx_threshold,
            types: thresholds.type_thresholds.iter().map(|one| (one.kind, one.threshold)).collect(),
        })
    }

    /// What an operation of this type must weigh.
    pub(crate) fn threshold_of(&self, kind: i32) -> i64 {
        let own = self.types.iter().find(|(own, _)| *own == kind).map_or(0, |(_, threshold)| *threshold);
        if own > 0 { own } else { self.threshold }
    }

    /// Adds or changes a signer; a weight of 0 removes it.
    pub(crate) fn set_signer(&mut self, address: &str, weight: i64) {
        set(&mut self.signers, |own| own == address, || address.to_owned(), weight);
    }

    /// Adds or changes what an operation of this type must weigh; 0 removes it.
    pub(crate) fn set_type(&mut self, kind: i32, threshold: i64) {
        set(&mut self.types, |own| *own == kind, || kind, threshold);
    }
}

fn set<T>(list: &mut Vec<(T, i64)>, is_it: impl Fn(&T) -> bool, make: impl FnOnce() -> T, number: i64) {
    let place = list.iter().position(|(own, _)| is_it(own));
    match place.and_then(|place| list.get_mut(place)) {
        _ if number <= 0 => list.retain(|(own, _)| !is_it(own)),
        Some((_, own)) => *own = number,
        None => {
            if list.len() < SIGNERS_MAX {
                list.push((make(), number));
            }
        }
    }
}

impl Account {
    /// A new account with nothing.
    pub(crate) fn new(address: &str) -> Self {
        Self { address: address.to_owned(), privilege: Privilege::common(), ..Self::default() }
    }

    /// Whether signatures of these addresses weigh `threshold` together.
    pub(crate) fn is_signed(&self, signers: &BTreeSet<String>, threshold: i64) -> bool {
        let weight_of = |address: &str, weight| if signers.contains(address) { weight } else { 0 };
        let own = weight_of(&self.address, self.privilege.master_weight);
        // A sum of 101 weights below 2^32.
        let others: i64 = self.privilege.signers.iter().map(|(address, weight)| weight_of(address, *weight)).sum();
        own.saturating_add(others) >= threshold
    }

    /// Whether it has code, which is not executed here.
    pub(crate) fn has_code(&self) -> bool {
        self.contract.as_ref().is_some_and(|code| !code.payload.is_empty())
    }

    pub(crate) fn encode(&self) -> Bytes {
        let privilege = &self.privilege;
        let signers: Vec<_> =
            privilege.signers.iter().map(|(address, weight)| Signer { address, weight: *weight }).collect();
        let types: Vec<_> = privilege
            .types
            .iter()
            .map(|(kind, threshold)| TypeThreshold { kind: *kind, threshold: *threshold })
            .collect();
        let thresholds = AccountThreshold { tx_threshold: privilege.threshold, type_thresholds: List::of(&types) };
        let root = |root: &'_ Option<Hash>| root.map(|root| root.0);
        let (metadatas, assets) = (root(&self.metadatas), root(&self.assets));
        wire::Account {
            address: &self.address,
            nonce: self.nonce,
            privilege: Some(AccountPrivilege {
                master_weight: privilege.master_weight,
                signers: List::of(&signers),
                thresholds: Some(thresholds),
            }),
            metadatas_hash: metadatas.as_ref().map_or(&[], |root| root),
            assets_hash: assets.as_ref().map_or(&[], |root| root),
            contract: self.contract.as_ref().map(|code| Contract { kind: code.kind, payload: &code.payload }),
            balance: self.balance,
        }
        .encode()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let wire = wire::Account::decode(bytes).ok()?;
        let root = |bytes: &[u8]| if bytes.is_empty() { Some(None) } else { hash(bytes).map(Some) };
        Some(Self {
            address: wire.address.to_owned(),
            nonce: wire.nonce,
            privilege: Privilege::of(&wire.privilege?)?,
            metadatas: root(wire.metadatas_hash)?,
            assets: root(wire.assets_hash)?,
            contract: wire.contract.map(|code| Code { kind: code.kind, payload: code.payload.to_owned() }),
            balance: wire.balance,
        })
    }
}

/// The raw bytes of an address, if it is one.
pub(crate) fn key_of(address: &str) -> Option<AccountKey> {
    polypeer_bumo::keys::read_address(address).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signers_are_added_changed_and_removed_in_their_order() {
        let mut privilege = Privilege::common();
        for (address, weight) in [("a", 1), ("b", 2), ("c", 3), ("b", 5), ("a", 0), ("d", 4), ("e", 0)] {
            privilege.set_signer(address, weight);
        }
        let signers: Vec<_> = privilege.signers.iter().map(|(address, weight)| (&address[..], *weight)).collect();
        assert_eq!(signers, [("b", 5), ("c", 3), ("d", 4)]);
        (0..200).for_each(|number| privilege.set_signer(&number.to_string(), 1));
        assert_eq!(privilege.signers.len(), SIGNERS_MAX);
        privilege.set_signer("b", 6);
        assert_eq!(privilege.signers[0].1, 6);
    }

    #[test]
    fn a_type_has_a_threshold_of_its_own_if_that_is_above_zero() {
        let mut privilege = Privilege { threshold: 3, ..Privilege::common() };
        privilege.set_type(7, 9);
        assert_eq!((privilege.threshold_of(7), privilege.threshold_of(1)), (9, 3));
        privilege.set_type(7, 0);
        assert_eq!((privilege.threshold_of(7), privilege.types.len()), (3, 0));
    }

    #[test]
    fn weights_of_those_who_signed_add_up() {
        let mut account = Account::new("own");
        account.privilege.set_signer("a", 2);
        account.privilege.set_signer("b", 4);
        let signed = |signers: &[&str], threshold| {
            account.is_signed(&signers.iter().map(|address| (*address).to_owned()).collect(), threshold)
        };
        assert!(signed(&["own"], 1) && !signed(&["own"], 2));
        assert!(signed(&["own", "a"], 3) && !signed(&["own", "a", "stranger"], 4));
        assert!(signed(&["a", "b"], 6) && signed(&[], 0) && !signed(&["stranger"], 1));
    }

    #[test]
    fn an_account_comes_back() {
        let mut account = Account { nonce: 4, balance: -7, ..Account::new("someone") };
        account.contract = Some(Code { kind: 3, payload: String::new() });
        account.assets = Some(Hash([1; 32]));
        account.privilege.set_signer("a", 2);
        account.privilege.set_type(7, 9);
        assert_eq!(Account::decode(&account.encode()), Some(account));
        assert_eq!(Account::decode(&[0xff]), None);
    }
}
