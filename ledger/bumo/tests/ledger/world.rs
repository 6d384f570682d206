//! A ledger with a clock, its validators' keys, and people who pay each other.

use bytes::Bytes;
use polypeer_bumo::hash::{Hash, HashType, sha256};
use polypeer_bumo::keys::{PrivateKey, Scheme};
use polypeer_bumo::ledger::{
    Answer, CloseError, Judgement, Origin, Proposal, Request, Served, SignError, Signed, Tip, Verdict,
};
use polypeer_bumo::proof;
use polypeer_bumo::wire::{
    AccountPrivilege, AccountThreshold, Body, CreateAccount, ErrorCode, KeyPair, List, Message, Operation,
    OperationBody, PayCoin, Pbft, PbftEnv, Signature, Transaction, TransactionEnv, Vote, Whole,
};
use polypeer_engine::{Ledger, Now, Ticket, Time, To};
use polypeer_ledger_bumo::{Bumo, Config, Reader, Rules};
use std::time::{Duration, Instant};

/// Some time after the newest ledger of the captures.
pub(crate) const START_MS: u64 = 1_795_300_000_000;
/// The reserve of all networks here.
pub(crate) const RESERVE: i64 = 10_000_000;
/// What the genesis account begins with.
pub(crate) const COINS: i64 = 100_000_000_000_000_000;

/// The key of a name of the captures: validators are `validator-0` and so on, the account with all coins is `genesis`.
pub(crate) fn key(name: &str) -> PrivateKey {
    PrivateKey::new(Scheme::Ed25519, sha256(format!("bumo-test-{name}").as_bytes()).0).unwrap()
}

pub(crate) fn address(name: &str) -> String {
    key(name).public().address()
}

/// The rules of a private network with so many validators and no time between ledgers.
pub(crate) fn rules(validators: usize) -> Rules {
    let addresses: Vec<_> = (0..validators).map(|place| address(&format!("validator-{place}"))).collect();
    let addresses: Vec<_> = addresses.iter().map(String::as_str).collect();
    Rules { interval: Duration::ZERO, ..Rules::private(&address("genesis"), &addresses) }
}

/// A transaction in the making.
#[derive(Clone, Debug)]
pub(crate) struct Draft<'d> {
    pub(crate) transaction: Transaction<'d>,
    pub(crate) operations: Vec<Operation<'d>>,
    pub(crate) signers: Vec<&'d str>,
}

impl<'d> Draft<'d> {
    /// Of this account, with fees that are enough.
    pub(crate) fn of(source: &'d Person, nonce: i64) -> Self {
        let source_address = &source.address[..];
        let transaction =
            Transaction { source_address, nonce, fee_limit: 2_000_000, gas_price: 1_000, ..Transaction::default() };
        Self { transaction, operations: Vec::new(), signers: vec![&source.name] }
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Transaction<'d>)) -> Self {
        change(&mut self.transaction);
        self
    }

    pub(crate) fn does(mut self, body: OperationBody<'d>) -> Self {
        self.operations.push(Operation { body, ..Operation::default() });
        self
    }

    pub(crate) fn pays(self, payee: &'d str, amount: i64) -> Self {
        self.does(OperationBody::PayCoin(PayCoin { dest_address: payee, amount, input: "" }))
    }

