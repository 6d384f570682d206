//! What is below the streams: the network's key, negotiation, Noise, yamux (Mina spec, section 11, rows 1 to 7).

use super::Scene;
use crate::client::PATIENCE;
use crate::client::kad::{FIND_NODE, ask, question};
use crate::client::line::{CIPHER, HEADER, Line, MUXER, Manner, proof, token};
use crate::client::peer::{DATA, GO_AWAY, IDENTIFY, KAD, Peer, RST, WINDOW, WINDOW_BYTES};
use crate::client::protobuf::bytes;
use crate::node::{Node, Options, free_address};
use anyhow::{Context, Result, ensure};
use std::net::{TcpListener, TcpStream};

/// Row 1.
pub(super) fn dripped_nonce(scene: &Scene) -> Result<String> {
    let node = scene.node("node", &Options::default())?;
    let manner = Manner { drips: true, ..node.manner(1) };
    works(&Peer::dial(node.address, &manner, &[IDENTIFY])?, &node)?;
    Ok("23 segments of a byte, the 24th with the first cipher bytes: accepted".to_owned())
}

/// Row 2.
pub(super) fn wrong_key(scene: &Scene) -> Result<String> {
    let mut node = scene.node("node", &Options::default())?;
    let manner = Manner { network_key: [7; 32], ..node.manner(1) };
    // A proposal that is noise to the node, more noise than it may read, and nothing at all.
    let noise: [Vec<u8>; 3] = [[token(HEADER), token(CIPHER)].concat(), vec![0x2f; 64 << 10], Vec::new()];
    for said in noise {
        let mut line = Line::begin(TcpStream::connect(node.address)?, &manner)?;
        // It may have closed before all is said.
        let _ = line.out.say_hidden(&said);
        line.input.drain().with_context(|| format!("after {} bytes", said.len()))?;
    }
    node.is_alive()?;
    ensure!(node.ready()?.is_empty(), "somebody is in without the key");
    works(&Peer::dial(node.address, &node.manner(1), &[IDENTIFY])?, &node)?;
    let test =
        scene.tested("driver/tests/libp2p/opening.rs", "no_more_than_a_kibibyte_is_taken_before_there_is_a_muxer")?;
    Ok(format!("closed after 28 bytes, after 64 KiB and after none; the node serves on; 1,024 bytes: {test}"))
}

/// Row 3 needs keys and nonces that a running node draws for itself.
pub(super) fn recorded(scene: &Scene) -> Result<String> {
    let file = "driver/src/libp2p/recorded.rs";
    let tests = [
        "as_the_dialler_ours_says_the_recorded_bytes_and_takes_the_answers",
        "as_the_listener_ours_says_the_recorded_bytes_and_takes_what_is_asked",
    ];
    let named = tests.map(|test| scene.tested(file, test)).into_iter().collect::<Result<Vec<_>>>()?;
    Ok(format!("shown inside, where nonces are given: {}", named.join(", ")))
}

/// Row 4.
pub(super) fn simultaneous(scene: &Scene) -> Result<String> {
    let node = scene.node("node", &Options::default())?;
    let manner = Manner { ciphers: vec!["/libp2p/simultaneous-connect", CIPHER], ..node.manner(1) };
    works(&Peer::dial(node.address, &manner, &[IDENTIFY])?, &node)?;
    Ok("`na`, then /noise succeeds".to_owned())
}

/// Row 5.
pub(super) fn muxers(scene: &Scene) -> Result<String> {
    let node = scene.node("node", &Options::default())?;
    let manner = Manner { muxers: vec!["/yamux/1.0.0", MUXER], ..node.manner(1) };
    works(&Peer::dial(node.address, &manner, &[IDENTIFY])?, &node)?;
    // The list of muxers within Noise: the round of negotiation falls away.
    let manner = Manner { extension: bytes(4, &bytes(2, MUXER.as_bytes())), ..node.manner(2) };
    works(&Peer::dial(node.address, &manner, &[IDENTIFY])?, &node)?;
    Ok("/yamux/1.0.0 `na`, /coda/yamux/1.0.0 taken; listed in Noise, taken without a round".to_owned())
}

