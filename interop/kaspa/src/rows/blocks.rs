//! Relays blocks, good and bad ones (Kaspa spec, sections 4.3 and 4.4).

use super::{Row, Scene, row};
use crate::client::chain::{announce, offer};
use crate::client::hashing::{hash_of, merkle_root};
use crate::client::wire::{
    Block, BlockLocator, Hash32, InvRelayBlock, Payload, RequestHashes, get, get_all, hash, hashes,
};
use crate::client::{Peer, SHORTLY};
use anyhow::{Context, Result, bail, ensure};
use std::time::Duration;

pub(super) const ROWS: [Row; 6] = [
    row!(17, "blocks-asked", Both, false, blocks_asked),
    row!(18, "block-answers", Both, true, block_answers),
    row!(19, "known-block", Both, false, known_block),
    row!(20, "new-block", Both, false, new_block),
    row!(21, "bad-block", Both, false, bad_block),
    row!(22, "orphan", Both, false, orphan),
];

/// Long enough to see that nothing comes.
const NOTHING: Duration = Duration::from_secs(1);

async fn blocks_asked(scene: &Scene) -> Result<()> {
    scene.target.mine(2, 1).await?;
    let sink = scene.target.sink().await?;
    let unknown = [0x44; 32];
    let mut peer = scene.peer().await?;
    peer.ask(77, Payload::RequestRelayBlocks(RequestHashes { hashes: hashes([&sink, &unknown]) }));
    let (response_id, block) = peer
        .wait("Block", |message| match &message.payload {
            Some(Payload::Block(block)) => Some((message.response_id, block.clone())),
            _ => None,
        })
        .await?;
    ensure!(response_id == 77, "answered with id {response_id}");
    ensure!(hash_of(&block) == sink, "another block came");
    let root = block.header.as_ref().map(|header| get(header.hash_merkle_root.as_ref()));
    ensure!(root == Some(merkle_root(&block.transactions)), "the body is not that of the header");
    peer.rejected(&format!("cannot find full block {}", const_hex::encode(unknown))).await?;
    scene.peer().await.context("a reconnect right after")?.open().await
}

async fn block_answers(scene: &Scene) -> Result<()> {
    scene.target.mine(1, 1).await?;
    let real = scene.target.next_block().await?;
    let sink = scene.target.sink().await?;

    let mut idless = scene.peer().await?;
    announce(&mut idless, &[0x51; 32]).await?;
    idless.send(Payload::Block(real.clone()));
    idless.closed().await.context("a block without id")?;

    let mut other = scene.peer().await?;
    let request = announce(&mut other, &[0x52; 32]).await?;
    other.answer(&request, Payload::Block(real.clone()));
    let (asked, got) = (const_hex::encode([0x52; 32]), const_hex::encode(hash_of(&real)));
    other.rejected(&format!("requested block hash {asked} but got block {got}")).await?;

    let mut bare = scene.peer().await?;
    let request = announce(&mut bare, &hash_of(&real)).await?;
    bare.answer(&request, Payload::Block(Block { transactions: Vec::new(), ..real }));
    bare.rejected("sent header of").await?;

    let mut mute = scene.peer().await?;
    announce(&mut mute, &[0x53; 32]).await?;
    mute.rejected_within(Duration::from_secs(120) + SHORTLY, "timeout expired after 120s").await?;
    ensure!(scene.target.sink().await? == sink, "the sink has moved");
    Ok(())
}

async fn known_block(scene: &Scene) -> Result<()> {
    scene.target.mine(2, 1).await?;
    let mut peer = scene.peer().await?;
    for known in [scene.target.sink().await?, scene.target.genesis().await?] {
        peer.send(Payload::InvRelayBlock(InvRelayBlock { hash: hash(&known) }));
    }
    peer.quiet(NOTHING, "a request", |payload| matches!(payload, Payload::RequestRelayBlocks(_))).await
}

async fn new_block(scene: &Scene) -> Result<()> {
    scene.target.mine(1, 1).await?;
    let block = scene.target.next_block().await?;
    let name = hash_of(&block);
    let mut giver = scene.peer().await?;
    let mut hearer = scene.peer().await?;
    offer(&mut giver, &block).await?;
    hearer.wait("inv of the new block", |message| announces(&message.payload, &name).then_some(())).await?;
    scene.target.reaches(&name, SHORTLY).await?;
    giver.quiet(NOTHING, "its own inv", |payload| announces(&Some(payload.clone()), &name)).await
}

