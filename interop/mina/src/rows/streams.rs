//! Identify, what is not spoken, Kademlia (Mina spec, section 11, rows 8 to 10).

use super::Scene;
use crate::client::PATIENCE;
use crate::client::kad::{ADD_PROVIDER, FIND_NODE, GET_PROVIDERS, ask, question};
use crate::client::line::{HEADER, Manner, token};
use crate::client::peer::{IDENTIFY, KAD, PINGS, Peer};
use crate::client::protobuf::{Value, all, bytes, fields, framed, number, one, read_varint, varint};
use crate::node::{Chain, Node, Options, free_address};
use anyhow::{Context, Result, ensure};
use std::collections::BTreeSet;

/// All that the strictest reader lets one say that one speaks (section 2.2).
const CLOSED: [&str; 13] = [
    "/ipfs/id/1.0.0",
    "/ipfs/id/push/1.0.0",
    "/ipfs/ping/1.0.0",
    "/coda/kad/1.0.0",
    "/floodsub/1.0.0",
    "/meshsub/1.0.0",
    "/meshsub/1.1.0",
    "coda/rpcs/0.0.1",
    "/mina/node-status",
    "/mina/bitswap-exchange/ipfs/bitswap",
    "/mina/bitswap-exchange/ipfs/bitswap/1.0.0",
    "/mina/bitswap-exchange/ipfs/bitswap/1.1.0",
    "/mina/bitswap-exchange/ipfs/bitswap/1.2.0",
];
/// What that reader reads.
const IDENTIFY_BYTES_MAX: usize = 4096;
/// The longest frame of Kademlia that anybody sends: twenty peers of four KiB (section 2.3).
const KAD_BYTES_MAX: u64 = 81_920;
/// The devnet's chain, for which there are vectors.
const DEVNET: &str = "29936104443aaf264a7f0192ac64b1c7173198c1ed404c1bcff5e562e05eb7f6";
const RENDEZVOUS: &str = "12200d7f6ac2228c8c239d3beb830579e009115a55025fee582c17afba47684b48bd";

/// What a node says of itself: how long the message is, and its fields.
pub(super) fn identified(peer: &Peer) -> Result<(usize, Vec<(u64, Value)>)> {
    let stream = peer.open(IDENTIFY)?;
    let frame = stream.take(PATIENCE, |heard| {
        let (length, rest) = read_varint(heard)?;
        Some(heard.len() - rest.len() + usize::try_from(length).ok()?)
    })?;
    let (_, message) = read_varint(&frame).context("a frame has a length")?;
    Ok((message.len(), fields(message)?))
}

/// Row 8.
pub(super) fn identify(scene: &Scene) -> Result<String> {
    let node = scene.node("node", &Options::default())?;
    let peer = Peer::dial(node.address, &node.manner(1), &[IDENTIFY])?;
    let (length, said) = identified(&peer)?;
    ensure!(length <= IDENTIFY_BYTES_MAX, "{length} bytes");
    let protocols: Vec<String> = all(&said, 3).map(Value::text).collect();
    ensure!(protocols.iter().any(|name| name == "coda/rpcs/0.0.1"), "no RPC among {protocols:?}");
    let more: Vec<_> = protocols.iter().filter(|name| !CLOSED.contains(&name.as_str())).collect();
    ensure!(more.is_empty(), "outside the closed list: {more:?}");
    let key = one(&said, 1).map(Value::bytes).unwrap_or_default();
    ensure!(libp2p::identity::PublicKey::try_decode_protobuf(key)?.to_peer_id() == node.peer_id, "another key");
    ensure!(one(&said, 5).map(Value::text).as_deref() == Some("ipfs/0.1.0"), "another version");
    let at = [&[4, 127, 0, 0, 1, 6][..], &node.address.port().to_be_bytes()].concat();
    ensure!(all(&said, 2).any(|address| address.bytes() == at), "it does not say where it listens");
    Ok(format!("{length} bytes, {} protocols, all in the closed list, coda/rpcs/0.0.1 among them", protocols.len()))
}

