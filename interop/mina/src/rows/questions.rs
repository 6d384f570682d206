//! Questions and answers (Mina spec, section 5, and section 11, rows 19 to 23).

use super::Scene;
use crate::client::PATIENCE;
use crate::client::binprot::{Reader, nat0};
use crate::client::peer::{IDENTIFY, PINGS, Peer, RPC};
use crate::client::rpc::{
    Answer, Answers, HANDSHAKE, HEARTBEAT, Line, UNIT, VERSION_NAME, ask, menu as read_menu, query,
};
use crate::node::{Node, Options, wait};
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const MENU: &str = "__Versioned_rpc.Menu";
/// After so long without a heartbeat a stream ends.
const SILENCE: Duration = Duration::from_secs(120);
/// How often one is said.
const BEAT: Duration = Duration::from_secs(10);
/// Every method that the spec knows, with a question that decodes.
fn methods() -> Vec<(&'static str, i64, Vec<u8>)> {
    let hash = vec![5; 32];
    let chain = [&[1][..], &hash].concat();
    vec![
        (MENU, 1, UNIT.to_vec()),
        ("get_some_initial_peers", 1, UNIT.to_vec()),
        ("get_best_tip", 2, UNIT.to_vec()),
        ("get_transition_chain", 2, chain),
        ("get_transition_chain_proof", 1, hash.clone()),
        ("Get_transition_knowledge", 1, UNIT.to_vec()),
        ("ban_notify", 1, 1.5e9_f64.to_le_bytes().to_vec()),
        ("get_staged_ledger_aux_and_pending_coinbases_at_hash", 2, hash.clone()),
        ("answer_sync_ledger_query", 3, [&hash[..], &[2]].concat()),
        ("answer_sync_ledger_query", 4, [&hash[..], &[2]].concat()),
        ("get_completed_snarks", 1, UNIT.to_vec()),
        ("get_epoch_ledger", 2, hash),
        ("get_node_status", 1, UNIT.to_vec()),
        ("get_node_status", 2, UNIT.to_vec()),
    ]
}

fn asker(node: &Node, number: u8) -> Result<Peer> {
    Peer::dial(node.address, &node.manner(number), &[IDENTIFY, PINGS])
}

/// A node that makes a block a second, from now on.
fn producer(scene: &Scene, name: &str, produces: bool, began: u128) -> Result<Node> {
    let lines = vec!["slot = \"1s\"".to_owned(), "slots_percent = 100".to_owned(), format!("genesis_time = {began}")];
    scene.node(name, &Options { lines, produces, ..Options::default() })
}

fn now_ms() -> Result<u128> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())
}

fn reaches(node: &Node, height: u64) -> Result<()> {
    wait(|| Ok(node.tip().is_ok_and(|tip| tip["height"].as_u64() >= Some(height))))
        .with_context(|| format!("height {height} is not reached: {:?}", node.tip()))
}

/// A block's hash and bytes, as the API has them.
fn block(node: &Node, which: &str) -> Result<(Vec<u8>, Vec<u8>)> {
    let found = node.ask(&format!("blocks/{which}"))?;
    let hex = |key: &str| -> Result<Vec<u8>> { Ok(const_hex::decode(found[key].as_str().context("no hex")?)?) };
    Ok((hex("hash")?, hex("hex")?))
}

/// Handshake, heartbeat and menu, each on a stream of its own.
pub(super) fn greeting(scene: &Scene) -> Result<String> {
    let node = scene.node("node", &Options::default())?;
    let peer = asker(&node, 1)?;
    let line = Line::open(&peer)?;
    line.stream.say(&HEARTBEAT)?;
    let started = Instant::now();
    ensure!(line.message(PATIENCE)? == UNIT, "the node's next message is no heartbeat");
    let waited = started.elapsed();
    let listed = read_menu(&ask(&peer, MENU, 1, &UNIT)?.value()?)?;
    ensure!(!listed.is_empty(), "an empty menu");
    Ok(format!("both shake hands, a heartbeat after {:.0} s, a menu of {}", waited.as_secs_f64(), listed.len()))
}

