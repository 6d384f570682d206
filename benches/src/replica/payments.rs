//! Pays without end through a replica of ours, as its operator does: each payment is durable here before it is told to
//! others, who verify it too.

use super::{REPLICAS, bumo::key};
use anyhow::Result;
use bytes::Bytes;
use futures_util::future::join_all;
use polypeer_bumo::Bumo;
use polypeer_bumo::keys::PrivateKey;
use polypeer_bumo::ledger::{Answer, Origin, Request, Verdict};
use polypeer_bumo::wire::{
    AccountPrivilege, AccountThreshold, CreateAccount, List, Message as _, Operation, OperationBody, PayCoin,
    Signature, Transaction, TransactionEnv, Whole,
};
use polypeer_driver::Handle;
use polypeer_ledger_bumo::Reader;
use std::collections::VecDeque;
use std::thread;
use std::time::Duration;
use tokio::runtime::Builder;
use tokio::task::LocalSet;
use tokio::time::sleep;

/// Bytes of a payment, signature and all.
pub(crate) const PAYMENT_BYTES: usize = 512;
/// Accounts that pay, of each replica. With the pool's 64 transactions of an account all of them have 2,048 waiting, which
/// is a ledger of a MiB: with more the validators verify for longer than they agree.
const ACCOUNTS: usize = 8;
/// Payments that one account has under way at its replica.
const BURST: usize = 16;
/// How long one waits whose payments the pool has no room for, and who waits for its account.
const PAUSE: Duration = Duration::from_millis(2);
/// What an account begins with: enough for as long as a run takes.
const BALANCE: i64 = 100_000_000_000_000;
/// What a payment of 512 bytes may cost, and an account's making, at the private networks' price.
const FEE: i64 = 1_000_000;
const FEE_OF_ACCOUNTS: i64 = 1_000_000_000;
const GAS_PRICE: i64 = 1_000;

/// Who has all coins at the start.
pub(super) fn rich() -> Result<PrivateKey> {
    key("rich", 0)
}

/// Begins to pay, on a thread of its own.
pub(super) fn begin(handle: Handle<Bumo>, reader: Reader, place: usize) -> Result<()> {
    let payers = (0..ACCOUNTS).map(|number| key("payer", place * ACCOUNTS + number)).collect::<Result<Vec<_>>>()?;
    let addresses: Vec<_> = payers.iter().map(|payer| payer.public().address()).collect();
    let all = (0..REPLICAS * ACCOUNTS).map(|number| Ok(key("payer", number)?.public().address()));
    let all = all.collect::<Result<Vec<_>>>()?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new().name("payments".into()).spawn(move || {
        let set = LocalSet::new();
        if place == 0 {
            let handle = handle.clone();
            set.spawn_local(async move { found(&handle, &all).await });
        }
        for (payer, next) in payers.into_iter().zip(addresses.iter().cycle().skip(1).cloned()) {
            let (handle, reader) = (handle.clone(), reader.clone());
            set.spawn_local(async move { pay(handle, reader, payer, next).await });
        }
        runtime.block_on(set);
    })?;
    Ok(())
}

/// Makes all accounts.
async fn found(handle: &Handle<Bumo>, addresses: &[String]) -> Result<()> {
    let rich = rich()?;
    let thresholds = AccountThreshold { tx_threshold: 1, ..AccountThreshold::default() };
    let privilege = AccountPrivilege { master_weight: 1, thresholds: Some(thresholds), ..AccountPrivilege::default() };
    for (addresses, nonce) in addresses.chunks(REPLICAS * ACCOUNTS).zip(1..) {
        let create = |address| {
            let create = CreateAccount {
                dest_address: address,
                privilege: Some(privilege),
                init_balance: BALANCE,
                ..CreateAccount::default()
            };
            Operation { body: OperationBody::CreateAccount(create), ..Operation::default() }
        };
        let operations: Vec<_> = addresses.iter().map(|address| create(address)).collect();
        let envelope = envelope(&rich, nonce, FEE_OF_ACCOUNTS, &operations, &[]);
        match handle.ask(Request::Submit { envelope, origin: Origin::Operator }).await? {
            Answer::Submitted { verdict: Verdict::Accepted, .. } => {}
            answer => eprintln!("no accounts: {answer:?}"),
        }
    }
    Ok(())
}

/// Pays from one account to the next, coin by coin, as fast as they are taken.
async fn pay(handle: Handle<Bumo>, reader: Reader, payer: PrivateKey, next: String) -> Result<()> {
    let own = payer.public().address();
    while reader.account(&own).is_none() {
        sleep(10 * PAUSE).await;
    }
    let (mut nonce, mut filler) = (0, 0);
    let mut ready: VecDeque<Bytes> = VecDeque::new();
    loop {
        while ready.len() < BURST {
            nonce += 1;
            ready.push_back(payment(&payer, nonce, &next, &mut filler));
        }
        let asked = ready.iter().map(|envelope| {
            let envelope = envelope.clone();
            handle.ask(Request::Submit { envelope, origin: Origin::Operator })
        });
        let answers = join_all(asked).await;
        let taken = answers.iter().take_while(|answer| {
            let verdict = |answer: &Answer| {
                matches!(answer, Answer::Submitted { verdict: Verdict::Accepted | Verdict::Known, .. })
            };
            answer.as_ref().is_ok_and(verdict)
        });
        let taken = taken.count();
        ready.drain(..taken);
        if answers.iter().any(Result::is_err) {
            return Ok(());
        }
        if taken < answers.len() {
            sleep(PAUSE).await;
        }
    }
}

/// A payment, of exactly the bytes that are measured. `filler` is how much filled the last one up, which fills most.
fn payment(payer: &PrivateKey, nonce: i64, to: &str, filler: &mut usize) -> Bytes {
    let pay = PayCoin { dest_address: to, amount: 1, input: "" };
    let operations = [Operation { body: OperationBody::PayCoin(pay), ..Operation::default() }];
    loop {
        let envelope = envelope(payer, nonce, FEE, &operations, &[7; PAYMENT_BYTES][..*filler]);
        match envelope.len() {
            PAYMENT_BYTES => return envelope,
            shorter @ ..PAYMENT_BYTES => *filler += (PAYMENT_BYTES - shorter).div_ceil(2),
            longer => *filler -= longer - PAYMENT_BYTES,
        }
    }
}

fn envelope(key: &PrivateKey, nonce: i64, fee_limit: i64, operations: &[Operation<'_>], metadata: &[u8]) -> Bytes {
    let public = key.public();
    let source = public.address();
    let message = Transaction {
        source_address: &source,
        nonce,
        fee_limit,
        gas_price: GAS_PRICE,
        metadata,
        operations: List::of(operations),
        ..Transaction::default()
    };
    let bytes = message.encode();
    let (text, sign_data) = (public.text(), key.sign(&bytes));
    let signatures = [Signature { public_key: &text, sign_data: &sign_data }];
    let transaction = Some(Whole { bytes: &bytes, message });
    TransactionEnv { transaction, signatures: List::of(&signatures), trigger: None }.encode()
}
