//! Answers what a protocol asks its ledger: right or by chance, as the input says. It keeps no state.

use arbitrary::{Result, Unstructured};
use bytes::Bytes;
use polypeer_engine::kit::chain::{
    Answer, BlockFault, BlockKey, BlockOutcome, Hash, Request, Tip, TransactionFault, TransactionOutcome,
};
use polypeer_ledger_reference::{Format, Header, NetworkParameters, encode_block, merkle_root};
use std::sync::LazyLock;

use polypeer_engine::kit::chain::ChainFormat;

/// Blocks of the chain that answers speak of. Their proof of work is not done: no protocol looks at it.
pub const CHAIN_BLOCKS: usize = 200;

static CHAIN: LazyLock<Vec<(Hash, Bytes)>> = LazyLock::new(|| {
    let genesis = NetworkParameters::anya_devnet().build().expect("the preset builds");
    let mut chain = vec![(genesis.genesis_hash(), genesis.genesis().clone())];
    for height in 1..CHAIN_BLOCKS as u64 {
        let header = Header {
            version: 1,
            parent: chain[chain.len() - 1].0,
            height,
            time: 1_767_225_600_000 + height,
            root: merkle_root(&[]),
            producer: [0; 32],
            target: [0x20, 0, 0xff, 0xff],
            nonce: height,
            reserved: [0; 4],
        };
        let block = Bytes::from(encode_block(&header, &[]));
        let hash = Format::head(&block).expect("a block of ours").hash;
        chain.push((hash, block));
    }
    chain
});

/// The hash and the bytes of one block of the chain; genesis is that of `anya-devnet`.
pub fn block(height: usize) -> &'static (Hash, Bytes) {
    &CHAIN[height % CHAIN_BLOCKS]
}

/// The end of the chain when it has this height.
pub fn tip(height: usize) -> Tip {
    let height = height % CHAIN_BLOCKS;
    Tip { hash: block(height).0, height: height as u64, work: (height as u128 + 1) * 256, genesis: block(0).0 }
}

/// An answer to `request`, or nothing when none is due.
pub fn answer(request: &Request, u: &mut Unstructured<'_>) -> Result<Option<Answer>> {
    let tip = tip(usize::from(u.arbitrary::<u8>()?));
    Ok(Some(match request {
        Request::Tip => Answer::Tip(tip),
        Request::TakeBlock(bytes) => {
            let hash = Format::head(bytes).map_or(Hash::ZERO, |head| head.hash);
            Answer::BlockTaken { hash, outcome: block_outcome(u)? }
        }
        Request::TakeTransactions { transactions, .. } => {
            let judge = |bytes: &Bytes| Ok((Format::transaction_id(bytes), transaction_outcome(u)?));
            Answer::TransactionsTaken(transactions.iter().map(judge).collect::<Result<_>>()?)
        }
        Request::Block(key) => {
            let found = CHAIN.iter().enumerate().find(|(height, (hash, _))| match key {
                BlockKey::Hash(wanted) => wanted == hash,
                BlockKey::Height(wanted) => *wanted == *height as u64,
            });
            Answer::Block(found.map(|(_, (_, bytes))| bytes.clone()))
        }
        Request::Hashes { from, count } => {
            let from = (*from).min(tip.height + 1);
            let end = from.saturating_add(u64::from(*count)).min(tip.height + 1);
            let hashes = (from..end).map(|height| block(height as usize).0).collect();
            let parent = from.checked_sub(1).map_or(Hash::ZERO, |below| block(below as usize).0);
            Answer::Hashes { from, parent, hashes, tip }
        }
        Request::HashesAt(heights) => {
            let held = heights.iter().filter(|height| **height <= tip.height);
            Answer::HashesAt { hashes: held.map(|height| (*height, block(*height as usize).0)).collect(), tip }
        }
        Request::Missing(asked) | Request::MissingTransactions(asked) => {
            let kept = u.arbitrary::<bool>()?;
            Answer::Missing(asked.iter().filter(|_| kept).copied().collect())
        }
        Request::Waiting { .. } => {
            Answer::Waiting(vec![Bytes::from_static(&[7; 153]); usize::from(u.arbitrary::<u8>()? % 4)])
        }
        Request::WaitingIds(count) => Answer::WaitingIds(vec![Hash([7; 32]); (*count).min(3) as usize]),
        Request::Transaction(_) => Answer::Transaction(u.arbitrary::<bool>()?.then(|| Bytes::from_static(&[7; 153]))),
        Request::CatchingUp(_) => return Ok(None),
    }))
}

/// Something that a ledger says unasked.
pub fn unasked(u: &mut Unstructured<'_>) -> Result<Answer> {
    let height = usize::from(u.arbitrary::<u8>()?);
    if u.arbitrary::<bool>()? {
        return Ok(Answer::NewTip { tip: tip(height), block: block(height).1.clone() });
    }
    let transaction = Bytes::from(vec![u.arbitrary::<u8>()?; 153]);
    Ok(Answer::NewTransaction { id: Format::transaction_id(&transaction), transaction })
}

fn block_outcome(u: &mut Unstructured<'_>) -> Result<BlockOutcome> {
    Ok(*u.choose(&[
        BlockOutcome::Accepted,
        BlockOutcome::Accepted,
        BlockOutcome::Known,
        BlockOutcome::ParentUnknown,
        BlockOutcome::Held,
        BlockOutcome::Invalid(BlockFault::Body),
        BlockOutcome::Invalid(BlockFault::Header),
        BlockOutcome::Invalid(BlockFault::State),
        BlockOutcome::NoRoom,
    ])?)
}

fn transaction_outcome(u: &mut Unstructured<'_>) -> Result<TransactionOutcome> {
    Ok(*u.choose(&[
        TransactionOutcome::Accepted,
        TransactionOutcome::Accepted,
        TransactionOutcome::Known,
        TransactionOutcome::NeverValid(TransactionFault::Signature),
        TransactionOutcome::NotNow(TransactionFault::Sequence),
    ])?)
}
