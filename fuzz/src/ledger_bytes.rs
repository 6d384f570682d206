//! Breaks the ledger's bytes: blocks, headers, transactions.

use polypeer_engine::kit::chain::ChainFormat;
use polypeer_ledger_reference::{
    EMPTY_BLOCK_BYTES, Format, HEADER_BYTES, Header, TRANSACTION_BYTES, Target, Transaction, encode_block, merkle_root,
    transaction_id,
};

/// A block or transaction has one encoding, and its head says what its header says.
pub fn blocks(bytes: &[u8]) {
    if let Ok(transaction) = Transaction::decode(bytes) {
        assert_eq!(bytes.len(), TRANSACTION_BYTES);
        assert_ne!(transaction.sender, transaction.recipient);
    }
    if let Some(header) = bytes.first_chunk::<HEADER_BYTES>() {
        assert_eq!(Header::decode(header).encode(), *header);
    }
    let Some(head) = Format::head(bytes) else { return };
    let header = Header::decode(bytes.first_chunk().expect("a block has a header"));
    assert_eq!((head.hash, head.parent, head.height), (header.hash(), header.parent, header.height));
    let (transactions, left) = bytes[EMPTY_BLOCK_BYTES..].as_chunks::<TRANSACTION_BYTES>();
    assert!(left.is_empty());
    assert_eq!(encode_block(&header, transactions), bytes);
    let ids: Vec<_> = transactions.iter().map(|transaction| transaction_id(transaction)).collect();
    let _ = merkle_root(&ids);
    if let Some(target) = Target::from_compact(header.target) {
        assert_eq!(Target::from_compact(target.compact()), Some(target));
    }
}

/// The decoders once, for what they take in memory.
pub fn decode(bytes: &[u8]) {
    let _ = (Transaction::decode(bytes), Format::head(bytes));
}
