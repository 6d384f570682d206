//! The mesh, messages and their content (Mina spec, section 11, rows 11 to 18).

use super::{Scene, gossiper};
use crate::client::PATIENCE;
use crate::client::gossip::{Gossip, Signed, id};
use crate::client::peer::{IDENTIFY, MESH, PINGS, Peer};
use crate::client::rpc::Answers;
use crate::node::{Chain, Options, wait};
use crate::payments::{Payment, damaged, diff, envelope};
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How few a mesh may have, and how many.
const LOW: usize = 5;
const HIGH: usize = 12;
/// How many are there before others graft: as many as a mesh is brought to.
const FEW: usize = 6;
/// Within so many heartbeats a mesh is filled: it takes one.
const HEARTBEATS_MAX: u32 = 5;
/// What we say when we prune, in seconds.
const BACK_OFF: u64 = 3;
/// What the node says.
const NODES_BACK_OFF: u64 = 60;
/// The devnet's chain, whose blocks the fixtures are.
const DEVNET: &str = "29936104443aaf264a7f0192ac64b1c7173198c1ed404c1bcff5e562e05eb7f6";

/// Row 11.
pub(super) fn mesh_membership(scene: &Scene) -> Result<String> {
    let node = scene.node("back-off", &Options::default())?;
    let manner = node.manner(1);
    let peer = Peer::dial(node.address, &manner, &[IDENTIFY, PINGS, MESH])?;
    let gossip = Gossip::open(&peer, manner.keypair()?)?;
    gossip.subscribe()?;
    let grafted = |frame: &crate::client::gossip::Frame| (frame.grafts > 0).then_some(());
    gossip.until(grafted).context("who subscribes is grafted")?;
    gossip.prune(BACK_OFF)?;
    let pruned = Instant::now();
    gossip.until(grafted).context("and again after its back-off")?;
    let waited = pruned.elapsed();
    ensure!(waited >= Duration::from_secs(BACK_OFF), "it is grafted after {waited:?}");
    gossip.prune(NODES_BACK_OFF)?;
    gossip.graft()?;
    let refused = |frame: &crate::client::gossip::Frame| frame.prunes.first().copied();
    let said = gossip.until(refused).context("a graft in back-off is answered by a prune")?;
    ensure!(said == NODES_BACK_OFF, "the node says {said} s");
    let members = fill(scene)?;
    Ok(format!(
        "{members} of 6 grafted, 12 of 16 let in, who comes then pruned for 60 s; back-off kept, a graft within it pruned"
    ))
}

// Between Dlo and D of few, and never more than Dhi, however many graft. How many of the few.
fn fill(scene: &Scene) -> Result<usize> {
    let node = scene.node("crowd", &Options::default())?;
    let join = |number: u8| -> Result<(Peer, Gossip)> {
        let manner = node.manner(number);
        let peer = Peer::dial(node.address, &manner, &[IDENTIFY, PINGS, MESH])?;
        let gossip = Gossip::open(&peer, manner.keypair()?)?;
        gossip.subscribe()?;
        Ok((peer, gossip))
    };
    let mut crowd = (1..=FEW as u8).map(join).collect::<Result<Vec<_>>>()?;
    let manner = node.manner(99);
    let outside = Peer::dial(node.address, &manner, &[IDENTIFY, PINGS, MESH])?;
    let outside = Gossip::open(&outside, manner.keypair()?)?;
    let mut few = 0;
    for nonce in 0..HEARTBEATS_MAX {
        few = few.max(members(&outside, &crowd, nonce)?.0);
    }
    ensure!((LOW..=FEW).contains(&few), "{few} of {FEW} are in the mesh");
    for number in 11..=20 {
        let (peer, gossip) = join(number)?;
        gossip.graft()?;
        crowd.push((peer, gossip));
    }
    let (many, prunes) = members(&outside, &crowd, 1_000)?;
    ensure!(many == HIGH, "{many} are in the mesh");
    // One of the few may have been one too many to be wanted and does not graft.
    let turned_away = crowd.len() - HIGH - (FEW - few);
    ensure!(prunes == vec![NODES_BACK_OFF; turned_away], "prunes for {prunes:?} s, and {turned_away} were turned away");
    Ok(few)
}

