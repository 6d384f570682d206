//! Compares what is read of the fixtures with what the manifest says of them.

use super::fixtures::all;
use bytes::Bytes;
use polypeer_kaspa::wire::*;
use serde_json::{Map, Value, json};

/// What the manifest says beside the message: where it comes from, and what is told apart elsewhere.
const ASIDE: [&str; 12] = [
    "file",
    "bytes",
    "sha256",
    "kind",
    "request_id",
    "response_id",
    "direction",
    "note",
    "shortcut_rule",
    "muhash_of_full_and_last",
    "antipast_of",
    "blue_scores",
];

#[test]
fn every_value_of_the_manifest_is_read() {
    let mut compared = 0;
    for fixture in all() {
        let envelope = fixture.envelope();
        let read = facts(envelope.kind, &envelope.body).expect("a fixture");
        for (key, said) in fixture.facts.as_object().expect("an object") {
            if ASIDE.contains(&key.as_str()) || is_aside(envelope.kind, key) {
                continue;
            }
            assert_eq!(read.get(key), Some(said), "{}: {key}", fixture.name);
            compared += 1;
        }
    }
    assert_eq!(compared, 270);
}

// Keys that name the question or the network, not the message.
fn is_aside(kind: Kind, key: &str) -> bool {
    match key {
        "network" => kind != Kind::Version,
        "low" | "context" => kind == Kind::BlockHeaders,
        "block" => kind == Kind::BlockBody,
        "pruning_point" => matches!(kind, Kind::PruningPointUtxoSetChunk | Kind::SmtMetadata),
        _ => false,
    }
}

fn facts(kind: Kind, body: &Bytes) -> Result<Map<String, Value>, WireError> {
    let value = match kind {
        Kind::Version => version(&Version::decode(body)?),
        Kind::Ping | Kind::Pong => json!({ "nonce": Nonce::decode(body)?.0 }),
        Kind::Reject => json!({ "reason": Reject::decode(body)?.reason }),
        Kind::Addresses => addresses(&Addresses::decode(body, ADDRESSES_MAX)?),
        Kind::InvRelayBlock => json!({ "hash": hex(OneHash::decode(body)?.0) }),
        Kind::TransactionNotFound => json!({ "id": hex(OneHash::decode(body)?.0) }),
        Kind::RequestHeaders => {
            let TwoHashes { low, high } = TwoHashes::decode(body)?;
            json!({ "low": hex(low), "high": hex(high) })
        }
        Kind::RequestAntipast => {
            let TwoHashes { low, high } = TwoHashes::decode(body)?;
            json!({ "block": hex(low), "context": hex(high) })
        }
        Kind::RequestIbdChainBlockLocator => {
            let OptionalHashes { low, high } = OptionalHashes::decode(body)?;
            json!({ "low": low.map(hex), "high": high.map(hex) })
        }
        Kind::RequestBlockLocator => {
            let RequestBlockLocator { high, limit } = RequestBlockLocator::decode(body)?;
            json!({ "high": hex(high), "limit": limit })
        }
        Kind::RequestRelayBlocks
        | Kind::BlockLocator
        | Kind::InvTransactions
        | Kind::RequestTransactions
        | Kind::RequestBlockBodies
        | Kind::IbdChainBlockLocator => hashes(Hashes::read(kind, body)?.iter().map(hex).collect()),
        Kind::Transaction => transaction(&TransactionView::decode(body)?),
        Kind::Block | Kind::IbdBlock => block(&BlockView::decode(body)?)?,
        Kind::BlockBody => {
            let body = BlockBody::decode(body)?;
            json!({ "transactions": body.0.len(), "merkle_root": hex(body.merkle_root()?) })
        }
        _ => import(kind, body)?,
    };
    Ok(value.as_object().cloned().unwrap_or_default())
}

fn import(kind: Kind, body: &Bytes) -> Result<Value, WireError> {
    Ok(match kind {
        Kind::BlockHeaders | Kind::PruningPoints => headers(&Items::decode(body, CHUNK_ITEMS_MAX)?)?,
        Kind::PruningPointProofChunk => {
            let chunk = ProofChunk::decode(body)?;
            let mut facts = headers(&chunk.headers)?;
            facts["level"] = chunk.level.into();
            facts
        }
        Kind::PruningPointProof => {
            let levels = Items::decode(body, 256)?;
            let level_0 = Items::decode(&levels.iter().next().expect("a level"), CHUNK_ITEMS_MAX)?;
            let facts = headers(&level_0)?;
            json!({ "levels": levels.len(), "level0": level_0.len(), "last": facts["last"] })
        }
        Kind::TrustedDataChunk => trusted(&Items::decode(body, CHUNK_ITEMS_MAX)?)?,
        Kind::TrustedData => {
            let data = TrustedData::decode(body, CHUNK_ITEMS_MAX)?;
            let mut facts = trusted(&data.blocks)?;
            facts["pairs"] = data.pairs.len().into();
            facts
        }
        Kind::BlockWithTrustedDataV4 => {
            let block = BlockView::decode(BlockWithTrustedData::decode(body)?.0)?;
            json!({ "hash": hex(block.header()?.hash()), "transactions": block.transaction_count })
        }
        Kind::PruningPointUtxoSetChunk => utxos(&Items::decode(body, UTXOS_PER_CHUNK_MAX)?)?,
        Kind::SmtMetadata => {
            let SmtMetadata { lanes_root, payload_and_context, parent_commitment, lane_count } =
                SmtMetadata::decode(body)?;
            json!({
                "lanes_root": hex(lanes_root), "payload_and_context": hex(payload_and_context),
                "parent_commitment": hex(parent_commitment), "lanes": lane_count,
            })
        }
        Kind::SmtLaneChunk => lanes(&decode_lanes(body)?)?,
        _ => json!({}),
    })
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    const_hex::encode(bytes)
}

