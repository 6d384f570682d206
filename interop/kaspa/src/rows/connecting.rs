//! Says what nobody listens to, compresses or not, rejects, and is banned (Kaspa spec, sections 1.2, 2.1 and 4.8).

use super::{Row, Scene, row};
use crate::client::wire::{Block, BlockBody, BlockHeaders, Empty, InvRelayBlock, Payload, Reject, Transaction, hash};
use crate::client::{Gzip, Hello, Listener, Peer, SHORTLY};
use crate::polypeer::Polypeer;
use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use serde_json::Value;
use std::time::Duration;
use tokio::time::{Instant, sleep};

pub(super) const ROWS: [Row; 4] = [
    row!(9, "nobody-listens", Both, false, nobody_listens),
    row!(10, "compression", Both, false, compression),
    row!(33, "reject", Both, false, reject),
    row!(34, "ban", Listening, false, ban),
];

/// Field 200 of the envelope, an empty message: two bytes of tag and a length of zero.
const UNKNOWN_PAYLOAD: [u8; 3] = [0xc2, 0x0c, 0x00];

async fn nobody_listens(scene: &Scene) -> Result<()> {
    let deadly = [
        ("Version", Payload::Version(Hello::fresh().version())),
        ("Verack", Payload::Verack(Empty {})),
        ("Ready", Payload::Ready(Empty {})),
        ("IbdBlock", Payload::IbdBlock(Block::default())),
    ];
    for (name, payload) in deadly {
        let mut peer = scene.peer().await?;
        peer.open().await?;
        closes_on(&mut peer, &payload).await.with_context(|| name.to_owned())?;
    }
    for bytes in [UNKNOWN_PAYLOAD.as_slice(), &[]] {
        let mut peer = scene.peer().await?;
        peer.line.send_raw(Bytes::copy_from_slice(bytes));
        peer.closed().await.with_context(|| format!("envelope {bytes:02x?}"))?;
    }
    let queued = [
        Payload::BlockHeaders(BlockHeaders::default()),
        Payload::DoneHeaders(Empty {}),
        Payload::BlockBody(BlockBody::default()),
        Payload::Transaction(Transaction::default()),
        Payload::IbdBlockLocatorHighestHash(InvRelayBlock { hash: hash(&[1; 32]) }),
        Payload::IbdBlockLocatorHighestHashNotFound(Empty {}),
    ];
    for payload in queued {
        let mut peer = scene.peer().await?;
        peer.send(payload.clone());
        peer.open().await.with_context(|| format!("unasked {payload:?}"))?;
    }
    Ok(())
}

// A kaspad stops listening for what belongs to a handshake a moment after its flows have begun: what comes before is
// left unread in silence, and what comes then closes.
async fn closes_on(peer: &mut Peer, payload: &Payload) -> Result<()> {
    let until = Instant::now() + SHORTLY;
    loop {
        peer.send(payload.clone());
        match peer.ended(Duration::from_secs(1)).await {
            Ok(None) => return Ok(()),
            Ok(Some(reason)) => bail!("closed with `{reason}`, where silence is due"),
            Err(error) if Instant::now() > until => return Err(error),
            Err(_) => {}
        }
    }
}

async fn compression(scene: &Scene) -> Result<()> {
    let ways = [Gzip::NONE, Gzip::BOTH, Gzip { send: true, accept: false }, Gzip { send: false, accept: true }];
    for gzip in ways {
        if scene.target_dials() && !gzip.accept {
            no_gzip_server(scene, gzip).await?;
            continue;
        }
        let line = scene.line_with(gzip).await.with_context(|| format!("{gzip:?}"))?;
        let mut peer = Peer::greet(line, &Hello::fresh(), scene.target_dials()).await?;
        peer.open().await.with_context(|| format!("{gzip:?}"))?;
    }
    Ok(())
}

// A server that says no to gzip, as an implementation does that never heard of it, is out of reach.
async fn no_gzip_server(scene: &Scene, gzip: Gzip) -> Result<()> {
    let mut listener = Listener::open(gzip).await?;
    scene.target.dial(listener.address).await?;
    // The request is refused before a line comes of it, or the first compressed message ends it.
    let Ok(line) = listener.accept(Duration::from_secs(3)).await else { return Ok(()) };
    ensure!(Peer::greet(line, &Hello::fresh(), true).await.is_err(), "taken without gzip");
    Ok(())
}

async fn reject(scene: &Scene) -> Result<()> {
    let mut peer = scene.peer().await?;
    let reason = format!("interop row 33 {}", u8::from(scene.target_dials()));
    peer.send(Payload::Reject(Reject { reason: reason.clone() }));
    peer.closed().await?;
    let until = Instant::now() + SHORTLY;
    while !scene.target.printed(&reason) {
        ensure!(Instant::now() < until, "the log does not have the reason");
        sleep(Duration::from_millis(50)).await;
    }
    match scene.target.as_polypeer() {
        Some(node) => shows(node, &format!("rejected us: {reason}")).await,
        None => Ok(()),
    }
}

// Ours tells whoever asks about the peer, and whoever follows what happens.
async fn shows(node: &Polypeer, text: &str) -> Result<()> {
    let why = node.why("127.0.0.1").await?;
    ensure!(why.iter().any(|one| one["what"] == "closed" && one["text"] == text), "`why` has {why:?}");
    let events = node.events().await?;
    let is_noted =
        |event: &&Value| event["event"] == "note" && event["text"].as_str().is_some_and(|said| said.ends_with(text));
    let note = events.iter().find(is_noted).with_context(|| format!("no note among {events:?}"))?;
    let is_why = |event: &Value| event["event"] == "reason" && event["why"]["text"] == text;
    ensure!(events.iter().any(is_why), "the events have the note {note}, and not why the connection ended");
    Ok(())
}

async fn ban(scene: &Scene) -> Result<()> {
    let mut peer = scene.peer().await?;
    scene.target.ban().await?;
    peer.closed().await?;
    if scene.ours_differs("a banned address gets no stream, so nobody hears why") {
        ensure!(scene.peer().await.is_err(), "a banned address is taken");
    } else {
        scene.refused_outright(&Hello::fresh(), "peer is banned").await?;
    }
    scene.target.unban().await?;
    scene.peer().await?.open().await
}