// A message goes to members at once, and others are told of it. How many are members, and the prunes that came before.
fn members(outside: &Gossip, crowd: &[(Peer, Gossip)], nonce: u32) -> Result<(usize, Vec<u64>)> {
    let data = Payment::new(nonce).message();
    outside.publish(&data)?;
    let (mut members, mut prunes) = (0, Vec::new());
    for (_, gossip) in crowd {
        let is_member = gossip.until(|frame| {
            prunes.extend_from_slice(&frame.prunes);
            // Who becomes a member behind it is not told of it.
            let is_told = frame.ihave.contains(&id(&data)) || frame.grafts > 0;
            if frame.data.contains(&data) { Some(true) } else { is_told.then_some(false) }
        })?;
        members += usize::from(is_member);
    }
    Ok((members, prunes))
}

/// Row 12.
pub(super) fn signatures(scene: &Scene) -> Result<String> {
    let node = scene.node("node", &Options::default())?;
    let ((_a, from), (_b, to)) = (gossiper(&node, 1)?, gossiper(&node, 2)?);
    let key = from.keypair();
    let data: Vec<Vec<u8>> = (0..5).map(|nonce| Payment::new(nonce).message()).collect();
    let signed = |at: usize| Signed::new(key, 100 + at as u64, &data[at]);
    from.send(&signed(0)?)?;
    from.send(&signed(1)?.with_key(key))?;
    from.send(&signed(2)?.forged())?;
    from.send(&signed(3)?.without_seqno(key)?)?;
    // The vector: its signature is right, and what it says, `hello world`, is no message of the network.
    let vectors: Value = serde_json::from_slice(&scene.fixture("vectors/message_vectors.json")?)?;
    let frame = vectors["messages"][0]["rpc_frame"].as_str().context("the vector's frame")?;
    from.ours().say(&const_hex::decode(frame)?)?;
    from.send(&signed(4)?)?;
    let heard = to.hear_until(&data[4])?;
    ensure!(heard == [&data[0][..], &data[1], &data[4]], "{} messages came through", heard.len());
    node.says("malformed_message").context("the vector is read, and refused for what it says")?;
    let test = scene.tested(
        "protocols/mina/tests/mesh/vectors.rs",
        "the_signed_message_is_read_verified_named_and_sent_on_byte_for_byte",
    )?;
    Ok(format!(
        "with and without `key` delivered; forged and without seqno not; the vector's bytes on delivery: {test}"
    ))
}

/// Row 13.
pub(super) fn ids(scene: &Scene) -> Result<String> {
    let node = scene.node("node", &Options::default())?;
    let ((_a, from), (_b, to)) = (gossiper(&node, 1)?, gossiper(&node, 2)?);
    let data = scene.fixture("v2-current/derived/gossip-v0-transaction-pool-diff.bin")?;
    let expected: Value = serde_json::from_slice(&scene.fixture("vectors/expected.json")?)?;
    let known = expected["gossip_v0_transaction_pool_diff"]["message_id"].as_str().context("the id")?;
    let known = const_hex::decode(known)?;
    ensure!(id(&data) == known, "this program makes another id than the vector's");
    from.publish(&data)?;
    to.hear_until(&data)?;
    to.iwant(std::slice::from_ref(&known))?;
    to.hear_until(&data).context("asked for by the vector's id")?;
    // Of two ids the node asks for the one that it has not.
    let unknown = id(b"nobody has this");
    from.ihave(&[known, unknown.clone()])?;
    let wanted = from.until(|frame| (!frame.iwant.is_empty()).then(|| frame.iwant.clone()))?;
    ensure!(wanted == [unknown], "it asks for {} messages", wanted.len());
    let test = scene.tested("protocols/mina/tests/mesh/vectors.rs", "every_known_name_of_a_message_is_made")?;
    Ok(format!("the fixture's diff is given for its id of 3.3 and not asked for; all vectors: {test}"))
}