/// No best tip on a network without blocks, and a block where blocks are made.
pub(super) fn best_tip(scene: &Scene) -> Result<String> {
    let lines = vec!["check_proofs = true".to_owned(), format!("genesis_state_hash = \"{}\"", "05".repeat(32))];
    let empty = scene.node("empty", &Options { lines, ..Options::default() })?;
    let none = ask(&asker(&empty, 1)?, "get_best_tip", 2, &UNIT)?.value()?;
    ensure!(none == [0], "a tip without a block");
    drop(empty);
    let node = producer(scene, "node", true, now_ms()?)?;
    reaches(&node, 3)?;
    let answer = ask(&asker(&node, 1)?, "get_best_tip", 2, &UNIT)?.value()?;
    // It may have moved on since.
    let height = node.tip()?["height"].as_u64().context("a height")?;
    let found = (1..=height).rev().find_map(|height| {
        let (_, tip) = block(&node, &height.to_string()).ok()?;
        answer.get(1..)?.strip_prefix(&tip[..]).map(|rest| (height, rest))
    });
    let (height, rest) = found.context("the tip is none of the node's blocks")?;
    let mut reader = Reader(rest);
    let path = reader.nat0()?;
    reader.bytes(32 * path)?;
    let root = (1..=height).find(|root| block(&node, &root.to_string()).is_ok_and(|(_, bytes)| bytes == reader.0));
    let root = root.context("the root is none of the node's blocks")?;
    ensure!(height == root + path as u64, "a path of {path} from {root} to {height}");
    Ok(format!(
        "none where there is none; else block {height} with a path of {path} to root {root}, as the API has them"
    ))
}

/// Blocks by hash; nothing when one is not there.
pub(super) fn transition_chain(scene: &Scene) -> Result<String> {
    let node = producer(scene, "node", true, now_ms()?)?;
    reaches(&node, 4)?;
    let peer = asker(&node, 1)?;
    let blocks = ["2", "3", "4"].map(|height| block(&node, height)).into_iter().collect::<Result<Vec<_>>>()?;
    let hashes: Vec<u8> = blocks.iter().flat_map(|(hash, _)| hash.clone()).collect();
    let answer = ask(&peer, "get_transition_chain", 2, &[&[3][..], &hashes].concat())?.value()?;
    let bytes: Vec<u8> = blocks.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
    ensure!(answer == [&[1, 3][..], &bytes].concat(), "other blocks");
    let answer = ask(&peer, "get_transition_chain", 2, &[&[1][..], &[7; 32]].concat())?.value()?;
    ensure!(answer == [0], "a block that nobody made");
    let proof = ask(&peer, "get_transition_chain_proof", 1, &blocks[2].0)?.value()?;
    let mut reader = Reader(&proof);
    ensure!(reader.byte()? == 1, "no path to its own block");
    reader.bytes(32)?;
    let path = reader.nat0()?;
    reader.bytes(32 * path)?;
    reader.end()?;
    Ok(format!(
        "three blocks byte for byte as the API has them, none for an unknown hash, a proof with a path of {path}"
    ))
}

/// An unknown method, and more hashes than may be asked for.
pub(super) fn refused(scene: &Scene) -> Result<String> {
    let node = scene.node("node", &Options::default())?;
    let line = Line::open(&asker(&node, 1)?)?;
    is_unimplemented(&line, "get_rich", 2)?;
    let twenty_one = [&nat0(21)[..], &[7; 21 * 32]].concat();
    let Answer::Error(number, text) = line.ask("get_transition_chain", 2, 5, &twenty_one)? else {
        bail!("21 hashes are answered")
    };
    ensure!(number == 3, "error {number}");
    let twenty = [&nat0(20)[..], &[7; 20 * 32]].concat();
    ensure!(line.ask("get_transition_chain", 2, 6, &twenty)?.value()? == [0], "twenty hashes on the same stream");
    let text = String::from_utf8_lossy(text.get(2..).unwrap_or_default()).into_owned();
    Ok(format!("error 4 with the tag, f11d8694 and the version; 21 hashes: error 3, `{text}`; twenty are answered"))
}

