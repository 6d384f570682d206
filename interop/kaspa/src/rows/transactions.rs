//! Relays transactions (Kaspa spec, section 4.5).

use super::{Row, Scene, row};
use crate::client::hashing::transaction_id;
use crate::client::wire::{
    Hash32, Payload, Transaction, TransactionIds, TransactionNotFound, get, get_all, hash, hashes,
};
use crate::client::{Peer, SHORTLY};
use crate::spending::{self, Coin, MATURITY};
use anyhow::{Context, Result, ensure};
use std::time::Duration;
use tokio::time::{Instant, sleep};

pub(super) const ROWS: [Row; 3] = [
    row!(27, "transactions-announced", Both, false, announced),
    row!(28, "transaction-answers", Both, false, answers),
    row!(29, "transactions-asked", Both, false, asked),
];

/// Ids that are taken in one message.
const IDS_MAX: u32 = 131_072;

/// Ids are collected this long.
const FLUSH: Duration = Duration::from_millis(500);

/// Mines until a few coins can be spent.
async fn coins(scene: &Scene) -> Result<Vec<Coin>> {
    let blocks = usize::try_from(MATURITY)? + 20;
    scene.target.mine(blocks, 1).await?;
    let coins = spending::coins(&scene.target.source().await?.rpc, MATURITY).await?;
    ensure!(coins.len() >= 3, "only {} coins can be spent", coins.len());
    Ok(coins)
}

fn announce(peer: &Peer, ids: &[Hash32]) {
    peer.send(Payload::InvTransactions(TransactionIds { ids: hashes(ids) }));
}

async fn requested(peer: &mut Peer) -> Result<Vec<Hash32>> {
    requested_within(peer, SHORTLY).await
}

async fn requested_within(peer: &mut Peer, limit: Duration) -> Result<Vec<Hash32>> {
    peer.wait_within(limit, "RequestTransactions", |message| match &message.payload {
        Some(Payload::RequestTransactions(wanted)) => Some(get_all(&wanted.ids)),
        _ => None,
    })
    .await
}

async fn announced(scene: &Scene) -> Result<()> {
    let mut peer = scene.peer().await?;
    announce(&peer, &[[0x81; 32]]);
    let asks = |payload: &Payload| matches!(payload, Payload::RequestTransactions(_));
    peer.quiet(Duration::from_secs(1), "a request on a network of genesis alone", asks).await?;

    scene.target.mine(1, 1).await?;
    let ids = [[0x82; 32], [0x83; 32]];
    // Whoever does not yet know that it is synced drops an announcement for good.
    let until = Instant::now() + SHORTLY;
    let mut announcements = 0;
    let wanted = loop {
        announce(&peer, &ids);
        announcements += 1;
        match requested_within(&mut peer, Duration::from_secs(2)).await {
            Err(error) if Instant::now() > until => return Err(error),
            Err(_) => {}
            Ok(wanted) => break wanted,
        }
    };
    ensure!(wanted == ids, "other ids are asked for");
    if announcements > 1 {
        scene.figure(format!("asked for after {announcements} announcements"));
    }

    let mut flood = scene.peer().await?;
    let most: Vec<Hash32> = (0..=IDS_MAX).map(numbered).collect();
    announce(&flood, &most);
    flood.rejected("Number of invs in tx inv message is over the limit").await
}

fn numbered(number: u32) -> Hash32 {
    let mut id = [0x84; 32];
    id[..4].copy_from_slice(&number.to_be_bytes());
    id
}

async fn answers(scene: &Scene) -> Result<()> {
    let coins = coins(scene).await?;
    let mut peer = scene.peer().await?;
    announce(&peer, &[[0x85; 32]]);
    requested(&mut peer).await?;
    peer.send(Payload::TransactionNotFound(TransactionNotFound { id: hash(&[0x85; 32]) }));
    peer.open().await.context("not found")?;

    let mut forged = spending::spend(coins.first().context("no coin")?);
    forged.inputs[0].signature_script = vec![1, 0x52];
    let id = transaction_id(&forged);
    deliver(&mut peer, &forged).await?;
    peer.open().await.context("a bad signature")?;
    sleep(Duration::from_millis(500)).await;
    if !scene.ours_differs("signatures are not checked without UTXO validation: the next kaspad drops it") {
        let node = scene.target.as_kaspad().context("not a kaspad")?;
        ensure!(!spending::waits(&node.rpc, &id).await, "a bad signature came into the mempool");
    }

    let good = spending::spend(coins.get(1).context("no second coin")?);
    announce(&peer, &[[0x86; 32]]);
    requested(&mut peer).await?;
    peer.send(Payload::Transaction(good.clone()));
    let (asked, got) = (const_hex::encode([0x86; 32]), const_hex::encode(transaction_id(&good)));
    peer.rejected(&format!("requested transaction id {asked} but got transaction {got}")).await
}

async fn deliver(peer: &mut Peer, transaction: &Transaction) -> Result<()> {
    announce(peer, &[transaction_id(transaction)]);
    requested(peer).await?;
    peer.send(Payload::Transaction(transaction.clone()));
    Ok(())
}

async fn asked(scene: &Scene) -> Result<()> {
    let coins = coins(scene).await?;
    let mut peer = scene.peer().await?;
    let unknown = [0x87; 32];
    peer.send(Payload::RequestTransactions(TransactionIds { ids: hashes([&unknown]) }));
    let missing = peer
        .wait("TransactionNotFound", |message| match &message.payload {
            Some(Payload::TransactionNotFound(missing)) => Some(get(missing.id.as_ref())),
            _ => None,
        })
        .await?;
    ensure!(missing == unknown, "another one is not found");

    // What comes sooner after a flush waits for the next transaction or block.
    sleep(FLUSH + FLUSH).await;
    let source = scene.target.source().await?;
    let id = spending::submit(&source.rpc, &spending::spend(coins.first().context("no coin")?)).await?;
    peer.wait_within(SHORTLY, "inv of the transaction", |message| match &message.payload {
        Some(Payload::InvTransactions(inv)) => get_all(&inv.ids).contains(&id).then_some(()),
        _ => None,
    })
    .await?;
    peer.send(Payload::RequestTransactions(TransactionIds { ids: hashes([&id]) }));
    let found = peer
        .wait("Transaction", |message| match &message.payload {
            Some(Payload::Transaction(transaction)) => Some(transaction_id(transaction)),
            _ => None,
        })
        .await?;
    ensure!(found == id, "another transaction came");
    Ok(())
}
