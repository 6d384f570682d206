//! A transaction's two names (Kaspa spec, section 5.3).

use super::{blake3, finish, keyed_blake2b, keyed_blake3};
use crate::wire::TransactionView;
use blake2b_simd::State;
use polypeer_engine::kit::chain::Hash;

/// Its identifier: without signatures and commitments to mass.
pub fn transaction_id(transaction: &TransactionView<'_>) -> Hash {
    if transaction.version == 0 {
        let mut state = keyed_blake2b("TransactionID");
        write(transaction, Parts { signatures: false, masses: false, payload: true }, &mut state);
        return finish(&state);
    }
    let mut rest = keyed_blake3("TransactionRest");
    write(transaction, Parts { signatures: false, masses: false, payload: false }, &mut rest);
    let payload = blake3("PayloadDigest", &[transaction.payload]);
    blake3("TransactionV1Id", &[&payload.0, rest.finalize().as_bytes()])
}

/// Its hash: of everything.
pub fn transaction_hash(transaction: &TransactionView<'_>) -> Hash {
    let mut state = keyed_blake2b("TransactionHash");
    write(transaction, Parts { signatures: true, masses: true, payload: true }, &mut state);
    finish(&state)
}

// Which parts are hashed beside those that always are.
#[derive(Clone, Copy)]
struct Parts {
    signatures: bool,
    masses: bool,
    payload: bool,
}

trait Sink {
    fn put(&mut self, bytes: &[u8]);

    fn put_long(&mut self, bytes: &[u8]) {
        self.put(&(bytes.len() as u64).to_le_bytes());
        self.put(bytes);
    }
}

impl Sink for State {
    fn put(&mut self, bytes: &[u8]) {
        self.update(bytes);
    }
}

impl Sink for blake3::Hasher {
    fn put(&mut self, bytes: &[u8]) {
        self.update(bytes);
    }
}

fn write(transaction: &TransactionView<'_>, parts: Parts, sink: &mut impl Sink) {
    sink.put(&transaction.version.to_le_bytes());
    write_inputs(transaction, parts, sink);
    write_outputs(transaction, sink);
    sink.put(&transaction.lock_time.to_le_bytes());
    sink.put(&transaction.subnetwork_id);
    sink.put(&transaction.gas.to_le_bytes());
    sink.put_long(if parts.payload { transaction.payload } else { &[] });
    if parts.masses && (transaction.version > 0 || transaction.storage_mass != 0) {
        sink.put(&transaction.storage_mass.to_le_bytes());
    }
}

fn write_inputs(transaction: &TransactionView<'_>, parts: Parts, sink: &mut impl Sink) {
    let is_old = transaction.version == 0;
    sink.put(&(transaction.input_count as u64).to_le_bytes());
    for input in transaction.inputs() {
        sink.put(&input.previous.transaction_id.0);
        sink.put(&input.previous.index.to_le_bytes());
        let [low, high] = input.compute_commit.to_le_bytes();
        sink.put_long(if parts.signatures { input.signature_script } else { &[] });
        if parts.signatures && is_old {
            sink.put(&[low]);
        }
        sink.put(&input.sequence.to_le_bytes());
        if parts.masses && !is_old {
            sink.put(&[low, high]);
        }
    }
}

fn write_outputs(transaction: &TransactionView<'_>, sink: &mut impl Sink) {
    sink.put(&(transaction.output_count as u64).to_le_bytes());
    for output in transaction.outputs() {
        sink.put(&output.value.to_le_bytes());
        sink.put(&output.script.version.to_le_bytes());
        sink.put_long(output.script.bytes);
        if transaction.version == 0 {
            continue;
        }
        sink.put(&[u8::from(output.covenant.is_some())]);
        if let Some(covenant) = &output.covenant {
            sink.put(&covenant.authorizing_input.to_le_bytes());
            sink.put(&covenant.id.0);
        }
    }
}
