//! Makes the first ledger (BUMO spec, sections 9.2 to 9.4).

use crate::account::{Account, key_of};
use crate::header::Header;
use crate::pending::Pending;
use crate::rules::{COINS, Rules, VERSION_MIN};
use crate::tables::{Result, torn};
use crate::trie::{Change, Scratch, update};
use bytes::Bytes;
use polypeer_bumo::hash::{Hash, HashType};
use polypeer_bumo::proof::Validators;
use polypeer_bumo::wire::{ConsensusValue, FeeConfig, LedgerUpgrade, List, Message, Validator, ValidatorSet};
use std::collections::BTreeMap;

/// A validator set as it is hashed and stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Set {
    pub(crate) validators: Validators,
    /// The `ValidatorSet`.
    pub(crate) bytes: Bytes,
    pub(crate) hash: Hash,
}

impl Set {
    /// The set of validators that pledged nothing.
    pub(crate) fn new(addresses: &[String], hash_type: HashType) -> Self {
        let validators: Vec<_> = addresses.iter().map(|address| Validator { address, pledge_coin_amount: 0 }).collect();
        let bytes = ValidatorSet { validators: List::of(&validators) }.encode();
        let hash = hash_type.hash(&bytes);
        Self { validators: Validators::new(addresses.to_vec()), bytes, hash }
    }

    pub(crate) fn decode(bytes: Bytes, hash_type: HashType) -> Result<Self> {
        let set = ValidatorSet::decode(&bytes).map_err(|_| torn("a validator set"))?;
        Ok(Self { validators: Validators::of(&set), hash: hash_type.hash(&bytes), bytes })
    }
}

/// The first ledger's header, and all that it writes.
pub(crate) fn found(rules: &Rules) -> Result<(Header, Pending)> {
    let mut accounts = BTreeMap::new();
    let holder = Account { balance: COINS, ..Account::new(&rules.genesis_account) };
    for account in [holder].into_iter().chain(rules.validators.iter().map(|address| Account::new(address))) {
        let key = key_of(&account.address).ok_or_else(|| torn("an address"))?;
        accounts.insert(key, account.encode());
    }
    let mut nodes = Scratch::default();
    let hashes: Vec<_> = accounts.iter().map(|(key, account)| (key, rules.hash.hash(account))).collect();
    let changes: Vec<_> = hashes.iter().map(|(key, value)| Change { key: &key[..], value: *value }).collect();
    let root = update(&mut nodes, rules.hash, &changes)?;
    let set = Set::new(&rules.validators, rules.hash);
    let fees = FeeConfig { gas_price: rules.gas_price, base_reserve: rules.base_reserve }.encode();
    let upgrade = LedgerUpgrade { new_ledger_version: VERSION_MIN, ..LedgerUpgrade::default() };
    let value = ConsensusValue { ledger_upgrade: Some(upgrade), ..ConsensusValue::default() }.encode();
    let mut header = Header {
        number: 1,
        accounts: Some(root),
        value: rules.hash.hash(&value),
        version: VERSION_MIN,
        validators: set.hash,
        fees: rules.hash.hash(&fees),
        slogan: rules.slogan.clone(),
        chain_id: rules.chain_id,
        ..Header::default()
    };
    header.seal(rules.hash, &[]);
    let mut pending = Pending::default();
    accounts.into_iter().for_each(|(key, account)| pending.put_account(key, account));
    nodes.into_nodes().for_each(|(location, node)| pending.put(location, node));
    pending.sets.insert(set.hash, set.bytes);
    pending.headers.insert(1, header.clone());
    Ok((header, pending))
}