fn is_unimplemented(line: &Line, tag: &str, version: u8) -> Result<()> {
    let wanted = [&nat0(tag.len())[..], tag.as_bytes(), &VERSION_NAME, &[version]].concat();
    let answer = line.ask(tag, version.into(), 9, &UNIT)?;
    ensure!(answer == Answer::Error(4, wanted), "{tag} {version}: {answer:02x?}");
    Ok(())
}

/// Our node asks somebody who hands its questions on to another of ours, in frames of this program's.
pub(super) fn ours_asks(scene: &Scene) -> Result<String> {
    let began = now_ms()?;
    let source = producer(scene, "source", true, began)?;
    reaches(&source, 5)?;
    let behind = asker(&source, 1)?;
    let asked = Arc::new(std::sync::Mutex::new(Vec::new()));
    let noted = Arc::clone(&asked);
    let answers: Answers = Arc::new(move |tag, payload| {
        let versions = methods();
        let (_, version, _) = versions.iter().find(|(known, ..)| *known == tag)?;
        noted.lock().ok()?.push(tag.to_owned());
        ask(&behind, tag, *version, payload).ok()?.value().ok()
    });
    let node = producer(scene, "node", false, began)?;
    let _between = Peer::dial_to_answer(node.address, &node.manner(1), answers)?;
    reaches(&node, 5)?;
    for height in ["2", "5"] {
        ensure!(block(&node, height)? == block(&source, height)?, "other blocks at {height}");
    }
    let asked = asked.lock().map_err(|_| anyhow::anyhow!("a panic"))?.clone();
    let count = |tag: &str| asked.iter().filter(|asked| *asked == tag).count();
    ensure!(count(MENU) > 0 && count("get_best_tip") > 0 && count("get_transition_chain") > 0, "asked {asked:?}");
    Ok(format!("it asks for the menu, the best tip and chains, {} questions, and has the same blocks", asked.len()))
}

/// Row 19.
pub(super) fn handshakes(scene: &Scene) -> Result<String> {
    let node = scene.node("node", &Options::default())?;
    let peer = asker(&node, 1)?;
    let stream = peer.open(RPC)?;
    for byte in HANDSHAKE {
        stream.say(&[byte])?;
    }
    let line = Line { stream };
    ensure!(line.message(PATIENCE)? == HANDSHAKE[8..], "no handshake");
    line.ask(MENU, 1, 1, &UNIT)?.value().context("after a handshake in segments of a byte")?;
    let mut wrong = HANDSHAKE;
    wrong[10] ^= 1;
    for first in [wrong.to_vec(), query(MENU, 1, 1, &UNIT), HEARTBEAT.to_vec()] {
        let stream = peer.open(RPC)?;
        stream.say(&first)?;
        stream.is_over(PATIENCE).with_context(|| format!("after {first:02x?}"))?;
    }
    peer.is_alive(1)?;
    line.ask(MENU, 1, 2, &UNIT)?.value().context("the first stream")?;
    Ok("in segments ok; wrong magic, a question or a heartbeat before it end the stream, and no other".to_owned())
}

/// Row 20.
pub(super) fn menu(scene: &Scene) -> Result<String> {
    let node = scene.node("node", &Options::default())?;
    let peer = asker(&node, 1)?;
    let line = Line::open(&peer)?;
    let listed = read_menu(&line.ask(MENU, 1, 1, &UNIT)?.value()?)?;
    line.ask("get_best_tip", 2, 2, &UNIT)?.value().context("an advertised method on the same stream")?;
    line.stream.finish()?;
    line.stream.is_over(PATIENCE).context("the stream is closed by both")?;
    let known = methods();
    // What needs more than a question that decodes is asked elsewhere: an ancestry names a whole consensus state.
    let is_asked = |(tag, version): &&(String, i64)| {
        known.iter().any(|(other, number, _)| (other, number) == (&tag.as_str(), version))
    };
    let unasked: Vec<_> = listed.iter().filter(|entry| !is_asked(entry)).collect();
    ensure!(unasked.iter().all(|(tag, version)| (tag.as_str(), *version) == ("get_ancestry", 2)), "{unasked:?}");
    for (tag, version, question) in &known {
        let answer = ask(&peer, tag, *version, question)?;
        let is_refused = matches!(answer, Answer::Error(4, _));
        let is_listed = listed.iter().any(|(listed, number)| (listed.as_str(), number) == (*tag, version));
        ensure!(is_listed != is_refused, "{tag} {version} is listed: {is_listed}, and answered {answer:02x?}");
    }
    Ok(format!(
        "{} methods listed, each answered; the other {} get error 4",
        listed.len(),
        known.len() + unasked.len() - listed.len()
    ))
}