    pub(crate) fn creates(self, address: &'d str, init_balance: i64, metadatas: &'d [KeyPair<'d>]) -> Self {
        self.does(OperationBody::CreateAccount(CreateAccount {
            dest_address: address,
            privilege: Some(common()),
            metadatas: List::of(metadatas),
            init_balance,
            ..CreateAccount::default()
        }))
    }

    pub(crate) fn signed_by(mut self, signers: &[&'d str]) -> Self {
        self.signers = signers.to_vec();
        self
    }

    /// The envelope.
    pub(crate) fn seal(&self) -> Bytes {
        let transaction = Transaction { operations: List::of(&self.operations), ..self.transaction }.encode();
        let keys: Vec<_> = self.signers.iter().map(|name| key(name)).collect();
        let parts: Vec<_> = keys.iter().map(|key| (key.public().text(), key.sign(&transaction))).collect();
        let signatures: Vec<_> =
            parts.iter().map(|(public_key, sign_data)| Signature { public_key, sign_data: &sign_data[..] }).collect();
        let whole = Whole { bytes: &transaction, message: Transaction::decode(&transaction).unwrap() };
        TransactionEnv { transaction: Some(whole), signatures: List::of(&signatures), trigger: None }.encode()
    }
}

/// The privilege that a new account must have.
pub(crate) fn common<'c>() -> AccountPrivilege<'c> {
    let thresholds = Some(AccountThreshold { tx_threshold: 1, type_thresholds: List::default() });
    AccountPrivilege { master_weight: 1, signers: List::default(), thresholds }
}

/// An account's name and address.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) name: String,
    pub(crate) address: String,
}

pub(crate) fn person(name: &str) -> Person {
    Person { name: name.to_owned(), address: address(name) }
}

/// The hash of an envelope's transaction.
pub(crate) fn id(envelope: &[u8]) -> Hash {
    sha256(TransactionEnv::decode(envelope).unwrap().transaction.unwrap().bytes)
}

/// A signed commit of a value by this validator.
pub(crate) fn commit(name: &str, replica_id: i64, view_number: i64, sequence: i64, digest: &Hash) -> Bytes {
    let vote = Vote { view_number, sequence, replica_id, value_digest: &digest.0 };
    let pbft = Pbft { round_number: 1, body: Body::Commit(vote), chain_id: 0 }.encode();
    let key = key(name);
    PbftEnv::seal(&pbft, Signature { public_key: &key.public().text(), sign_data: &key.sign(&pbft) })
}

/// A proof of a value by the first so many validators.
pub(crate) fn prove(value: &[u8], sequence: i64, validators: usize) -> Bytes {
    prove_with(HashType::Sha256, value, sequence, validators)
}

pub(crate) fn prove_with(hash_type: HashType, value: &[u8], sequence: i64, validators: usize) -> Bytes {
    let digest = hash_type.hash(value);
    let quorum = proof::quorum(validators) + 1;
    let commits: Vec<_> = (0..quorum)
        .map(|place| commit(&format!("validator-{place}"), place as i64, sequence, sequence, &digest))
        .collect();
    proof::build(&commits.iter().map(|commit| &commit[..]).collect::<Vec<_>>())
}

/// A ledger, the time, and how many validators there are.
pub(crate) struct World {
    pub(crate) ledger: Bumo,
    pub(crate) reader: Reader,
    pub(crate) now: Now,
    pub(crate) validators: usize,
    ticket: u64,
}

impl World {
    /// A new network in memory, whose first validator is this node.
    pub(crate) fn new(validators: usize) -> Self {
        Self::open(validating(validators), validators)
    }

    pub(crate) fn open(config: Config, validators: usize) -> Self {
        Self::over(Bumo::open(config).unwrap(), validators)
    }

    pub(crate) fn over((ledger, reader): (Bumo, Reader), validators: usize) -> Self {
        let now = Now { monotonic: Time::from_micros(7), unix_ms: START_MS };
        Self { ledger, reader, now, validators, ticket: 0 }
    }

    pub(crate) fn pass(&mut self, wait: Duration) {
        self.now = self.now.after(wait);
        self.wake();
    }

    /// Wakes the ledger, which says nothing unasked.
    pub(crate) fn wake(&mut self) {
        let mut answers = Vec::new();
        self.ledger.wake(self.now, &mut answers);
        assert_eq!(answers, []);
    }

