//! Makes transactions that need no key: they spend what was mined to the script `51` (Kaspa spec, section 7.6).

use crate::client::hashing::{script_hash, transaction_id};
use crate::client::wire::{Hash32, Input, Outpoint, Output, ScriptPublicKey, SubnetworkId, Transaction, get};
use crate::mining::{ADDRESS, number, wire_hash, wire_outpoint};
use crate::rpc::Rpc;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

/// A coinbase can be spent this many DAA score units later, on the network as it is.
pub(crate) const MATURITY: u64 = 1_000;
/// More than the 57,100 sompi that a spend with one input and one output must pay.
const FEE: u64 = 100_000;
/// The script that anybody can satisfy.
const REDEEM: [u8; 1] = [0x51];

/// An output that can be spent now.
#[derive(Clone, Debug)]
pub(crate) struct Coin {
    outpoint: Outpoint,
    amount: u64,
}

/// The outputs that can be spent now, oldest first.
pub(crate) async fn coins(rpc: &Rpc, maturity: u64) -> Result<Vec<Coin>> {
    let now = number(&rpc.call("getServerInfo", json!({})).await?["virtualDaaScore"])?;
    let answer = rpc.call("getUtxosByAddresses", json!({ "addresses": [ADDRESS] })).await?;
    let entries = answer.get("entries").and_then(Value::as_array).context("getUtxosByAddresses has no entries")?;
    let mut coins = Vec::new();
    for entry in entries {
        let utxo = &entry["utxoEntry"];
        let born = number(&utxo["blockDaaScore"])?;
        if born + maturity < now {
            let coin = Coin { outpoint: wire_outpoint(&entry["outpoint"])?, amount: number(&utxo["amount"])? };
            coins.push((born, coin));
        }
    }
    coins.sort_by_key(|(born, _)| *born);
    Ok(coins.into_iter().map(|(_, coin)| coin).collect())
}

/// A transaction that spends a coin to where it came from.
pub(crate) fn spend(coin: &Coin) -> Transaction {
    let input = Input {
        previous_outpoint: Some(coin.outpoint.clone()),
        signature_script: vec![1, REDEEM[0]],
        sequence: 0,
        compute_commit: 0,
    };
    let script = [[0xaa, 0x20].as_slice(), &script_hash(&REDEEM), &[0x87]].concat();
    let script = ScriptPublicKey { script, version: 0 };
    Transaction {
        version: 0,
        inputs: vec![input],
        outputs: vec![Output {
            value: coin.amount.saturating_sub(FEE),
            script_public_key: Some(script),
            covenant: None,
        }],
        subnetwork_id: Some(SubnetworkId { bytes: vec![0; 20] }),
        ..Transaction::default()
    }
}

/// Submits a transaction; the node must call it as we do.
pub(crate) async fn submit(rpc: &Rpc, transaction: &Transaction) -> Result<Hash32> {
    let params = json!({ "transaction": as_json(transaction), "allowOrphan": false });
    let answer = rpc.call("submitTransaction", params).await?;
    let theirs = wire_hash(&answer["transactionId"])?;
    let ours = transaction_id(transaction);
    ensure!(theirs == ours, "the node calls {} what we call {}", const_hex::encode(theirs), const_hex::encode(ours));
    Ok(ours)
}

/// Whether a transaction is in the node's mempool.
pub(crate) async fn waits(rpc: &Rpc, id: &Hash32) -> bool {
    let params =
        json!({ "transactionId": const_hex::encode(id), "includeOrphanPool": false, "filterTransactionPool": false });
    rpc.call("getMempoolEntry", params).await.is_ok()
}

fn as_json(transaction: &Transaction) -> Value {
    let inputs: Vec<Value> = transaction.inputs.iter().map(input_as_json).collect();
    let outputs: Vec<Value> = transaction.outputs.iter().map(output_as_json).collect();
    let subnetwork_id: Vec<u8> = transaction.subnetwork_id.iter().flat_map(|id| id.bytes.clone()).collect();
    json!({
        "version": transaction.version,
        "inputs": inputs,
        "outputs": outputs,
        "lockTime": transaction.lock_time,
        "subnetworkId": const_hex::encode(subnetwork_id),
        "gas": transaction.gas,
        "payload": const_hex::encode(&transaction.payload),
        "storageMass": transaction.storage_mass,
        "verboseData": null,
    })
}

fn input_as_json(input: &Input) -> Value {
    let outpoint = input.previous_outpoint.clone().unwrap_or_default();
    let id = const_hex::encode(get(outpoint.transaction_id.as_ref()));
    json!({
        "previousOutpoint": { "transactionId": id, "index": outpoint.index },
        "signatureScript": const_hex::encode(&input.signature_script),
        "sequence": input.sequence,
        "sigOpCount": input.compute_commit,
        "computeBudget": 0,
        "verboseData": null,
    })
}

fn output_as_json(output: &Output) -> Value {
    let script = output.script_public_key.clone().unwrap_or_default();
    let version = u16::try_from(script.version).unwrap_or_default().to_be_bytes();
    json!({
        "value": output.value,
        "scriptPublicKey": const_hex::encode([version.as_slice(), &script.script].concat()),
        "verboseData": null,
        "covenant": null,
    })
}
