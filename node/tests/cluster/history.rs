//! Makes a long chain in no time: ledgers with payments, proposed by the real ledger and signed by a quorum.

use super::{validator, validators};
use bytes::Bytes;
use polypeer_engine::{Ledger as _, Now, Ticket, Time, To};
use polypeer_ledger_bumo::{Bumo, Config, Rules};
use polypeer_protocols::bumo::hash::Hash;
use polypeer_protocols::bumo::keys::{PrivateKey, Scheme};
use polypeer_protocols::bumo::ledger::{Answer, Origin, Proposal, Request, Verdict};
use polypeer_protocols::bumo::proof;
use polypeer_protocols::bumo::wire::{
    Body, List, Message as _, Operation, OperationBody, PayCoin, Pbft, PbftEnv, Signature, Transaction, TransactionEnv,
    Vote, Whole,
};
use std::path::Path;
use std::time::Duration;

/// When the first of the ledgers closed: long enough ago that no close time of a long chain is in the future.
const START_MS: u64 = 1_700_000_000_000;
/// One ledger in so many has a payment.
const PAYMENT_EVERY: u64 = 10;
/// After so many the store commits.
const COMMIT_EVERY: u64 = 500;

/// Makes a chain whose tip has the number `height`, in a file.
pub(crate) fn make(path: &Path, count: usize, interval: Duration, height: u64) {
    let addresses = validators(count);
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let payer = account(1);
    let rules = Rules { interval, ..Rules::private(&payer.public().address(), &addresses) };
    let signer = Some(Box::new(validator(0)) as Box<_>);
    let config = Config { path: Some(path.to_owned()), signer, ..Config::in_memory(rules) };
    let (mut ledger, _) = Bumo::open(config).unwrap();
    let signers: Vec<_> = (0..=proof::quorum(count)).map(validator).collect();
    let mut now = Now { monotonic: Time::from_micros(1), unix_ms: START_MS };
    let mut nonce = 0;
    for number in 2..=height {
        if number % PAYMENT_EVERY == 0 {
            nonce += 1;
            let envelope = payment(&payer, nonce);
            let answer = ask(&mut ledger, now, Request::Submit { envelope, origin: Origin::Peer });
            assert!(matches!(answer, Answer::Submitted { verdict: Verdict::Accepted, .. }), "{answer:?}");
        }
        let Answer::Proposed(Ok(Proposal { value, digest, seq })) =
            ask(&mut ledger, now, Request::Propose { upgrade: None })
        else {
            panic!("nothing is proposed")
        };
        let commits: Vec<_> = (0..).zip(&signers).map(|(place, key)| commit(key, place, seq, &digest)).collect();
        let proof = proof::build(&commits.iter().map(|commit| &commit[..]).collect::<Vec<_>>());
        let answer = ask(&mut ledger, now, Request::Close { value, proof });
        assert!(matches!(answer, Answer::Closed(Ok(_))), "{answer:?}");
        if number % COMMIT_EVERY == 0 {
            now = now.after(Duration::from_secs(3));
            ledger.wake(now, &mut Vec::new());
        }
    }
}

fn ask(ledger: &mut Bumo, now: Now, request: Request) -> Answer {
    let mut answers = Vec::new();
    ledger.answer(now, vec![(Ticket(1), request)], &mut answers);
    answers.into_iter().find_map(|(to, answer)| matches!(to, To::Asker(_)).then_some(answer)).unwrap()
}

fn account(number: u8) -> PrivateKey {
    PrivateKey::new(Scheme::Ed25519, [number; 32]).unwrap()
}

fn commit(key: &PrivateKey, replica_id: i64, sequence: i64, digest: &Hash) -> Bytes {
    let vote = Vote { view_number: sequence, sequence, replica_id, value_digest: &digest.0 };
    let pbft = Pbft { round_number: 1, body: Body::Commit(vote), chain_id: 0 }.encode();
    PbftEnv::seal(&pbft, Signature { public_key: &key.public().text(), sign_data: &key.sign(&pbft) })
}

fn payment(payer: &PrivateKey, nonce: i64) -> Bytes {
    let (source, payee) = (payer.public().address(), account(2).public().address());
    let pay = PayCoin { dest_address: &payee, amount: 10_000_000, input: "" };
    let operations = [Operation { body: OperationBody::PayCoin(pay), ..Operation::default() }];
    let message = Transaction {
        source_address: &source,
        nonce,
        fee_limit: 2_000_000,
        gas_price: 1_000,
        operations: List::of(&operations),
        ..Transaction::default()
    };
    let bytes = message.encode();
    let (public_key, sign_data) = (payer.public().text(), payer.sign(&bytes));
    let signatures = [Signature { public_key: &public_key, sign_data: &sign_data }];
    let transaction = Some(Whole { bytes: &bytes, message });
    TransactionEnv { transaction, signatures: List::of(&signatures), trigger: None }.encode()
}
