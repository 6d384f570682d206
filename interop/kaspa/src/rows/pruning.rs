//! Asks for what stands in place of a pruned past (Kaspa spec, sections 4.6.6 to 4.6.9).

use super::{Row, Scene, row};
use crate::client::hashing::block_hash;
use crate::client::wire::{Empty, Hash32, Payload, PruningPointHash, RequestIbdChainBlockLocator, get_all, hash};
use crate::client::{Bridgehead, Gzip, Hello, Peer, dial};
use crate::pruned;
use anyhow::{Context, Result, bail, ensure};
use std::time::Duration;

pub(super) const ROWS: [Row; 3] = [
    row!(30, "utxo-set", Both, false, utxo_set),
    row!(31, "genesis-has-no-state", Both, false, genesis_has_no_state),
    row!(32, "pruned-past", Listening, false, pruned_past),
];

/// After so many entries or chunks the server waits for credit.
const ENTRIES_PER_CREDIT: usize = 99;
/// Pairs in a full chunk of outputs.
const PAIRS_PER_CHUNK: usize = 1_000;

async fn utxo_set(scene: &Scene) -> Result<()> {
    let genesis = scene.target.genesis().await?;
    let mut peer = scene.peer().await?;
    ensure!(outputs(&mut peer, &genesis).await? == Some(0), "genesis has outputs");
    ensure!(outputs(&mut peer, &[0x91; 32]).await?.is_none(), "an unknown pruning point has outputs");
    peer.open().await
}

async fn genesis_has_no_state(scene: &Scene) -> Result<()> {
    let genesis = scene.target.genesis().await?;
    let mut peer = scene.peer().await?;
    peer.send(Payload::RequestPruningPointSmtState(PruningPointHash { hash: hash(&genesis) }));
    peer.rejected("cannot export SMT metadata: pruning point is genesis").await?;
    let mut peer = scene.peer().await?;
    peer.ask(41, Payload::RequestPruningPointAndItsAnticone(Empty {}));
    ensure!(pruning_points(&mut peer).await? == [genesis], "not genesis alone");
    peer.rejected("local pruning point is genesis").await
}

/// As for a sync; the proof and the outputs come on top.
const IMPORT: Duration = Duration::from_secs(120);

// The target imports what a pruned kaspad has, gives it all to us, and brings up a fresh kaspad with it.
async fn pruned_past(scene: &Scene) -> Result<()> {
    let (source, _) = scene.target.pruned("pruned", &pruned::DEEP).await?;
    let (before, sink) = (source.pruning_point().await?, source.sink().await?);
    let target = scene.overridden("importing", &pruned::DEEP).await?;
    target.keep(source.address).await?;
    target.reaches(&sink, IMPORT).await.context("the target imports")?;
    // It prunes some time after the block that lets it: what was imported is what it had at one of these moments.
    let points = [before, source.pruning_point().await?];
    let mut point = before;
    for version in [10, 11] {
        let hello = Hello { protocol_version: version, ..Hello::fresh() };
        let mut peer = Peer::greet(dial(target.address(), Gzip::BOTH).await?, &hello, false).await?;
        let ends = chain_ends(&mut peer).await?;
        ensure!(ends.0 == sink && points.contains(&ends.1), "the chain has other ends");
        point = ends.1;
        asked_for_all(&mut peer, version, &point).await.with_context(|| format!("version {version}"))?;
    }
    let fresh = scene.target.overridden("fresh", &pruned::DEEP).await?;
    fresh.keep(target.address()).await?;
    fresh.reaches(&sink, IMPORT).await.context("a fresh kaspad imports from the target")?;
    ensure!(fresh.pruning_point().await? == point, "the fresh node has another pruning point");

    // And one that both believe to speak the older version.
    let older = scene.target.overridden("older", &pruned::DEEP).await?;
    let bridgehead = Bridgehead::open(target.address()).await?;
    older.dial(bridgehead.address()).await?;
    let mut bridge = bridgehead.bridge().await?;
    tokio::select! {
        ended = bridge.hold_to_version(10) => ended.context("version 10")?,
        reached = older.reaches(&sink, IMPORT) => reached.context("a fresh kaspad imports in version 10")?,
    }
    Ok(())
}

