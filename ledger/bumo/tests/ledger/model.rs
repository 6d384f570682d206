//! The ledger beside a model that shares no code with it: it keeps plain maps, writes protobuf by hand, and makes the
//! whole tree anew for every ledger.

use crate::world::{COINS, Draft, Person, RESERVE, World, address, common, person, prove, rules, validating};
use bytes::Bytes;
use polypeer_bumo::keys::read_address;
use polypeer_bumo::ledger::Judgement;
use polypeer_bumo::wire::{
    ConsensusValue, CreateAccount, KeyPair, List, Message, Operation, OperationBody, Packed, PayCoin, SetPrivilege,
    Signer, TransactionEnvSet, TypeThreshold, Validation,
};
use polypeer_ledger_bumo::Config;
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// People whose accounts may exist.
const PEOPLE: [&str; 6] = ["genesis", "acct-a", "acct-b", "acct-c", "acct-d", "validator-0"];
const VALIDATORS: usize = 2;

fn sha(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Protobuf by hand.
#[derive(Default)]
struct Proto(Vec<u8>);

impl Proto {
    fn varint(&mut self, mut number: u64) {
        while number > 127 {
            self.0.push((number & 127) as u8 | 128);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    fn number(mut self, field: u8, number: i64) -> Self {
        if number != 0 {
            self.0.push(field << 3);
            self.varint(number as u64);
        }
        self
    }

    /// Also when it is empty.
    fn message(mut self, field: u8, bytes: &[u8]) -> Self {
        self.0.push(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend(bytes);
        self
    }

    fn bytes(self, field: u8, bytes: &[u8]) -> Self {
        if bytes.is_empty() { self } else { self.message(field, bytes) }
    }
}

#[derive(Clone, Debug)]
struct Account {
    nonce: i64,
    balance: i64,
    master: i64,
    signers: Vec<(String, i64)>,
    threshold: i64,
    types: Vec<(i32, i64)>,
    has_contract: bool,
    metadata: BTreeMap<String, String>,
    is_touched: bool,
}

impl Account {
    fn new(balance: i64) -> Self {
        Self {
            nonce: 0,
            balance,
            master: 1,
            signers: Vec::new(),
            threshold: 1,
            types: Vec::new(),
            has_contract: false,
            metadata: BTreeMap::new(),
            is_touched: false,
        }
    }

    fn leaf(&self, address: &str) -> Vec<u8> {
        let mut privilege = Proto::default().number(1, self.master);
        for (signer, weight) in &self.signers {
            privilege = privilege.message(2, &Proto::default().bytes(1, signer.as_bytes()).number(2, *weight).0);
        }
        let mut thresholds = Proto::default().number(1, self.threshold);
        for (kind, threshold) in &self.types {
            thresholds = thresholds.message(2, &Proto::default().number(1, (*kind).into()).number(2, *threshold).0);
        }
        privilege = privilege.message(3, &thresholds.0);
        let mut leaf = Proto::default().bytes(1, address.as_bytes()).number(2, self.nonce).message(3, &privilege.0);
        if self.is_touched {
            let entry = |(name, value): (&String, &String)| {
                let entry = Proto::default().bytes(1, name.as_bytes()).bytes(2, value.as_bytes()).number(3, 1);
                (name.as_bytes().to_vec(), sha(&entry.0))
            };
            leaf = leaf.bytes(4, &root(&self.metadata.iter().map(entry).collect::<Vec<_>>()));
            leaf = leaf.bytes(5, &root(&[]));
        }
        if self.has_contract {
            leaf = leaf.message(6, &[]);
        }
        leaf.number(7, self.balance).0
    }

    fn weighs(&self, own: &str, signed: &BTreeSet<String>) -> i64 {
        let own = if signed.contains(own) { self.master } else { 0 };
        own + self.signers.iter().filter(|(address, _)| signed.contains(address)).map(|(_, weight)| weight).sum::<i64>()
    }

    fn needs(&self, kind: i32) -> i64 {
        let own = self.types.iter().find(|(own, _)| *own == kind).map_or(0, |(_, threshold)| *threshold);
        if own > 0 { own } else { self.threshold }
    }
}

/// The root of a trie of these leaves, nibble by nibble.
fn root(leaves: &[(Vec<u8>, [u8; 32])]) -> [u8; 32] {
    let paths: Vec<_> = leaves
        .iter()
        .map(|(key, hash)| (key.iter().flat_map(|byte| [byte / 16, byte % 16]).collect(), *hash))
        .collect();
    node(&[], &paths)
}

fn node(prefix: &[u8], paths: &[(Vec<u8>, [u8; 32])]) -> [u8; 32] {
    let mut out = Proto::default();
    for branch in 0..=16_u8 {
        let is_here = |path: &[u8]| path.get(prefix.len()).map_or(branch == 16, |nibble| *nibble == branch);
        let below: Vec<_> = paths.iter().filter(|(path, _)| is_here(path)).cloned().collect();
        let child = match &below[..] {
            [] => Vec::new(),
            [(path, hash)] => child(path, hash, 2),
            [(first, _), rest @ ..] => {
                let alike = |length: usize| rest.iter().all(|(path, _)| path.get(..length) == first.get(..length));
                let length = (0..=first.len()).rev().find(|length| alike(*length)).unwrap();
                child(&first[..length], &node(&first[..length], &below), 1)
            }
        };
        out = out.message(1, &child);
    }
    sha(&out.0)
}

fn child(path: &[u8], hash: &[u8; 32], kind: i64) -> Vec<u8> {
    let mut location = vec![(path.len() % 2) as u8];
    location.extend(path.chunks(2).map(|pair| pair[0] * 16 + pair.get(1).copied().unwrap_or(0)));
    Proto::default().bytes(1, &location).bytes(2, hash).number(3, kind).0
}

/// A transaction as plain data.
#[derive(Clone, Debug)]
struct Plan {
    source: usize,
    nonce_off: i64,
    fee_limit: i64,
    gas_price: i64,
    signers: Vec<usize>,
    steps: Vec<(Option<usize>, Step)>,
}

#[derive(Clone, Debug)]
enum Step {
    Pay(usize, i64),
    Create(usize, i64, Vec<(String, String, i64)>),
    Privilege { master: Option<i64>, signer: Option<(usize, i64)>, threshold: Option<i64>, kind: Option<(i32, i64)> },
}

/// The state, and the chain's newest ledger.
#[derive(Clone)]
struct Model {
    accounts: BTreeMap<String, Account>,
    validators: Vec<String>,
    number: i64,
    hash: [u8; 32],
    count: i64,
}

impl Model {
    fn genesis() -> Self {
        let validators: Vec<_> = (0..VALIDATORS).map(|place| address(&format!("validator-{place}"))).collect();
        let mut accounts: BTreeMap<_, _> =
            validators.iter().map(|address| (address.clone(), Account::new(0))).collect();
        accounts.insert(address("genesis"), Account::new(COINS));
        let mut model = Self { accounts, validators, number: 1, hash: [0; 32], count: 0 };
        model.hash = model.header(&[], 0, &sha(&[0x32, 3, 8, 0xe8, 7]), "a new era of value", &[]);
        model
    }

    fn header(&self, previous: &[u8], close_time: i64, value: &[u8], slogan: &str, envelopes: &[&[u8]]) -> [u8; 32] {
        let leaves: Vec<_> = self
            .accounts
            .iter()
            .map(|(address, account)| (read_address(address).unwrap().to_vec(), sha(&account.leaf(address))))
            .collect();
        let mut set = Proto::default();
        for validator in &self.validators {
            set = set.message(1, &Proto::default().bytes(1, validator.as_bytes()).0);
        }
        let fees = Proto::default().number(1, 1_000).number(2, RESERVE);
        let header = Proto::default()
            .number(1, self.number)
            .bytes(3, previous)
            .bytes(4, &root(&leaves))
            .number(5, close_time)
            .bytes(6, value)
            .number(7, 1_000)
            .number(8, self.count)
            .bytes(9, &sha(&set.0))
            .bytes(10, &sha(&fees.0))
            .bytes(11, slogan.as_bytes());
        let mut ledger = Proto::default().message(1, &header.0);
        for envelope in envelopes {
            ledger = ledger.message(2, envelope);
        }
        sha(&ledger.0)
    }

    /// Closes a ledger of these transactions; says which failed, and whether all passed the checks before.
    fn close(&mut self, value: &[u8], close_time: i64, planned: &[(Plan, i64, Bytes)]) -> (Vec<i32>, bool) {
        let previous = self.hash;
        self.number += 1;
        let (mut fees, mut failed, mut touched) = (0, Vec::new(), BTreeSet::new());
        let (mut envelopes, mut all_pass) = (Vec::new(), true);
        for (place, (plan, nonce, envelope)) in (0..).zip(planned) {
            let source = address(PEOPLE[plan.source]);
            let signed: BTreeSet<_> = plan.signers.iter().map(|one| address(PEOPLE[*one])).collect();
            let cost = envelope.len() as i64 * plan.gas_price;
            all_pass &= self.passes(plan, &source, *nonce, &signed, cost);
            let Some(payer) = self.accounts.get_mut(&source) else { continue };
            payer.balance -= plan.fee_limit;
            payer.nonce += 1;
            fees += plan.fee_limit;
            touched.insert(source.clone());
            envelopes.push(&envelope[..]);
            let before = self.accounts.clone();
            let mut seen = BTreeSet::new();
            let ran = cost <= plan.fee_limit && self.run(plan, &source, &signed, &mut seen);
            if ran {
                self.accounts.get_mut(&source).unwrap().balance += plan.fee_limit - cost;
                fees -= plan.fee_limit - cost;
                touched.extend(seen);
            } else {
                self.accounts = before;
                failed.push(place);
            }
        }
        self.reward(fees + 800_000_000, &mut touched);
        for address in touched {
            self.accounts.get_mut(&address).unwrap().is_touched = true;
        }
        self.count += envelopes.len() as i64;
        self.hash = self.header(&previous, close_time, &sha(value), "", &envelopes);
        (failed, all_pass)
    }

    fn reward(&mut self, coins: i64, touched: &mut BTreeSet<String>) {
        let count = self.validators.len() as i64;
        for (place, validator) in (0..).zip(&self.validators) {
            let rest = if place == self.number % count { coins % count } else { 0 };
            self.accounts.get_mut(validator).unwrap().balance += coins / count + rest;
            touched.insert(validator.clone());
        }
    }

    fn passes(&self, plan: &Plan, source: &str, nonce: i64, signed: &BTreeSet<String>, cost: i64) -> bool {
        let Some(payer) = self.accounts.get(source) else { return false };
        let steps = plan.steps.iter().all(|(who, step)| {
            let actor = who.unwrap_or(plan.source);
            match step {
                Step::Pay(payee, amount) => *payee != actor && *amount >= 0,
                Step::Create(..) => true,
                Step::Privilege { signer, .. } => signer.is_none_or(|(signer, _)| signer != actor),
            }
        });
        steps
            && nonce == payer.nonce + 1
            && payer.weighs(source, signed) >= payer.threshold
            && payer.balance - plan.fee_limit >= RESERVE
            && plan.fee_limit >= cost
            && plan.gas_price >= 1_000
    }

    fn run(&mut self, plan: &Plan, source: &str, signed: &BTreeSet<String>, seen: &mut BTreeSet<String>) -> bool {
        seen.insert(source.to_owned());
        plan.steps.iter().all(|(who, step)| {
            let actor = who.map_or_else(|| source.to_owned(), |who| address(PEOPLE[who]));
            let kind = match step {
                Step::Create(..) => 1,
                Step::Pay(..) => 7,
                Step::Privilege { .. } => 9,
            };
            let Some(account) = self.accounts.get(&actor) else { return false };
            if account.weighs(&actor, signed) < account.needs(kind) {
                return false;
            }
            seen.insert(actor.clone());
            self.step(&actor, step, seen)
        })
    }

    fn step(&mut self, actor: &str, step: &Step, seen: &mut BTreeSet<String>) -> bool {
        let balance = self.accounts[actor].balance;
        match step {
            Step::Pay(payee, amount) => {
                let payee = address(PEOPLE[*payee]);
                let is_new = !self.accounts.contains_key(&payee);
                if balance < amount + RESERVE || is_new && *amount < RESERVE {
                    return false;
                }
                self.accounts.get_mut(actor).unwrap().balance -= amount;
                self.accounts.entry(payee.clone()).or_insert_with(|| Account::new(0)).balance += amount;
                seen.insert(payee);
            }
            Step::Create(who, coins, entries) => {
                let new = address(PEOPLE[*who]);
                let versions = entries.iter().all(|(_, _, version)| (0..=1).contains(version));
                if self.accounts.contains_key(&new) || *coins < RESERVE || balance - RESERVE < *coins || !versions {
                    return false;
                }
                self.accounts.get_mut(actor).unwrap().balance -= coins;
                let metadata = entries.iter().map(|(name, value, _)| (name.clone(), value.clone())).collect();
                self.accounts.insert(new.clone(), Account { has_contract: true, metadata, ..Account::new(*coins) });
                seen.insert(new);
            }
            Step::Privilege { master, signer, threshold, kind } => {
                let account = self.accounts.get_mut(actor).unwrap();
                account.master = master.unwrap_or(account.master);
                account.threshold = threshold.unwrap_or(account.threshold);
                if let Some((who, weight)) = signer {
                    change(&mut account.signers, address(PEOPLE[*who]), *weight);
                }
                if let Some((kind, threshold)) = kind {
                    change(&mut account.types, *kind, *threshold);
                }
            }
        }
        true
    }
}

fn change<T: PartialEq>(list: &mut Vec<(T, i64)>, what: T, number: i64) {
    match list.iter().position(|(own, _)| *own == what) {
        Some(place) if number == 0 => drop(list.remove(place)),
        Some(place) => list[place].1 = number,
        None if number == 0 => {}
        None => list.push((what, number)),
    }
}

/// The envelope of a plan.
fn seal(plan: &Plan, nonce: i64, people: &[Person]) -> Bytes {
    let texts = |number: Option<i64>| number.map_or(String::new(), |number| number.to_string());
    let parts: Vec<_> = plan
        .steps
        .iter()
        .map(|(_, step)| {
            let (mut entries, mut signers, mut types, mut numbers) =
                (vec![], vec![], vec![], [String::new(), String::new()]);
            match step {
                Step::Pay(..) => {}
                Step::Create(_, _, list) => {
                    entries =
                        list.iter().map(|(key, value, version)| KeyPair { key, value, version: *version }).collect();
                }
                Step::Privilege { master, signer, threshold, kind } => {
                    numbers = [texts(*master), texts(*threshold)];
                    signers = signer
                        .iter()
                        .map(|(who, weight)| Signer { address: &people[*who].address, weight: *weight })
                        .collect();
                    types = kind
                        .iter()
                        .map(|(kind, threshold)| TypeThreshold { kind: *kind, threshold: *threshold })
                        .collect();
                }
            }
            (entries, signers, types, numbers)
        })
        .collect();
    let mut draft = Draft::of(&people[plan.source], nonce);
    draft = draft.with(|transaction| (transaction.fee_limit, transaction.gas_price) = (plan.fee_limit, plan.gas_price));
    draft.signers = plan.signers.iter().map(|one| PEOPLE[*one]).collect();
    for ((who, step), (entries, signers, types, [master_weight, tx_threshold])) in plan.steps.iter().zip(&parts) {
        let body = match step {
            Step::Pay(payee, amount) => {
                OperationBody::PayCoin(PayCoin { dest_address: &people[*payee].address, amount: *amount, input: "" })
            }
            Step::Create(new, init_balance, _) => OperationBody::CreateAccount(CreateAccount {
                dest_address: &people[*new].address,
                privilege: Some(common()),
                metadatas: List::of(entries),
                init_balance: *init_balance,
                ..CreateAccount::default()
            }),
            Step::Privilege { .. } => OperationBody::SetPrivilege(SetPrivilege {
                master_weight,
                signers: List::of(signers),
                tx_threshold,
                type_thresholds: List::of(types),
            }),
        };
        let source_address = who.map_or("", |who| &people[who].address);
        draft.operations.push(Operation { source_address, body, ..Operation::default() });
    }
    draft.seal()
}

fn coins() -> impl Strategy<Value = i64> {
    prop::sample::select(vec![0, 5, RESERVE - 1, RESERVE, 1_000_000_000, 3_000_000_000, COINS])
}

fn step() -> impl Strategy<Value = Step> {
    let someone = 0..PEOPLE.len();
    let entry = (prop::sample::select(vec!["k", "key", "l"]), "[a-c]{0,2}", prop::sample::select(vec![0, 0, 1, 2]));
    let entry = entry.prop_map(|(name, value, version)| (name.to_owned(), value, version));
    prop_oneof![
        5 => (someone.clone(), coins()).prop_map(|(who, coins)| Step::Pay(who, coins)),
        3 => (someone.clone(), coins(), prop::collection::vec(entry, 0..3))
            .prop_map(|(who, coins, entries)| Step::Create(who, coins, entries)),
        2 => (
            prop::option::of(0..3_i64),
            prop::option::of((someone, 0..3_i64)),
            prop::option::of(0..3_i64),
            prop::option::of((prop::sample::select(vec![1, 7, 9]), 0..3_i64)),
        )
            .prop_map(|(master, signer, threshold, kind)| Step::Privilege { master, signer, threshold, kind }),
    ]
}

fn plan() -> impl Strategy<Value = Plan> {
    let source = prop::sample::select(vec![0, 0, 0, 1, 1, 2, 3, 4]);
    let nonce_off = prop::sample::select(vec![0, 0, 0, 0, 0, 0, 1, -1]);
    let fee = prop::sample::select(vec![2_000_000, 2_000_000, 900_000, 0, 5_000_000_000]);
    let price = prop::sample::select(vec![1_000, 1_000, 1_500, 999]);
    let others = prop::collection::vec(0..PEOPLE.len(), 0..3);
    let steps = prop::collection::vec((prop::option::weighted(0.2, 0..PEOPLE.len()), step()), 1..4);
    (source, nonce_off, fee, price, others, prop::bool::weighted(0.9), steps).prop_map(
        |(source, nonce_off, fee_limit, gas_price, mut signers, signs, steps)| {
            if signs {
                signers.push(source);
            }
            Plan { source, nonce_off, fee_limit, gas_price, signers, steps }
        },
    )
}

/// What both may do with the plans of one ledger.
fn planned(model: &Model, plans: Vec<Plan>, people: &[Person]) -> Vec<(Plan, i64, Bytes)> {
    let mut next: BTreeMap<usize, i64> = BTreeMap::new();
    let sealed = plans.into_iter().map(|plan| {
        let account = model.accounts.get(&people[plan.source].address);
        let nonce = next.entry(plan.source).or_insert_with(|| account.map_or(0, |account| account.nonce));
        *nonce += 1;
        let used = *nonce + plan.nonce_off;
        let envelope = seal(&plan, used, people);
        (plan, used, envelope)
    });
    sealed.collect()
}

fn value_of(model: &Model, planned: &[(Plan, i64, Bytes)], failed: &[i32]) -> (Bytes, i64) {
    let txs: Vec<_> = planned.iter().map(|(_, _, envelope)| &envelope[..]).collect();
    let validation = Validation { expire_tx_ids: Packed::default(), error_tx_ids: Packed::of(failed) };
    let close_time = 1_795_300_000_000_000 - 60_000_000 + model.number;
    let value = ConsensusValue {
        txset: Some(TransactionEnvSet { txs: List::of(&txs) }),
        close_time,
        ledger_seq: model.number + 1,
        previous_ledger_hash: &model.hash,
        validation: (!failed.is_empty()).then_some(validation),
        ..ConsensusValue::default()
    };
    (value.encode(), close_time)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever is agreed on, sense or nonsense, the ledger makes of it what the model makes.
    #[test]
    fn what_is_agreed_on_is_executed_as_the_model_does(ledgers in prop::collection::vec(prop::collection::vec(plan(), 0..6), 1..5)) {
        let people: Vec<_> = PEOPLE.iter().map(|name| person(name)).collect();
        let mut model = Model::genesis();
        let mut judge = World::open(validating(VALIDATORS), VALIDATORS);
        let mut follower = World::open(Config::in_memory(rules(VALIDATORS)), VALIDATORS);
        prop_assert_eq!(judge.tip().hash.0, model.hash);
        let mut proof = Bytes::new();
        for plans in ledgers {
            let planned = planned(&model, plans, &people);
            let (failed, all_pass) = model.clone().close(&[], 0, &planned);
            let (value, close_time) = value_of(&model, &planned, &failed);
            let value = ConsensusValue { previous_proof: &proof, ..ConsensusValue::decode(&value).unwrap() }.encode();
            // Said as it is, the value is valid exactly when every transaction passed the checks before.
            let expected = if all_pass { Judgement::Valid } else { Judgement::Doubtful };
            prop_assert_eq!(judge.judge(&value), expected);
            if all_pass && !planned.is_empty() {
                let (wrong, _) = value_of(&model, &planned, if failed.is_empty() { &[0] } else { &[] });
                let wrong = ConsensusValue { previous_proof: &proof, ..ConsensusValue::decode(&wrong).unwrap() }.encode();
                prop_assert_eq!(judge.judge(&wrong), Judgement::Doubtful);
            }
            model.close(&value, close_time, &planned);
            proof = prove(&value, model.number, VALIDATORS);
            for world in [&mut judge, &mut follower] {
                let tip = world.close(&value, &proof).unwrap();
                prop_assert_eq!(tip.hash.0, model.hash);
                world.settle();
                for (address, account) in &model.accounts {
                    let found = world.reader.account(address).unwrap();
                    prop_assert_eq!(&found.bytes[..], &account.leaf(address)[..]);
                }
            }
        }
    }

    /// What a proposer makes of what waits, the model executes to the same ledger, and others find it valid.
    #[test]
    fn what_is_proposed_is_valid_and_what_the_model_makes_of_it(ledgers in prop::collection::vec(prop::collection::vec(plan(), 0..8), 1..4)) {
        let people: Vec<_> = PEOPLE.iter().map(|name| person(name)).collect();
        let mut model = Model::genesis();
        let mut proposer = World::open(validating(VALIDATORS), VALIDATORS);
        let mut other = World::open(validating(VALIDATORS), VALIDATORS);
        let mut all = Vec::new();
        for plans in ledgers {
            let planned = planned(&model, plans, &people);
            for (_, _, envelope) in &planned {
                proposer.submit(envelope);
            }
            // What is not taken now may be taken later.
            all.extend(planned);
            let value = proposer.propose().value;
            prop_assert_eq!(other.judge(&value), Judgement::Valid);
            let wire = ConsensusValue::decode(&value).unwrap();
            let taken: Vec<_> = wire
                .transactions()
                .map(|envelope| all.iter().find(|(_, _, own)| own == envelope).unwrap().clone())
                .collect();
            let (failed, all_pass) = model.close(&value, wire.close_time, &taken);
            prop_assert!(all_pass);
            let said: Vec<_> = wire.validation.unwrap_or_default().error_tx_ids.iter().collect();
            prop_assert_eq!(said, failed);
            let proof = prove(&value, model.number, VALIDATORS);
            for world in [&mut proposer, &mut other] {
                prop_assert_eq!(world.close(&value, &proof).unwrap().hash.0, model.hash);
            }
        }
    }
}
