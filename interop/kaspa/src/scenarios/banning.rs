//! Shows each of the source document's bans twice: off, as today's network has it, and on, as an operator can have it.
//! Loopback is spared neither time, so that nothing but the setting differs.

use crate::client::hashing::transaction_id;
use crate::client::wire::{
    Hash32, Nonce, Output, Payload, RequestHashes, ScriptPublicKey, SubnetworkId, Transaction, TransactionIds, get,
    get_all, hashes,
};
use crate::client::{Gzip, Hello, Manners, Peer, SHORTLY, dial};
use crate::rows::{Row, Scene, row};
use crate::target::Target;
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::{Instant, sleep};

pub(super) const ROWS: [Row; 4] = [
    row!(46, "ban-unknown-block", Ours, false, unknown_block),
    row!(47, "ban-unknown-transaction", Ours, false, unknown_transaction),
    row!(48, "ban-invalid-transaction", Ours, false, invalid_transaction),
    row!(49, "ban-wrong-pong", Ours, true, wrong_pong),
];

/// What nobody has.
const UNKNOWN: Hash32 = [0x46; 32];
/// How long a ban holds.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How often a node pings.
const PING: Duration = Duration::from_secs(120);
/// A peer whose offence costs nothing is still served so long after it.
const BORNE: Duration = Duration::from_secs(1);

async fn unknown_block(scene: &mut Scene) -> Result<()> {
    scene.make_strict().await?;
    let text = format!("cannot find full block {}", const_hex::encode(UNKNOWN));
    let ask = |peer: &Peer| peer.send(Payload::RequestRelayBlocks(RequestHashes { hashes: hashes([&UNKNOWN]) }));
    let mut peer = meet(&scene.target).await?;
    ask(&peer);
    peer.rejected(&text).await?;
    is_free(&scene.target).await?;

    let target = scene.banning("ban_unknown_block").await?;
    let mut peer = meet(&target).await?;
    ask(&peer);
    peer.rejected(&text).await?;
    is_banned(&target, "unknown_block").await
}

async fn unknown_transaction(scene: &mut Scene) -> Result<()> {
    scene.make_strict().await?;
    let ask = |peer: &Peer| peer.send(Payload::RequestTransactions(TransactionIds { ids: hashes([&UNKNOWN]) }));
    let mut peer = meet(&scene.target).await?;
    ask(&peer);
    let is_it =
        |payload: &Payload| matches!(payload, Payload::TransactionNotFound(it) if get(it.id.as_ref()) == UNKNOWN);
    peer.wait("TransactionNotFound", |message| message.payload.as_ref().is_some_and(is_it).then_some(())).await?;
    peer.open().await?;
    is_free(&scene.target).await?;

    let target = scene.banning("ban_unknown_transaction").await?;
    let mut peer = meet(&target).await?;
    ask(&peer);
    peer.rejected(&format!("cannot find transaction {}", const_hex::encode(UNKNOWN))).await?;
    is_banned(&target, "unknown_transaction").await
}

async fn invalid_transaction(scene: &mut Scene) -> Result<()> {
    scene.make_strict().await?;
    let invalid = from_nothing();
    let id = transaction_id(&invalid);
    let mut peer = brings(&scene.target, &invalid, &id).await?;
    sleep(BORNE).await;
    peer.open().await?;
    is_free(&scene.target).await?;

    let target = scene.banning("ban_invalid_transaction").await?;
    let mut peer = brings(&target, &invalid, &id).await?;
    peer.rejected(&format!("rejected invalid transaction {}", const_hex::encode(id))).await?;
    is_banned(&target, "invalid_transaction").await
}

/// A transaction that spends nothing and is no coinbase.
fn from_nothing() -> Transaction {
    let script = ScriptPublicKey { script: vec![0x51], version: 0 };
    Transaction {
        outputs: vec![Output { value: 1, script_public_key: Some(script), covenant: None }],
        subnetwork_id: Some(SubnetworkId { bytes: vec![0; 20] }),
        ..Transaction::default()
    }
}