fn version(version: &Version) -> Value {
    json!({
        "protocol_version": version.protocol_version, "services": version.services, "timestamp": version.timestamp,
        "id": hex(version.id), "user_agent": version.user_agent, "network": version.network,
        "has_address": version.address.is_some(),
    })
}

fn addresses(addresses: &Addresses) -> Value {
    let first: Vec<Value> = addresses.0.iter().take(4).map(|entry| json!([entry.ip.to_string(), entry.port])).collect();
    json!({ "count": addresses.0.len(), "first": first })
}

fn hashes(hashes: Vec<String>) -> Value {
    json!({ "count": hashes.len(), "first": hashes.first(), "last": hashes.last(), "ids": hashes, "hashes": hashes })
}

fn transaction(transaction: &TransactionView<'_>) -> Value {
    json!({
        "id": hex(transaction.id()), "hash": hex(transaction.hash()), "version": transaction.version,
        "inputs": transaction.input_count, "outputs": transaction.output_count, "payload": hex(transaction.payload),
        "storage_mass": transaction.storage_mass, "subnetwork_id": hex(transaction.subnetwork_id),
        "lock_time": transaction.lock_time,
    })
}

fn block(block: &BlockView<'_>) -> Result<Value, WireError> {
    let header = block.header()?;
    let ids = block.transactions().map(|bytes| Ok(hex(TransactionView::decode(bytes)?.id())));
    let ids = ids.collect::<Result<Vec<_>, WireError>>()?;
    let runs: Vec<Value> = header.parents.runs().map(|(levels, hashes)| json!([hashes.len(), levels])).collect();
    assert_eq!(block.merkle_root()?, header.hash_merkle_root);
    Ok(json!({
        "hash": hex(header.hash()), "version": header.version, "transactions": block.transaction_count,
        "tx_ids": ids, "merkle_root": hex(header.hash_merkle_root), "blue_score": header.blue_score,
        "daa_score": header.daa_score, "blue_work": hex(header.blue_work.digits()), "timestamp": header.timestamp,
        "bits": header.bits, "nonce": header.nonce, "levels": header.parents.level_count(), "parent_runs": runs,
        "direct_parents": header.direct_parents().iter().map(hex).collect::<Vec<_>>(),
        "pruning_point": hex(header.pruning_point),
    }))
}

// The manifest names three hashes of a batch and all of a short list.
fn headers(headers: &Items) -> Result<Value, WireError> {
    let all = headers.slices().map(|bytes| Ok(hex(Header::decode(bytes)?.hash())));
    let all = all.collect::<Result<Vec<_>, WireError>>()?;
    let shown = if all.len() > 4 { 3 } else { all.len() };
    Ok(json!({ "count": all.len(), "first": all.first(), "last": all.last(), "hashes": all[..shown] }))
}

fn trusted(blocks: &Items) -> Result<Value, WireError> {
    let first = TrustedBlock::decode(blocks.slices().next().unwrap_or_default())?;
    let ghostdag = Ghostdag::decode(first.ghostdag)?;
    let header = Header::decode(first.header)?;
    assert_eq!((ghostdag.blue_score, ghostdag.blue_work), (header.blue_score, header.blue_work));
    assert_eq!(Some(&ghostdag.selected_parent), ghostdag.blues.first());
    Ok(json!({
        "count": blocks.len(), "first": hex(header.hash()), "first_merge_set_blues": ghostdag.blues.len(),
    }))
}

fn utxos(utxos: &Items) -> Result<Value, WireError> {
    let first = utxos.slices().next().map(Utxo::decode).transpose()?.map(|utxo| {
        let Outpoint { transaction_id, index } = utxo.outpoint;
        json!([hex(transaction_id), index, utxo.amount, utxo.daa_score, utxo.is_coinbase])
    });
    Ok(json!({ "count": utxos.len(), "first": first }))
}

fn lanes(lanes: &Items) -> Result<Value, WireError> {
    let lanes = lanes.slices().map(SmtLane::decode).collect::<Result<Vec<_>, _>>()?;
    assert!(lanes.is_sorted_by_key(|lane| lane.key));
    Ok(json!({
        "count": lanes.len(), "first_key": hex(lanes[0].key), "first_tip": hex(lanes[0].tip),
        "first_blue_score": lanes[0].blue_score,
        "proof_lens": lanes.iter().map(|lane| lane.proof.len()).collect::<Vec<_>>(),
    }))
}
