//! Exchanges addresses and pings (Kaspa spec, sections 4.1 and 4.2).

use super::{Row, Scene, row};
use crate::client::wire::{Addresses, NetAddress, Nonce, Payload};
use crate::client::{Heard, Manners, Peer, SHORTLY};
use anyhow::{Context, Result, bail, ensure};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

pub(super) const ROWS: [Row; 7] = [
    row!(11, "addresses-ignored", Both, true, addresses_ignored),
    row!(12, "addresses-count", Both, false, addresses_count),
    row!(13, "addresses-twice", Both, false, addresses_twice),
    row!(14, "addresses-asked", Both, false, addresses_asked),
    row!(15, "ping", Both, false, ping),
    row!(16, "wrong-pong", Both, true, wrong_pong),
    row!(35, "ping-burst", Both, false, ping_burst),
];

/// What a node waits for an answer, and how often it pings.
const DEFAULT_WAIT: Duration = Duration::from_secs(120);
/// Addresses that are taken in one message.
const ADDRESSES_MAX: usize = 2_500;
/// Addresses that are given in one message.
const ADDRESSES_GIVEN_MAX: usize = 1_000;

/// Invented ones of a private range: nobody gossips them outside, and the targets dial none.
fn invented(count: usize) -> Vec<NetAddress> {
    let one = |number: usize| {
        let [.., high, low] = number.to_be_bytes();
        NetAddress { timestamp: 0, ip: vec![10, 99, high, low], port: 16_111 }
    };
    (0..count).map(one).collect()
}

/// A peer that answers the target's request for addresses with these.
async fn introduced(scene: &Scene, address_list: Vec<NetAddress>) -> Result<Peer> {
    let mut peer = scene.peer().await?;
    peer.manners.addresses = false;
    let request = peer.wait_for("RequestAddresses").await?;
    peer.answer(&request, Payload::Addresses(Addresses { address_list }));
    Ok(peer)
}

async fn addresses_ignored(scene: &Scene) -> Result<()> {
    let started = Instant::now();
    let mut peer = scene.peer().await?;
    peer.manners.addresses = false;
    peer.rejected_within(DEFAULT_WAIT + SHORTLY, "timeout expired after 120s").await?;
    ensure!(started.elapsed() > DEFAULT_WAIT - Duration::from_secs(1), "took {:?}", started.elapsed());
    Ok(())
}

async fn addresses_count(scene: &Scene) -> Result<()> {
    let mut most = introduced(scene, invented(ADDRESSES_MAX)).await?;
    most.open().await?;
    let until = Instant::now() + SHORTLY;
    while scene.target.known_addresses().await?.is_some_and(|known| known < ADDRESSES_MAX) {
        ensure!(Instant::now() < until, "the book has {:?}", scene.target.known_addresses().await?);
        sleep(Duration::from_millis(50)).await;
    }
    let mut many = introduced(scene, invented(ADDRESSES_MAX + 1)).await?;
    many.rejected("address count 2501 exceeded 2500").await?;
    let mut odd = introduced(scene, vec![NetAddress { timestamp: 0, ip: vec![10, 9, 8, 7, 6], port: 1 }]).await?;
    odd.rejected("IP has illegal length 5").await
}

async fn addresses_twice(scene: &Scene) -> Result<()> {
    let mut peer = introduced(scene, Vec::new()).await?;
    peer.open().await?;
    peer.send(Payload::Addresses(Addresses::default()));
    peer.closed().await
}

async fn addresses_asked(scene: &Scene) -> Result<()> {
    let loopback = NetAddress { timestamp: 0, ip: vec![127, 0, 0, 1], port: 16_511 };
    let mut given = invented(ADDRESSES_MAX - 1);
    given.push(loopback);
    introduced(scene, given).await?.open().await?;
    let mut peer = scene.peer().await?;
    let wary = "our node passes on only addresses where it was connected itself";
    for _ in 0..3 {
        peer.send(Payload::RequestAddresses(Default::default()));
        let answer = peer
            .wait("Addresses", |message| match &message.payload {
                Some(Payload::Addresses(addresses)) => Some(addresses.address_list.clone()),
                _ => None,
            })
            .await?;
        ensure!(answer.len() <= ADDRESSES_GIVEN_MAX, "{} addresses", answer.len());
        ensure!(answer.iter().all(|one| one.ip.first() != Some(&127)), "loopback is gossiped");
        if answer.len() < ADDRESSES_GIVEN_MAX {
            ensure!(scene.ours_differs(wary), "{} addresses of {ADDRESSES_MAX}", answer.len());
        }
    }
    Ok(())
}

async fn ping(scene: &Scene) -> Result<()> {
    let mut peer = scene.peer().await?;
    for nonce in [0, u64::MAX] {
        peer.send(Payload::Ping(Nonce { nonce }));
        let answer = peer
            .wait("Pong", |message| match message.payload {
                Some(Payload::Pong(pong)) => Some((pong.nonce, message.response_id)),
                _ => None,
            })
            .await?;
        ensure!(answer == (nonce, 0), "nonce {nonce} is answered with {answer:?}");
    }
    Ok(())
}

async fn wrong_pong(scene: &Scene) -> Result<()> {
    let mut liar = scene.peer().await?;
    let mut hasty = scene.peer().await?;
    hasty.send(Payload::Pong(Nonce { nonce: 4_711 }));
    hasty.open().await.context("an unsolicited pong is queued")?;
    let wait = DEFAULT_WAIT + SHORTLY;
    let text = "nonce mismatch between ping and pong";
    let lie = async {
        liar.manners = Manners { pings: false, ..Manners::GOOD };
        let started = Instant::now();
        let nonce = liar
            .wait_within(wait, "Ping", |message| match message.payload {
                Some(Payload::Ping(ping)) => Some(ping.nonce),
                _ => None,
            })
            .await?;
        ensure!(started.elapsed() > DEFAULT_WAIT - Duration::from_secs(2), "pinged after {:?}", started.elapsed());
        liar.send(Payload::Pong(Nonce { nonce: nonce.wrapping_add(1) }));
        liar.rejected(text).await.context("a pong with a wrong nonce")
    };
    let haste = async {
        if scene.ours_differs("a pong that answers nothing is passed over, and spoils no later ping") {
            sleep(wait).await;
            return hasty.open().await;
        }
        hasty.rejected_within(wait, text).await.context("a pong before the ping")
    };
    tokio::try_join!(lie, haste).map(drop)
}

async fn ping_burst(scene: &Scene) -> Result<()> {
    const PINGS: u64 = 300;
    /// What a flow's queue holds at kaspad.
    const QUEUE: u64 = 256;
    let mut peer = scene.peer().await?;
    for nonce in 0..PINGS {
        peer.send(Payload::Ping(Nonce { nonce }));
    }
    let mut next = 0;
    while next < PINGS {
        match timeout(SHORTLY, peer.next()).await.context("pongs are missing")? {
            Heard::Message(message) => {
                if let Some(Payload::Pong(pong)) = message.payload {
                    ensure!(pong.nonce == next, "pong {} where {next} is due", pong.nonce);
                    next += 1;
                }
            }
            // A node that reads them faster than it answers may find its queue full, and then ends it in silence.
            Heard::End(None) if next >= QUEUE => {
                scene.figure(format!("closed in silence after {next} pongs: its queue was full"));
                return Ok(());
            }
            Heard::End(reason) => bail!("closed after {next} pongs, reason {reason:?}"),
        }
    }
    Ok(())
}