async fn asked_for_all(peer: &mut Peer, version: u32, point: &Hash32) -> Result<()> {
    if version == 11 {
        ensure!(proof(peer).await? == *point, "the proof does not end at the pruning point");
    } else {
        whole_proof(peer, point).await?;
    }
    anticone(peer, point, version).await?;
    smt_state(peer, point).await?;
    let count = outputs(peer, point).await?.context("the pruning point has no outputs")?;
    ensure!(count > PAIRS_PER_CHUNK, "only {count} outputs: no second chunk");
    ensure!(outputs(peer, &[0x92; 32]).await?.is_none(), "an unknown pruning point has outputs");
    Ok(())
}

async fn chain_ends(peer: &mut Peer) -> Result<(Hash32, Hash32)> {
    peer.ask(42, Payload::RequestIbdChainBlockLocator(RequestIbdChainBlockLocator::default()));
    let hashes = peer
        .wait("IbdChainBlockLocator", |message| match &message.payload {
            Some(Payload::IbdChainBlockLocator(locator)) => Some(get_all(&locator.hashes)),
            _ => None,
        })
        .await?;
    Ok((*hashes.first().context("an empty locator")?, *hashes.last().context("an empty locator")?))
}

/// Asks for the proof: chunks from level 250 down to 0. The last header's hash.
pub(crate) async fn proof(peer: &mut Peer) -> Result<Hash32> {
    peer.ask(43, Payload::RequestPruningPointProof(Empty {}));
    let mut level = 250;
    let mut last = None;
    let mut seen = Vec::new();
    peer.wait("proof", |message| match &message.payload {
        Some(Payload::PruningPointProofChunk(chunk)) => {
            seen.push((chunk.level, chunk.chunk.len(), message.response_id));
            last = chunk.chunk.last().map(block_hash);
            None
        }
        Some(Payload::PruningPointProofChunksEnd(_)) => Some(()),
        _ => None,
    })
    .await?;
    for (next, headers, response_id) in seen {
        ensure!(next == level || next + 1 == level, "level {next} after {level}");
        ensure!(headers > 0, "an empty chunk at level {next}");
        ensure!(response_id == 43, "answered with id {response_id}");
        level = next;
    }
    ensure!(level == 0, "the last level is {level}");
    last.context("a proof without headers")
}

async fn whole_proof(peer: &mut Peer, point: &Hash32) -> Result<()> {
    peer.ask(43, Payload::RequestPruningPointProof(Empty {}));
    let message = peer.wait_for("PruningPointProof").await?;
    let Some(Payload::PruningPointProof(proof)) = message.payload else { bail!("no proof") };
    ensure!(proof.levels.len() == 251, "{} levels", proof.levels.len());
    ensure!(proof.levels.iter().all(|level| !level.headers.is_empty()), "an empty level");
    let last = proof.levels.first().and_then(|level| level.headers.last()).map(block_hash);
    ensure!(last.as_ref() == Some(point), "level 0 does not end at the pruning point");
    Ok(())
}

async fn pruning_points(peer: &mut Peer) -> Result<Vec<Hash32>> {
    peer.wait("PruningPoints", |message| match &message.payload {
        Some(Payload::PruningPoints(points)) => Some(points.headers.iter().map(block_hash).collect()),
        _ => None,
    })
    .await
}