/// Row 6.
pub(super) fn identities(scene: &Scene) -> Result<String> {
    let listener = TcpListener::bind(free_address()?)?;
    let at = listener.local_addr()?;
    let expected = Manner::new([0; 32], [40; 32]).keypair()?.public().to_peer_id();
    let seeds = format!("seeds = [\"/ip4/127.0.0.1/tcp/{}/p2p/{expected}\"]", at.port());
    let own = [41; 32];
    let options = Options { lines: vec![seeds], discovers: true, seed: Some(own), ..Options::default() };
    let node = scene.node("node", &options)?;
    // Dialled where another is expected.
    let other = Peer::accept(&listener, &node.manner(42), &[IDENTIFY])?;
    other.ends(PATIENCE).context("somebody else than expected")?;
    node.says("other_peer")?;
    // Itself: refused by what it proves, before there is a connection.
    let itself = Manner { seed: own, ..node.manner(1) };
    is_refused(&node, &itself).context("itself")?;
    let mut wrong = proof(&node.manner(3).keypair()?, &[9; 32])?;
    let proving = |proof| Manner { proof: Some(proof), ..node.manner(3) };
    is_refused(&node, &proving(wrong.clone())).context("a signature over another key")?;
    // A key of secp256k1, whose signature is of another length too.
    wrong[3] = 2;
    is_refused(&node, &proving(wrong)).context("a key of another kind")?;
    is_refused(&node, &proving(Vec::new())).context("no identity")?;
    works(&Peer::dial(node.address, &node.manner(3), &[IDENTIFY])?, &node)?;
    ensure!(node.ready()?.len() <= 1, "somebody is in: {:?}", node.ready()?);
    let test = scene.tested("driver/src/libp2p/noise.rs", "each_way_to_be_wrong_has_its_own_name")?;
    Ok(format!(
        "each closed before a stream; another than expected by `other_peer`; the errors of Noise differ: {test}"
    ))
}

fn is_refused(node: &Node, manner: &Manner) -> Result<()> {
    match Line::dial(node.address, manner) {
        Ok(_) => anyhow::bail!("it is let in"),
        // The node has ended it, and time has not.
        Err(error) => ensure!(error.downcast_ref::<std::io::Error>().is_some_and(is_end), "{error:#}"),
    }
    Ok(())
}

fn is_end(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof)
}

/// Row 7.
pub(super) fn yamux(scene: &Scene) -> Result<String> {
    let node = scene.node("node", &Options::default())?;
    let peer = Peer::dial(node.address, &node.manner(1), &[IDENTIFY])?;
    let stream = peer.begin_with_window()?;
    stream.say(&[token(HEADER), token(KAD)].concat())?;
    ensure!([stream.token()?, stream.token()?] == [HEADER, KAD], "a stream opened by a window update");
    peer.is_alive(0x1234_5678).context("ping")?;
    ask(&stream, &question(FIND_NODE, &peer.own.to_bytes()))?;
    // Finished by both, and then broken off.
    stream.finish()?;
    stream.is_over(PATIENCE)?;
    stream.reset()?;
    peer.is_alive(2).context("a reset after a finished exchange")?;
    let open = peer.open(KAD)?;
    open.reset()?;
    peer.is_alive(3).context("a reset in the middle")?;
    peer.say(WINDOW, 0, 9_999, 1, &[])?;
    peer.say(DATA, RST, 9_997, 0, &[])?;
    peer.is_alive(4).context("what belongs to no stream")?;
    works(&peer, &node)?;
    peer.say(GO_AWAY, 0, 0, 0, &[])?;
    peer.ends(PATIENCE).context("go away")?;
    let other = Peer::dial(node.address, &node.manner(2), &[IDENTIFY])?;
    let stream = other.open(KAD)?;
    let more = WINDOW_BYTES + 1;
    // It may close before all is said.
    let _ = other.say(DATA, 0, stream.id, more, &vec![0; more as usize]);
    other.ends(PATIENCE).context("more than the window")?;
    works(&Peer::dial(node.address, &node.manner(3), &[IDENTIFY])?, &node)?;
    Ok("SYN on a window update, ping, resets and unknown streams are borne; overrun and go away close".to_owned())
}

/// The connection stands, and streams are served on it.
fn works(peer: &Peer, node: &Node) -> Result<()> {
    ensure!(peer.node == node.peer_id, "it proves to be {}", peer.node);
    super::streams::identified(peer).map(drop)
}