// A peer that announced this transaction, was asked for it, and gave it.
async fn brings(target: &Target, transaction: &Transaction, id: &Hash32) -> Result<Peer> {
    // A node without a recent block asks for none.
    target.mine(1, 1).await?;
    let mut peer = meet(target).await?;
    let until = Instant::now() + SHORTLY;
    loop {
        peer.send(Payload::InvTransactions(TransactionIds { ids: hashes([id]) }));
        let asked = peer
            .wait_within(Duration::from_secs(2), "RequestTransactions", |message| match &message.payload {
                Some(Payload::RequestTransactions(wanted)) => Some(get_all(&wanted.ids)),
                _ => None,
            })
            .await;
        match asked {
            Ok(ids) => {
                ensure!(ids == [*id], "other transactions are asked for");
                peer.send(Payload::Transaction(transaction.clone()));
                return Ok(peer);
            }
            // Whoever does not yet know that it is synced drops an announcement for good.
            Err(error) if Instant::now() > until => return Err(error),
            Err(_) => {}
        }
    }
}

async fn wrong_pong(scene: &mut Scene) -> Result<()> {
    scene.make_strict().await?;
    let text = "nonce mismatch between ping and pong";
    let scene: &Scene = scene;
    let off = async {
        let mut peer = meet(&scene.target).await?;
        lies(&mut peer).await?;
        peer.rejected(text).await?;
        is_free(&scene.target).await
    };
    let on = async {
        let target = scene.banning("ban_wrong_pong").await?;
        let mut peer = meet(&target).await?;
        lies(&mut peer).await?;
        peer.rejected(text).await?;
        is_banned(&target, "wrong_pong").await
    };
    tokio::try_join!(async { off.await.context("off") }, async { on.await.context("on") }).map(drop)
}

// Answers the first Ping with another nonce.
async fn lies(peer: &mut Peer) -> Result<()> {
    peer.manners = Manners { pings: false, ..Manners::GOOD };
    let nonce = peer
        .wait_within(PING + SHORTLY, "Ping", |message| match message.payload {
            Some(Payload::Ping(ping)) => Some(ping.nonce),
            _ => None,
        })
        .await?;
    peer.send(Payload::Pong(Nonce { nonce: nonce.wrapping_add(1) }));
    Ok(())
}

async fn meet(target: &Target) -> Result<Peer> {
    let line = dial(target.address(), Gzip::BOTH).await.context("the stream is refused")?;
    Ok(Peer::greet(line, &Hello::fresh(), false).await?)
}

// Whoever did it comes back at once, and nobody is banned. What the network calls a fault may be remembered, so that
// others are preferred when slots are few.
async fn is_free(target: &Target) -> Result<()> {
    meet(target).await.context("a reconnect without the ban")?.open().await?;
    let bans = target.as_polypeer().context("not ours")?.bans().await?;
    ensure!(bans.iter().all(|ban| ban["severity"] != "banned"), "without the setting there is {bans:?}");
    Ok(())
}

// Whoever did it is refused, for a day, and whoever asks is told why; until the operator takes it back.
async fn is_banned(target: &Target, fault: &str) -> Result<()> {
    let node = target.as_polypeer().context("not ours")?;
    let bans = node.bans().await?;
    let [ban] = bans.as_slice() else { bail!("the bans are {bans:?}") };
    ensure!(ban["address"] == "127.0.0.1" && ban["severity"] == "banned" && ban["reason"] == fault, "the ban is {ban}");
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let left = Duration::from_millis(ban["until"].as_u64().context("a ban without end")?).saturating_sub(now);
    ensure!(left <= DAY && left + SHORTLY * 3 > DAY, "the ban ends in {left:?}");

    let again = meet(target).await;
    ensure!(again.is_err(), "a banned address is taken");
    let why = node.why("127.0.0.1").await?;
    let says = |what: &str, text: &str| {
        let fits = |one: &Value| one["what"] == what && one["text"].as_str().is_some_and(|said| said.starts_with(text));
        ensure!(why.iter().any(fits), "`why` does not say `{what}: {text}`, but {why:?}");
        anyhow::Ok(())
    };
    says("convicted", fault)?;
    says("banned", &format!("{fault}, until 2"))?;
    says("refused", "it is banned")?;

    node.unban("127.0.0.1").await?;
    meet(target).await.context("after the ban was taken back")?.open().await
}