/// Row 9.
pub(super) fn unknown(scene: &Scene) -> Result<String> {
    let node = scene.node("node", &Options::default())?;
    let peer = Peer::dial(node.address, &node.manner(1), &[IDENTIFY])?;
    let stream = peer.begin(&[token(HEADER), token("/coda/lan/kad/1.0.0")].concat())?;
    ensure!([stream.token()?, stream.token()?] == [HEADER, "na"], "not refused");
    stream.say(&token("coda/rpcs/0.0.2"))?;
    ensure!(stream.token()? == "na", "not refused");
    stream.say(&token(PINGS))?;
    ensure!(stream.token()? == PINGS, "what is spoken is not taken behind what is not");
    let echo = [7; 32];
    stream.say(&echo)?;
    ensure!(stream.hear(32)? == echo, "no echo");
    identified(&peer)?;
    Ok("`na` twice on one stream, then /ipfs/ping/1.0.0 on it; the connection stays".to_owned())
}

/// Row 10.
pub(super) fn kademlia(scene: &Scene) -> Result<String> {
    let scene = Scene { chain: Chain { id: DEVNET.to_owned() }, ..scene.copy() };
    let node = scene.node("node", &Options::default())?;
    let crowd = crowd(&node, 24)?;
    let peer = Peer::dial(node.address, &node.manner(99), &[IDENTIFY, PINGS, KAD])?;
    let stream = peer.open(KAD)?;
    let own = ask(&stream, &question(FIND_NODE, &peer.own.to_bytes()))?;
    let random = Manner::new([0; 32], [123; 32]).keypair()?.public().to_peer_id().to_bytes();
    let other = ask(&stream, &question(FIND_NODE, &random))?;
    for (answer, of) in [(&own, "its own id"), (&other, "another id")] {
        let ids: BTreeSet<_> = answer.closer.iter().map(|(id, _)| id).collect();
        let is_well = answer.kind == FIND_NODE && ids.len() == answer.closer.len() && answer.closer.len() <= 20;
        ensure!(is_well, "{} peers for {of}", answer.closer.len());
        ensure!(answer.closer.iter().all(|(_, addresses)| *addresses > 0), "a peer without an address");
    }
    ensure!(!other.closer.is_empty(), "of 24 connected peers it names none");
    let rendezvous = const_hex::decode(RENDEZVOUS)?;
    provide(&crowd[0], &rendezvous)?;
    let providers = ask(&stream, &question(GET_PROVIDERS, &rendezvous))?;
    ensure!(providers.kind == GET_PROVIDERS && providers.closer.len() <= 20, "no answer about providers");
    ensure!(providers.providers == 1, "{} provide, and one says so", providers.providers);
    stream.say(&varint(KAD_BYTES_MAX + 1))?;
    stream.is_over(PATIENCE).context("a frame that is too long")?;
    identified(&peer)?;
    let named = (own.closer.len(), other.closer.len(), providers.providers);
    drop(crowd);
    Ok(format!(
        "{} and {} of 24 peers named, {} providers of the rendezvous; oversize ends the stream",
        named.0, named.1, named.2
    ))
}

// Says that it provides, and waits until the node has heard it.
fn provide(peer: &Peer, rendezvous: &[u8]) -> Result<()> {
    let stream = peer.open(KAD)?;
    let own = peer.own.to_bytes();
    let address = [&[4, 127, 0, 0, 1, 6][..], &free_address()?.port().to_be_bytes()].concat();
    let provider = [bytes(1, &own), bytes(2, &address)].concat();
    stream.say(&framed(&[number(1, ADD_PROVIDER), bytes(2, rendezvous), bytes(9, &provider)].concat()))?;
    ask(&stream, &question(FIND_NODE, &own)).map(drop)
}

// So many who speak Kademlia, and say where they listen.
fn crowd(node: &Node, count: u8) -> Result<Vec<Peer>> {
    let join = |number| {
        let manner = Manner { listens: Some(free_address()?), ..node.manner(number) };
        let peer = Peer::dial(node.address, &manner, &[IDENTIFY, PINGS, KAD])?;
        // Once it has asked who we are it can know.
        peer.opened(IDENTIFY)?.is_over(PATIENCE).map(|()| peer)
    };
    (1..=count).map(join).collect()
}