async fn anticone(peer: &mut Peer, point: &Hash32, version: u32) -> Result<()> {
    peer.ask(44, Payload::RequestPruningPointAndItsAnticone(Empty {}));
    let points = pruning_points(peer).await?;
    ensure!(points.len() > 1 && points.last() == Some(point), "the pruning points do not end at the current one");
    let (end, chunk) = if version == 11 { ("TrustedDataChunksEnd", "TrustedDataChunk") } else { ("TrustedData", "-") };
    let mut chunks = 0;
    peer.wait(end, |message| {
        chunks += usize::from(message.name() == chunk);
        (message.name() == end).then_some(())
    })
    .await?;
    ensure!(version == 10 || chunks > 0, "no trusted data came");
    let mut entries: Vec<(Hash32, bool)> = Vec::new();
    loop {
        let next = peer
            .wait("trusted block", |message| match &message.payload {
                Some(Payload::BlockWithTrustedDataV4(entry)) => {
                    let block = entry.block.clone().unwrap_or_default();
                    let hash = block.header.as_ref().map(block_hash).unwrap_or_default();
                    Some(Some((hash, !block.transactions.is_empty())))
                }
                Some(Payload::DoneBlocksWithTrustedData(_)) => Some(None),
                _ => None,
            })
            .await?;
        let Some(entry) = next else { break };
        entries.push(entry);
        if entries.len().is_multiple_of(ENTRIES_PER_CREDIT) {
            let goes_on = |payload: &Payload| matches!(payload, Payload::BlockWithTrustedDataV4(_));
            peer.quiet(Duration::from_millis(300), "an entry without credit", goes_on).await?;
            peer.ask(44, Payload::RequestNextPruningPointAndItsAnticoneBlocks(Empty {}));
        }
    }
    ensure!(entries.len() > ENTRIES_PER_CREDIT, "only {} entries: no credit was due", entries.len());
    ensure!(entries.first() == Some(&(*point, true)), "the first entry is not the pruning point in full");
    ensure!(entries.is_sorted_by_key(|(_, full)| !full), "a full block follows a bare header");
    Ok(())
}

async fn smt_state(peer: &mut Peer, point: &Hash32) -> Result<()> {
    /// After so many chunks the server waits for credit.
    const CHUNKS_PER_CREDIT: usize = 10;
    peer.send(Payload::RequestPruningPointSmtState(PruningPointHash { hash: hash(point) }));
    let message = peer.wait_for("SmtMetadata").await?;
    let Some(Payload::SmtMetadata(metadata)) = message.payload else { bail!("no metadata") };
    ensure!(metadata.data.len() == 96 && message.response_id == 0, "metadata of {} bytes", metadata.data.len());
    let (mut lanes, mut chunks) = (0, 0);
    while lanes < metadata.active_lanes_count {
        lanes += peer
            .wait("SmtLaneChunk", |message| match &message.payload {
                Some(Payload::SmtLaneChunk(chunk)) => Some(chunk.entries.len() as u64),
                _ => None,
            })
            .await?;
        chunks += 1;
        if chunks % CHUNKS_PER_CREDIT == 0 {
            peer.send(Payload::RequestNextPruningPointSmtChunk(Empty {}));
        }
    }
    ensure!(lanes == metadata.active_lanes_count, "{lanes} lanes of {}", metadata.active_lanes_count);
    Ok(())
}

/// Asks for the outputs. How many there are, or nothing where the hash is not the pruning point.
pub(crate) async fn outputs(peer: &mut Peer, point: &Hash32) -> Result<Option<usize>> {
    peer.send(Payload::RequestPruningPointUtxoSet(PruningPointHash { hash: hash(point) }));
    let (mut chunks, mut pairs, mut done) = (0, 0, false);
    while !done {
        let next = peer
            .wait("chunk of outputs", |message| match &message.payload {
                Some(Payload::PruningPointUtxoSetChunk(chunk)) => Some(Some(chunk.pairs.len())),
                Some(Payload::UnexpectedPruningPoint(_)) => Some(None),
                _ => None,
            })
            .await?;
        let Some(count) = next else { return Ok(None) };
        chunks += 1;
        pairs += count;
        done = count < PAIRS_PER_CHUNK;
        if chunks % ENTRIES_PER_CREDIT == 0 {
            peer.send(Payload::RequestNextPruningPointUtxoSetChunk(Empty {}));
        }
    }
    peer.wait_for("DonePruningPointUtxoSetChunks").await?;
    Ok(Some(pairs))
}