fn announces(payload: &Option<Payload>, name: &Hash32) -> bool {
    matches!(payload, Some(Payload::InvRelayBlock(inv)) if get(inv.hash.as_ref()) == *name)
}

async fn bad_block(scene: &Scene) -> Result<()> {
    scene.target.mine(1, 1).await?;
    let good = scene.target.next_block().await?;

    let mut wrong_root = good.clone();
    wrong_root.header.as_mut().context("a template without header")?.hash_merkle_root = hash(&[0x61; 32]);
    let mut peer = scene.peer().await?;
    offer(&mut peer, &wrong_root).await?;
    peer.rejected("invalid merkle root").await?;
    let mut again = scene.peer().await?;
    announce(&mut again, &hash_of(&wrong_root)).await.context("its hash stays requestable")?;
    drop(again);

    let generous = with_subsidy(good, 6_000_000_000)?;
    let mut peer = scene.peer().await?;
    offer(&mut peer, &generous).await?;
    let ours = scene.ours_differs("our text names the rule that a coinbase broke, without the numbers");
    peer.rejected(if ours { "bad coinbase transaction" } else { "wrong coinbase subsidy: expected" }).await?;
    let mut again = scene.peer().await?;
    let name = hash_of(&generous);
    again.send(Payload::InvRelayBlock(InvRelayBlock { hash: hash(&name) }));
    again.rejected(&format!("sent inv of an invalid block {}", const_hex::encode(name))).await
}

/// The same block whose coinbase claims another subsidy (Kaspa spec, section 5.6: 8 bytes of blue score come first).
fn with_subsidy(mut block: Block, subsidy: u64) -> Result<Block> {
    let coinbase = block.transactions.first_mut().context("a template without coinbase")?;
    let place = coinbase.payload.get_mut(8..16).context("a coinbase without subsidy")?;
    place.copy_from_slice(&subsidy.to_le_bytes());
    let root = merkle_root(&block.transactions);
    block.header.as_mut().context("a template without header")?.hash_merkle_root = hash(&root);
    Ok(block)
}

/// Why ids differ.
const OWN_IDS: &str = "each request of ours has an id of its own; a worker of kaspad's has one for life";

async fn orphan(scene: &Scene) -> Result<()> {
    scene.target.mine(1, 1).await?;
    let genesis = scene.target.genesis().await?;
    let (_stranger, mined) = scene.target.stranger("stranger", 4, 1).await?;
    let [.., parent, tip] = mined.as_slice() else { bail!("the stranger has not mined") };

    let mut near = scene.peer().await?;
    let id = locator_asked(scene, &mut near, &tip.block, &[tip.hash, parent.hash, genesis]).await?;
    let asked = near
        .wait("request for the parents", |message| match &message.payload {
            Some(Payload::RequestRelayBlocks(wanted)) => Some((message.request_id, get_all(&wanted.hashes))),
            _ => None,
        })
        .await?;
    ensure!(asked.1 == [parent.hash], "asked for {asked:?}");
    ensure!(asked.0 == id || scene.ours_differs(OWN_IDS), "asked under another id");
    drop(near);

    let mut far = scene.peer().await?;
    // Neither of them was spoken of before: what somebody else was just asked for is not asked for again.
    let [first, second, ..] = mined.as_slice() else { bail!("the stranger has not mined") };
    locator_asked(scene, &mut far, &second.block, &[second.hash, first.hash]).await?;
    let open_ended = far
        .wait("request for a chain locator", |message| match &message.payload {
            Some(Payload::RequestIbdChainBlockLocator(wanted)) => {
                Some(wanted.low_hash.is_none() && wanted.high_hash.is_none())
            }
            _ => None,
        })
        .await?;
    ensure!(open_ended, "the first request names hashes");
    Ok(())
}

// Offers an orphan, and answers the request for a locator that must follow under the same id.
async fn locator_asked(scene: &Scene, peer: &mut Peer, block: &Block, locator: &[Hash32]) -> Result<u32> {
    let request = offer(peer, block).await?;
    let asked = peer.wait_for("RequestBlockLocator").await?;
    let same = asked.request_id == request.request_id;
    ensure!(same || scene.ours_differs(OWN_IDS), "asked under another id");
    let Some(Payload::RequestBlockLocator(wanted)) = &asked.payload else { bail!("no locator is asked for") };
    ensure!(wanted.limit == 9, "the limit is {}", wanted.limit);
    ensure!(get(wanted.high_hash.as_ref()) == hash_of(block), "the locator of another block is asked for");
    peer.answer(&asked, Payload::BlockLocator(BlockLocator { hashes: hashes(locator) }));
    Ok(asked.request_id)
}
