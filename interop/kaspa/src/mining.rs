//! Mines on a kaspad through its RPC, and turns what the RPC calls a block into what the wire calls one (Kaspa spec,
//! sections 7.3 to 7.5).

use crate::client::hashing::hash_of;
use crate::client::wire::{
    Block, Hash, Hash32, Header, Input, LevelParents, Outpoint, Output, ScriptPublicKey, SubnetworkId, Transaction,
    hash,
};
use crate::rpc::Rpc;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Pays to the script `51`, which needs no key (Kaspa spec, section 5.8).
pub(crate) const ADDRESS: &str = "kaspasim:pr89wgtzs5f9qphvrqvhhkqcggsua7j4nwc8npqsmxd9hwjmqlx36x509ft6l";

/// A block that a node took.
#[derive(Clone, Debug)]
pub(crate) struct Mined {
    /// Its hash.
    pub(crate) hash: Hash32,
    /// As the wire has it.
    pub(crate) block: Block,
}

/// Gives blocks the timestamps of a network that makes ten a second. Without it a short difficulty window multiplies
/// the difficulty at every block until the node dies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    base_ms: u64,
}

impl Pace {
    /// So that the block with this DAA score lands so long ago.
    pub(crate) fn until(daa_score: u64, ago: Duration) -> Self {
        let last = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(ago);
        Self { base_ms: u64::try_from(last.as_millis()).unwrap_or_default().saturating_sub(daa_score * 100) }
    }
}

/// Asks for a template that no other equals.
pub(crate) async fn template(rpc: &Rpc) -> Result<Value> {
    static EXTRA: AtomicU64 = AtomicU64::new(1);
    let extra = EXTRA.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    let mut answer = rpc.call("getBlockTemplate", json!({ "payAddress": ADDRESS, "extraData": extra })).await?;
    answer.get_mut("block").map(Value::take).context("the template has no block")
}

/// Submits a template.
pub(crate) async fn submit(rpc: &Rpc, block: &Value) -> Result<()> {
    let answer = rpc.call("submitBlock", json!({ "block": block, "allowNonDaaBlocks": false })).await?;
    let report = answer.get("report").and_then(|report| report.get("type")).and_then(Value::as_str);
    ensure!(report == Some("success"), "a block is not taken: {answer}");
    Ok(())
}

/// Mines blocks as fast as the RPC goes, so many abreast.
pub(crate) async fn mine(rpc: &Rpc, count: usize, abreast: usize, pace: Option<Pace>) -> Result<Vec<Mined>> {
    let mut mined = Vec::with_capacity(count);
    while mined.len() < count {
        let mut templates = Vec::new();
        for _ in 0..abreast.min(count - mined.len()) {
            let mut block = template(rpc).await?;
            if let Some(pace) = pace {
                let daa_score = block["header"]["daaScore"].as_u64().context("daaScore")?;
                block["header"]["timestamp"] = json!(pace.base_ms + 100 * daa_score);
            }
            templates.push(block);
        }
        for block in templates {
            submit(rpc, &block).await?;
            let block = wire_block(&block)?;
            mined.push(Mined { hash: hash_of(&block), block });
        }
    }
    Ok(mined)
}

/// A block that the node holds.
pub(crate) async fn block(rpc: &Rpc, hash: &Hash32) -> Result<Block> {
    let params = json!({ "hash": const_hex::encode(hash), "includeTransactions": true });
    wire_block(rpc.call("getBlock", params).await?.get("block").context("getBlock has no block")?)
}

/// A hash of the RPC.
pub(crate) fn wire_hash(value: &Value) -> Result<Hash32> {
    Ok(const_hex::decode_to_array(text(value)?)?)
}

/// A block of the RPC as the wire has it.
pub(crate) fn wire_block(block: &Value) -> Result<Block> {
    let header = wire_header(block.get("header").context("a block without header")?)?;
    let transactions = list(&block["transactions"])?.iter().map(wire_transaction).collect::<Result<_>>()?;
    Ok(Block { header: Some(header), transactions })
}

