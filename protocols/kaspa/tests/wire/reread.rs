//! Reads messages down to their last field and writes them again.

use bytes::Bytes;
use polypeer_kaspa::wire::*;

/// The message's bytes, made anew from everything that was read of it.
pub(crate) fn reread(kind: Kind, body: &Bytes) -> Result<Bytes, WireError> {
    Ok(match kind {
        Kind::Version => Version::decode(body)?.encode(),
        Kind::Ping | Kind::Pong => Nonce::decode(body)?.encode(),
        Kind::Reject => Reject::decode(body)?.encode(),
        Kind::RequestAddresses => RequestAddresses::decode(body)?.encode(),
        Kind::Addresses => Addresses::decode(body, ADDRESSES_MAX)?.encode(),
        Kind::InvRelayBlock
        | Kind::TransactionNotFound
        | Kind::RequestPruningPointUtxoSet
        | Kind::RequestPruningPointSmtState
        | Kind::IbdBlockLocatorHighestHash => OneHash::decode(body)?.encode(),
        Kind::RequestHeaders | Kind::RequestAntipast => TwoHashes::decode(body)?.encode(),
        Kind::RequestIbdChainBlockLocator => OptionalHashes::decode(body)?.encode(),
        Kind::RequestBlockLocator => RequestBlockLocator::decode(body)?.encode(),
        Kind::IbdBlockLocator => IbdBlockLocator::decode(body, CHAIN_LOCATOR_MAX)?.encode(),
        Kind::RequestRelayBlocks
        | Kind::BlockLocator
        | Kind::InvTransactions
        | Kind::RequestTransactions
        | Kind::RequestIbdBlocks
        | Kind::RequestBlockBodies
        | Kind::IbdChainBlockLocator => Hashes::from_iter(Hashes::read(kind, body)?.iter()).encode(),
        Kind::Block | Kind::IbdBlock => block(body)?,
        Kind::BlockBody => items(&BlockBody::decode(body)?.0, transaction)?.encode(),
        Kind::Transaction => transaction(body)?,
        _ => reread_import(kind, body)?,
    })
}

// The messages of a pruned node's import, and those without fields.
fn reread_import(kind: Kind, body: &Bytes) -> Result<Bytes, WireError> {
    Ok(match kind {
        Kind::BlockHeaders | Kind::PruningPoints => headers(&Items::decode(body, CHUNK_ITEMS_MAX)?)?.encode(),
        Kind::PruningPointProof => proof(body)?,
        Kind::PruningPointProofChunk => {
            let chunk = ProofChunk::decode(body)?;
            ProofChunk { headers: headers(&chunk.headers)?, level: chunk.level }.encode()
        }
        Kind::TrustedDataChunk => items(&Items::decode(body, CHUNK_ITEMS_MAX)?, trusted_block)?.encode(),
        Kind::TrustedData => {
            let data = TrustedData::decode(body, CHUNK_ITEMS_MAX)?;
            TrustedData { blocks: items(&data.blocks, trusted_block)?, pairs: items(&data.pairs, trusted_hash)? }
                .encode()
        }
        Kind::BlockWithTrustedDataV4 => BlockWithTrustedData(&block(BlockWithTrustedData::decode(body)?.0)?).encode(),
        Kind::PruningPointUtxoSetChunk => {
            items(&Items::decode(body, UTXOS_PER_CHUNK_MAX)?, |utxo| Ok(Utxo::decode(utxo)?.encode()))?.encode()
        }
        Kind::SmtMetadata => SmtMetadata::decode(body)?.encode(),
        Kind::SmtLaneChunk => items(&decode_lanes(body)?, |lane| Ok(SmtLane::decode(lane)?.encode()))?.encode(),
        Kind::BlockWithTrustedData => {
            let old = OldBlockWithTrustedData::decode(body, CHUNK_ITEMS_MAX)?;
            OldBlockWithTrustedData { block: block(&old.block)?, pairs: items(&old.pairs, trusted_hash)?, ..old }
                .encode()
        }
        _ => {
            decode_empty(body)?;
            Bytes::new()
        }
    })
}

fn items(list: &Items, each: impl Fn(&[u8]) -> Result<Bytes, WireError>) -> Result<Items, WireError> {
    let again = list.slices().map(each).collect::<Result<Vec<_>, _>>()?;
    assert_eq!(again.len(), list.len());
    Ok(Items::of(again.iter().map(Bytes::as_ref)))
}

fn headers(list: &Items) -> Result<Items, WireError> {
    items(list, |header| Ok(Header::decode(header)?.encode()))
}

fn proof(body: &Bytes) -> Result<Bytes, WireError> {
    let levels = Items::decode(body, 256)?;
    let again = levels.iter().map(|level| Ok(headers(&Items::decode(&level, CHUNK_ITEMS_MAX)?)?.encode()));
    let again = again.collect::<Result<Vec<_>, WireError>>()?;
    Ok(Items::of(again.iter().map(Bytes::as_ref)).encode())
}

fn transaction(message: &[u8]) -> Result<Bytes, WireError> {
    let view = TransactionView::decode(message)?;
    let parts = view.parts();
    assert_eq!((parts.inputs.len(), parts.outputs.len()), (view.input_count, view.output_count));
    Ok(parts.encode())
}

fn block(message: &[u8]) -> Result<Bytes, WireError> {
    let view = BlockView::decode(message)?;
    let header = view.header()?.encode();
    let transactions = view.transactions().map(transaction).collect::<Result<Vec<_>, _>>()?;
    assert_eq!(transactions.len(), view.transaction_count);
    Ok(encode_block(&header, transactions.iter().map(Bytes::as_ref)))
}

fn trusted_block(message: &[u8]) -> Result<Bytes, WireError> {
    let block = TrustedBlock::decode(message)?;
    let header = Header::decode(block.header)?.encode();
    Ok(TrustedBlock { header: &header, ghostdag: &Ghostdag::decode(block.ghostdag)?.encode() }.encode())
}

fn trusted_hash(message: &[u8]) -> Result<Bytes, WireError> {
    let pair = TrustedHash::decode(message)?;
    Ok(TrustedHash { ghostdag: &Ghostdag::decode(pair.ghostdag)?.encode(), ..pair }.encode())
}