/// Row 14.
pub(super) fn two_authors(scene: &Scene) -> Result<String> {
    let node = scene.node("node", &Options::default())?;
    let ((_a, one), (_b, other), (_c, to)) = (gossiper(&node, 1)?, gossiper(&node, 2)?, gossiper(&node, 3)?);
    let (data, last) = (Payment::new(1).message(), Payment::new(2).message());
    one.publish(&data)?;
    let mut heard = to.hear_until(&data)?;
    other.publish(&data)?;
    other.publish(&last)?;
    heard.extend(to.hear_until(&last)?);
    let times = heard.iter().filter(|heard| **heard == data).count();
    ensure!(times == 1, "delivered {times} times");
    Ok("delivered once".to_owned())
}

/// Row 15.
pub(super) fn malformed(scene: &Scene) -> Result<String> {
    let node = scene.node("node", &Options::default())?;
    let ((peer, from), (_b, to)) = (gossiper(&node, 1)?, gossiper(&node, 2)?);
    let wrong: Vec<(&str, Vec<u8>)> = (0..)
        .zip(damaged(Payment::new(0)))
        .map(|(nonce, (name, _))| (name, damaged(Payment::new(nonce))[nonce as usize].1.clone()))
        .collect();
    for (_, data) in &wrong {
        from.publish(data)?;
    }
    let last = Payment::new(100);
    from.publish(&last.message())?;
    let heard = to.hear_until(&last.message())?;
    ensure!(heard.len() == 1, "{} wrong messages were sent on", heard.len() - 1);
    ensure!(node.mempool()? == [last.id()], "{:?} wait", node.mempool()?);
    // Only the length of a frame with a message above 32 MiB and room for what else a frame has.
    from.begin((32 << 20) + (2 << 20))?;
    from.ours().is_over(PATIENCE).context("a message above 32 MiB")?;
    peer.is_alive(1)?;
    let names: Vec<&str> = wrong.iter().map(|(name, _)| *name).collect();
    Ok(format!("never forwarded: {}; above 32 MiB the stream ends, at its length", names.join(", ")))
}

/// Row 16. By gossip the fixture's block is years late, so it comes as somebody's best tip.
pub(super) fn block(scene: &Scene) -> Result<String> {
    let scene = Scene { chain: Chain { id: DEVNET.to_owned() }, ..scene.copy() };
    let node = scene.node("node", &Options { public: Some("mina-testnet"), ..Options::default() })?;
    let ((_a, from), (_b, to)) = (gossiper(&node, 1)?, gossiper(&node, 2)?);
    from.publish(&scene.fixture("v2-current/derived/gossip-v0-new-state-357934.bin")?)?;
    let wrong = damaged(Payment::new(0)).swap_remove(0).1;
    from.publish(&wrong)?;
    // Messages are judged in their order.
    node.says("malformed_message")?;
    ensure!(node.why()?.iter().all(|why| !why["text"].to_string().contains("late")), "lateness is nobody's fault");
    ensure!(node.tip().is_err(), "a late block is taken from gossip");
    drop(to);
    let block = scene.fixture("v2-current/derived/block-devnet-357934.bin")?;
    let tip = [&[1][..], &block, &[0], &block].concat();
    let answers: Answers = Arc::new(move |tag, _| match tag {
        "__Versioned_rpc.Menu" => Some([&[1, 12][..], b"get_best_tip", &[2]].concat()),
        "get_best_tip" => Some(tip.clone()),
        _ => None,
    });
    let _source = Peer::dial_to_answer(node.address, &node.manner(3), answers)?;
    wait(|| Ok(node.tip().is_ok())).with_context(|| format!("the block is not taken: {:?}", node.why()))?;
    let (shown, expected): (Value, Value) =
        (node.tip()?, serde_json::from_slice(&scene.fixture("vectors/expected.json")?)?);
    let expected = &expected["devnet_block_357934"];
    let hash = shown["hash"].as_str().unwrap_or_default();
    ensure!(expected["state_hash_le_hex"] == hash, "its state hash is {hash}");
    ensure!(expected["blockchain_length"] == shown["height"], "its height is {}", shown["height"]);
    ensure!(expected["timestamp_ms"] == shown["time"], "its time, which is that of its slot, is {}", shown["time"]);
    let test = scene
        .tested("protocols/mina/tests/wire/envelopes.rs", "what_is_in_a_message_is_what_was_cut_out_of_the_block")?;
    Ok(format!(
        "as a best tip: state hash {hash}, height, slot's time; by gossip late, so ignored without blame; header: {test}"
    ))
}