fn wire_header(header: &Value) -> Result<Header> {
    let root = |name: &str| -> Result<Option<Hash>> { Ok(hash(&wire_hash(&header[name])?)) };
    Ok(Header {
        version: small(&header["version"])?,
        hash_merkle_root: root("hashMerkleRoot")?,
        accepted_id_merkle_root: root("acceptedIdMerkleRoot")?,
        utxo_commitment: root("utxoCommitment")?,
        timestamp: i64::try_from(number(&header["timestamp"])?)?,
        bits: small(&header["bits"])?,
        nonce: number(&header["nonce"])?,
        daa_score: number(&header["daaScore"])?,
        blue_work: blue_work(text(&header["blueWork"])?)?,
        parents: runs(list(&header["parentsByLevel"])?)?,
        blue_score: number(&header["blueScore"])?,
        pruning_point: root("pruningPoint")?,
    })
}

/// Consecutive equal levels become one run.
fn runs(levels: &[Value]) -> Result<Vec<LevelParents>> {
    let mut runs: Vec<LevelParents> = Vec::new();
    for (level, parents) in (1..).zip(levels) {
        let parent_hashes = list(parents)?.iter().map(|one| Ok(Hash { bytes: wire_hash(one)?.to_vec() }));
        let parent_hashes = parent_hashes.collect::<Result<Vec<_>>>()?;
        match runs.last_mut().filter(|run| run.parent_hashes == parent_hashes) {
            Some(run) => run.cumulative_level = level,
            None => runs.push(LevelParents { parent_hashes, cumulative_level: level }),
        }
    }
    Ok(runs)
}

fn blue_work(hex: &str) -> Result<Vec<u8>> {
    let digits = hex.trim_start_matches('0');
    let even = if digits.len().is_multiple_of(2) { digits.to_owned() } else { format!("0{digits}") };
    Ok(const_hex::decode(even)?)
}

fn wire_transaction(transaction: &Value) -> Result<Transaction> {
    let version = small(&transaction["version"])?;
    let mass = [&transaction["storageMass"], &transaction["mass"]].into_iter().find_map(Value::as_u64);
    let inputs = list(&transaction["inputs"])?.iter().map(|input| wire_input(version, input));
    Ok(Transaction {
        version,
        inputs: inputs.collect::<Result<_>>()?,
        outputs: list(&transaction["outputs"])?.iter().map(wire_output).collect::<Result<_>>()?,
        lock_time: number(&transaction["lockTime"])?,
        subnetwork_id: Some(SubnetworkId { bytes: const_hex::decode(text(&transaction["subnetworkId"])?)? }),
        gas: number(&transaction["gas"])?,
        payload: const_hex::decode(text(&transaction["payload"])?)?,
        storage_mass: mass.unwrap_or_default(),
    })
}

fn wire_input(version: u32, input: &Value) -> Result<Input> {
    let outpoint = &input["previousOutpoint"];
    let commit = if version == 0 { &input["sigOpCount"] } else { &input["computeBudget"] };
    Ok(Input {
        previous_outpoint: Some(wire_outpoint(outpoint)?),
        signature_script: const_hex::decode(text(&input["signatureScript"])?)?,
        sequence: number(&input["sequence"])?,
        compute_commit: u32::try_from(commit.as_u64().unwrap_or_default())?,
    })
}

/// An outpoint of the RPC as the wire has it.
pub(crate) fn wire_outpoint(outpoint: &Value) -> Result<Outpoint> {
    Ok(Outpoint { transaction_id: hash(&wire_hash(&outpoint["transactionId"])?), index: small(&outpoint["index"])? })
}

fn wire_output(output: &Value) -> Result<Output> {
    ensure!(output.get("covenant").is_none_or(Value::is_null), "no row makes covenants");
    let bytes = const_hex::decode(text(&output["scriptPublicKey"])?)?;
    let (version, script) = bytes.split_first_chunk::<2>().context("a script without version")?;
    let script = ScriptPublicKey { script: script.to_vec(), version: u16::from_be_bytes(*version).into() };
    Ok(Output { value: number(&output["value"])?, script_public_key: Some(script), covenant: None })
}

fn text(value: &Value) -> Result<&str> {
    value.as_str().with_context(|| format!("no text: {value}"))
}

/// A number of the RPC.
pub(crate) fn number(value: &Value) -> Result<u64> {
    value.as_u64().with_context(|| format!("no number: {value}"))
}

fn small(value: &Value) -> Result<u32> {
    Ok(u32::try_from(number(value)?)?)
}

fn list(value: &Value) -> Result<&[Value]> {
    value.as_array().map(Vec::as_slice).with_context(|| format!("no list: {value}"))
}
