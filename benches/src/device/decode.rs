//! Reads one Kaspa message over and over: ours as our node does before it decides, and prost's derived structs as
//! kaspad has them, without kaspad's conversion of them into its own types.

use crate::control::{self, Look, Ready};
use anyhow::Result;
use bytes::Bytes;
use polypeer_engine::Frame;
use polypeer_engine::kit::chain::Hash;
use polypeer_kaspa::wire::{self, Kind, TransactionView};
use prost::Message;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Identifiers of an announcement.
const IDS: u32 = 1_000;
/// Bytes of gRPC's prefix, which tonic has cut off before prost sees the message.
const PREFIX_BYTES: usize = 5;
/// Messages between two notes of how many there were.
const BATCH: u64 = 64;

/// Reads a frame and says something of all of it, so that nothing can be left out; nothing when it is unreadable.
pub(super) type Read = fn(&Bytes) -> Option<u64>;

/// Ours, of an announcement of a thousand.
pub(super) fn inv_ours() -> Result<()> {
    run(&inv(), |frame| {
        let message = wire::unpack(Frame::from(frame)).ok()?;
        let ids = wire::Hashes::read(message.kind, &message.body).ok()?;
        Some(ids.iter().map(|Hash(id)| u64::from(id[0])).sum())
    })
}

/// prost, of the same.
pub(super) fn inv_prost() -> Result<()> {
    run(&inv(), |frame| match prost_payload(frame)? {
        Payload::InvTransactions(inv) => Some(inv.ids.iter().map(|id| u64::from(id.bytes[0])).sum()),
        Payload::Transaction(_) => None,
    })
}

/// Ours, of a transaction with two inputs and two outputs.
pub(super) fn transaction_ours() -> Result<()> {
    run(&transaction(), |frame| {
        let message = wire::unpack(Frame::from(frame)).ok()?;
        let transaction = TransactionView::decode(&message.body).ok()?;
        Some(transaction.outputs().map(|output| output.value).sum())
    })
}

/// prost, of the same.
pub(super) fn transaction_prost() -> Result<()> {
    run(&transaction(), |frame| match prost_payload(frame)? {
        Payload::Transaction(transaction) => Some(transaction.outputs.iter().map(|output| output.value).sum()),
        Payload::InvTransactions(_) => None,
    })
}

/// Reads a message until the harness has had enough.
pub(super) fn run(frame: &Bytes, read: Read) -> Result<()> {
    let expected = read(frame);
    anyhow::ensure!(expected.is_some(), "the message cannot be read");
    let read_so_far = Arc::new(AtomicU64::new(0));
    let (looked, bytes) = (Arc::clone(&read_so_far), frame.len() as u64);
    let look = move || {
        let delivered = looked.load(Relaxed);
        Look { ready: 1, delivered, bytes: delivered * bytes, ..Look::now() }
    };
    control::serve(Ready { address: None }, look, |_| {})?;
    let mut count = 0;
    loop {
        for _ in 0..BATCH {
            anyhow::ensure!(read(black_box(frame)) == expected, "the message is read in two ways");
        }
        count += BATCH;
        read_so_far.store(count, Relaxed);
    }
}

fn prost_payload(frame: &Bytes) -> Option<Payload> {
    KaspadMessage::decode(&frame[PREFIX_BYTES..]).ok()?.payload
}

fn inv() -> Bytes {
    let ids: wire::Hashes = (0..IDS).map(|number| spread(u64::from(number))).collect();
    wire::pack(Kind::InvTransactions, &ids.encode(), 0, 0)
}

fn spread(number: u64) -> Hash {
    let word = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
    Hash(std::array::from_fn(|at| word[at % 8] ^ at as u8))
}

fn transaction() -> Bytes {
    let hash = |number| Hash32 { bytes: spread(number).0.to_vec() };
    let input = |number| Input {
        previous_outpoint: Some(Outpoint { transaction_id: Some(hash(number)), index: number as u32 }),
        signature_script: vec![0x41; 66],
        sequence: 0,
        compute_commit: 1,
    };
    let script = || ScriptPublicKey { script: vec![0x20; 34], version: 0 };
    let output = |value| Output { value, script_public_key: Some(script()) };
    let transaction = Transaction {
        version: 0,
        inputs: vec![input(1), input(2)],
        outputs: vec![output(1_234_567_890), output(98_765_432_100)],
        lock_time: 0,
        subnetwork_id: Some(SubnetworkId { bytes: vec![0; 20] }),
        gas: 0,
        payload: Vec::new(),
        storage_mass: 12_345,
    };
    wire::pack(Kind::Transaction, &transaction.encode_to_vec(), 0, 0)
}

/// The envelope, with these two of its payloads.
#[derive(Clone, PartialEq, prost::Message)]
struct KaspadMessage {
    #[prost(oneof = "Payload", tags = "3, 15")]
    payload: Option<Payload>,
    #[prost(uint32, tag = "101")]
    response_id: u32,
    #[prost(uint32, tag = "102")]
    request_id: u32,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Payload {
    #[prost(message, tag = "3")]
    Transaction(Transaction),
    #[prost(message, tag = "15")]
    InvTransactions(InvTransactions),
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
struct InvTransactions {
    #[prost(message, repeated, tag = "1")]
    ids: Vec<Hash32>,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
struct Hash32 {
    #[prost(bytes = "vec", tag = "1")]
    bytes: Vec<u8>,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
struct Transaction {
    #[prost(uint32, tag = "1")]
    version: u32,
    #[prost(message, repeated, tag = "2")]
    inputs: Vec<Input>,
    #[prost(message, repeated, tag = "3")]
    outputs: Vec<Output>,
    #[prost(uint64, tag = "4")]
    lock_time: u64,
    #[prost(message, optional, tag = "5")]
    subnetwork_id: Option<SubnetworkId>,
    #[prost(uint64, tag = "6")]
    gas: u64,
    #[prost(bytes = "vec", tag = "8")]
    payload: Vec<u8>,
    #[prost(uint64, tag = "9")]
    storage_mass: u64,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
struct Input {
    #[prost(message, optional, tag = "1")]
    previous_outpoint: Option<Outpoint>,
    #[prost(bytes = "vec", tag = "2")]
    signature_script: Vec<u8>,
    #[prost(uint64, tag = "3")]
    sequence: u64,
    #[prost(uint32, tag = "4")]
    compute_commit: u32,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
struct Outpoint {
    #[prost(message, optional, tag = "1")]
    transaction_id: Option<Hash32>,
    #[prost(uint32, tag = "2")]
    index: u32,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
struct Output {
    #[prost(uint64, tag = "1")]
    value: u64,
    #[prost(message, optional, tag = "2")]
    script_public_key: Option<ScriptPublicKey>,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
struct ScriptPublicKey {
    #[prost(bytes = "vec", tag = "1")]
    script: Vec<u8>,
    #[prost(uint32, tag = "2")]
    version: u32,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
struct SubnetworkId {
    #[prost(bytes = "vec", tag = "1")]
    bytes: Vec<u8>,
}