/// Row 17.
pub(super) fn diffs(scene: &Scene) -> Result<String> {
    let node = scene.node("node", &Options::default())?;
    let ((_a, from), (_b, to)) = (gossiper(&node, 1)?, gossiper(&node, 2)?);
    let data = scene.fixture("v2-current/derived/gossip-v0-transaction-pool-diff.bin")?;
    from.publish(&data)?;
    to.hear_until(&data)?;
    let payment = scene.fixture("v2-current/derived/user-command-payment.bin")?;
    let mut masked = payment.clone();
    let (from_end, signature) = (masked.len() - 64, [0; 64]);
    masked[from_end..].copy_from_slice(&signature);
    (masked[from_end], masked[from_end + 32]) = (1, 1);
    node.has(&const_hex::encode(crate::node::hash(&masked[1..]))).context("the payment")?;
    ensure!(node.mempool()?.len() == 2, "the diff has two commands, {} wait", node.mempool()?.len());
    // The empty diff of work is of no use to anybody.
    from.publish(&scene.fixture("v2-current/derived/gossip-v0-snark-pool-diff-empty.bin")?)?;
    let zkapp = [&[1][..], &scene.fixture("v2-current/zkapps/with_sig_auth.bin")?].concat();
    let last = diff(&[zkapp], 3);
    from.publish(&last)?;
    to.hear_until(&last)?;
    let expected: Value = serde_json::from_slice(&scene.fixture("vectors/expected.json")?)?;
    let text = expected["zkapps"]["with_sig_auth.bin"]["transaction_hash"].as_str().context("its id")?;
    // A version byte, a length, the hash, a checksum.
    let id = bs58::decode(text).into_vec()?.get(2..34).map(const_hex::encode).context("a short id")?;
    node.has(&id).context("the zkApp command by the id of the fixtures")?;
    ensure!(!node.said("malformed")?, "the empty diff of work is blamed: {:?}", node.why()?);
    Ok(format!("both commands wait, and with_sig_auth.bin under {text}; the empty SNARK diff is taken without blame"))
}

/// Row 18.
pub(super) fn stale(scene: &Scene) -> Result<String> {
    let node = scene.node("node", &Options::default())?;
    let ((peer, from), (_b, to)) = (gossiper(&node, 1)?, gossiper(&node, 2)?);
    let old = ["external-transition-1", "external-transition-sandbox-1", "snark-pool-diff-1", "snark-pool-diff-10"];
    let old = old.into_iter().chain(["tx-pool-diff-1", "tx-pool-diff-2", "tx-pool-diff-3"]);
    let old = old.map(|name| format!("v1-legacy/gossip/{name}.bin"));
    let stale = ["new_state", "snark_pool_diff", "transaction_pool_diff"];
    let stale = stale.map(|name| format!("v2-prerelease-stale/gossip-{name}.bin"));
    let names: Vec<String> = old.chain(stale).collect();
    for name in &names {
        from.publish(&envelope(&scene.fixture(name)?))?;
    }
    let last = Payment::new(1).message();
    from.publish(&last)?;
    let heard = to.hear_until(&last)?;
    ensure!(heard.len() == 1, "{} of them were sent on", heard.len() - 1);
    peer.is_alive(1)?;
    let blames = node.why()?.iter().filter(|why| why["text"].to_string().contains("malformed_message")).count();
    if blames == 0 {
        bail!("nothing was found wrong: {:?}", node.why()?);
    }
    Ok(format!("{} payloads refused, none sent on, the connection stays", names.len()))
}