    /// All answers to a batch: those of the requests in order, then the unasked ones.
    pub(crate) fn batch(&mut self, requests: Vec<Request>) -> (Vec<Answer>, Vec<Answer>) {
        let tickets = self.ticket + 1..;
        self.ticket += requests.len() as u64;
        let requests = tickets.map(Ticket).zip(requests).collect();
        let mut answers = Vec::new();
        self.ledger.answer(self.now, requests, &mut answers);
        let (asked, news): (Vec<_>, Vec<_>) = answers.into_iter().partition(|(to, _)| *to != To::Engine);
        let only = |answers: Vec<(To, Answer)>| answers.into_iter().map(|(_, answer)| answer).collect();
        (only(asked), only(news))
    }

    pub(crate) fn ask(&mut self, request: Request) -> Answer {
        let (mut asked, _) = self.batch(vec![request]);
        assert_eq!(asked.len(), 1);
        asked.remove(0)
    }

    pub(crate) fn tip(&mut self) -> Tip {
        match self.ask(Request::Tip) {
            Answer::Tip(tip) => tip,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn submit(&mut self, envelope: &Bytes) -> Verdict {
        self.offer(envelope, Origin::Peer).1
    }

    pub(crate) fn offer(&mut self, envelope: &Bytes, origin: Origin) -> (Hash, Verdict) {
        match self.ask(Request::Submit { envelope: envelope.clone(), origin }) {
            Answer::Submitted { hash, verdict } => (hash, verdict),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn refusal(&mut self, envelope: &Bytes) -> ErrorCode {
        match self.submit(envelope) {
            Verdict::Refused(code) => code,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn close(&mut self, value: &Bytes, proof: &Bytes) -> Result<Tip, CloseError> {
        match self.ask(Request::Close { value: value.clone(), proof: proof.clone() }) {
            Answer::Closed(closed) => closed,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn propose(&mut self) -> Proposal {
        match self.ask(Request::Propose { upgrade: None }) {
            Answer::Proposed(proposed) => proposed.unwrap(),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn judge(&mut self, value: &Bytes) -> Judgement {
        match self.ask(Request::Judge { value: value.clone() }) {
            Answer::Judged { digest, judgement } => {
                assert_eq!(digest, sha256(value));
                judgement
            }
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn sign(&mut self, pbft: &Bytes, keep: &[u8]) -> Result<Signed, SignError> {
        match self.ask(Request::Sign { pbft: pbft.clone(), keep: Bytes::copy_from_slice(keep) }) {
            Answer::Signed(signed) => signed,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn serve(&mut self, begin: i64, end: i64) -> Option<Served> {
        match self.ask(Request::Serve { begin, end }) {
            Answer::Served(served) => served,
            other => panic!("{other:?}"),
        }
    }

    /// Proposes a ledger of what waits and closes it.
    pub(crate) fn advance(&mut self) -> (Bytes, Bytes, Tip) {
        let Proposal { value, seq, .. } = self.propose();
        let proof = prove(&value, seq, self.validators);
        let tip = self.close(&value, &proof).unwrap();
        (value, proof, tip)
    }

    /// Closes ledgers that others made.
    pub(crate) fn take_all<'l>(&mut self, ledgers: impl IntoIterator<Item = &'l (Bytes, Bytes)>) {
        for (value, proof) in ledgers {
            self.close(value, proof).unwrap();
        }
    }

    /// Lets what is closed become durable and visible, unless the disk is in the way. A file is written beside.
    pub(crate) fn settle(&mut self) {
        self.pass(Duration::from_secs(2));
        let (last, until) = (self.tip().seq, Instant::now() + Duration::from_secs(60));
        while self.reader.is_sound() && (self.reader.standing().header.number as i64) < last {
            assert!(Instant::now() < until, "ledger {last} does not become durable");
            std::thread::sleep(Duration::from_millis(1));
            self.pass(Duration::from_millis(5));
        }
    }
}

/// A network in memory whose first validator is this node.
pub(crate) fn validating(validators: usize) -> Config {
    let mut config = Config { signer: Some(Box::new(key("validator-0"))), ..Config::in_memory(rules(validators)) };
    // Tests look at every byte of it.
    config.limits.votes_bytes = 64 << 10;
    config
}

pub(crate) fn hex(text: &str) -> Vec<u8> {
    let text = text.trim();
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}