/// Row 21.
pub(super) fn unknown(scene: &Scene) -> Result<String> {
    let node = scene.node("node", &Options::default())?;
    let line = Line::open(&asker(&node, 1)?)?;
    is_unimplemented(&line, "no_such_method", 1)?;
    is_unimplemented(&line, "get_best_tip", 1)?;
    line.ask(MENU, 1, 3, &UNIT)?.value().context("on the same stream")?;
    Ok("error 4 for another method and for another version; the stream stays".to_owned())
}

/// Row 22.
pub(super) fn heartbeats(scene: &Scene) -> Result<String> {
    let node = scene.node("node", &Options::default())?;
    let peer = asker(&node, 1)?;
    let (silent, kept) = (Line::open(&peer)?, Line::open(&peer)?);
    let began = Instant::now();
    while !silent.stream.has_ended() {
        ensure!(began.elapsed() < SILENCE + PATIENCE, "a silent stream stays");
        kept.stream.say(&HEARTBEAT)?;
        // It ends by itself, or the next heartbeat is due.
        let _ = silent.stream.is_over(BEAT);
    }
    let took = began.elapsed();
    ensure!(took > SILENCE - BEAT, "a silent stream ends after {took:?}");
    kept.ask(MENU, 1, 1, &UNIT)?.value().context("the stream with heartbeats")?;
    peer.is_alive(1)?;
    Ok(format!("a silent stream ends after {:.0} s, one with heartbeats and the connection stay", took.as_secs_f64()))
}

/// Row 23.
pub(super) fn rates(scene: &Scene) -> Result<String> {
    let node = scene.node("node", &Options::default())?;
    let peer = asker(&node, 1)?;
    let line = Line::open(&peer)?;
    let twenty_one = [&nat0(21)[..], &[7; 21 * 32]].concat();
    ensure!(matches!(line.ask("get_transition_chain", 2, 1, &twenty_one)?, Answer::Error(3, _)), "21 hashes");
    let one = [&[1][..], &[7; 32]].concat();
    let began = Instant::now();
    let (mut answered, mut refused) = (0, 0);
    for id in 100..200 {
        match line.ask("get_transition_chain", 2, id, &one) {
            Ok(Answer::Value(_)) => answered += 1,
            Ok(Answer::Error(3, _)) => refused += 1,
            Ok(other) => bail!("{other:?}"),
            // Whoever goes on asking is let go at some time.
            Err(_) if peer.has_ended() => break,
            Err(error) => return Err(error),
        }
    }
    // Twenty at once, and one more each second.
    let allowed = 20 + began.elapsed().as_secs() + 1;
    ensure!(answered <= allowed, "{answered} of 100 are answered");
    ensure!(answered > 0 && refused > 0, "{answered} answered, {refused} refused");
    let end = if peer.has_ended() { "then the asker is let go" } else { "the asker stays" };
    let status: Value = node.ask("bans")?;
    ensure!(status.as_array().is_some_and(Vec::is_empty), "loopback is refused: {status}");
    works(&node)?;
    Ok(format!(
        "21 hashes: error 3; of 100 as fast as they are answered {answered} answered, {refused} refused by error 3, {end}"
    ))
}

fn works(node: &Node) -> Result<()> {
    ask(&asker(node, 2)?, MENU, 1, &UNIT)?.value().map(drop)
}
