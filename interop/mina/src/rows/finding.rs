//! Kademlia: who finds whom through a third.

use super::Scene;
use crate::node::Options;
use crate::stock::{Stock, Wrong, socket_address};
use anyhow::{Context, Result, ensure};

/// A stock node that knows only another stock node finds ours, which that other knows, and connects to it.
pub(super) fn theirs_find_ours(scene: &Scene) -> Result<String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let start = || Stock::start(runtime.handle(), scene.chain.key(), true, &Wrong::default());
    let (between, seeker) = (start()?, start()?);
    let node = scene.node("node", &Options { add_peers: vec![between.address], ..Options::default() })?;
    between.wait("ours", |seen| seen.agents.contains_key(&node.peer_id))?;
    seeker.dial(between.address)?;
    seeker.wait("the one between", |seen| seen.agents.contains_key(&between.peer_id))?;
    seeker.find(node.peer_id)?;
    seeker
        .wait("ours by its look-up", |seen| seen.found.get(&node.peer_id).is_some_and(|addresses| *addresses > 0))
        .with_context(|| seeker.seen().summary())?;
    seeker.wait("ours", |seen| seen.agents.contains_key(&node.peer_id))?;
    let at = seeker.seen().connected.get(&node.peer_id).and_then(socket_address);
    ensure!(at == Some(node.address), "it met ours at {at:?}");
    let agent = seeker.seen().agents.get(&node.peer_id).cloned().unwrap_or_default();
    runtime.shutdown_background();
    Ok(format!("get_closest_peers through a third names ours, which it meets as `{agent}`"))
}

/// Our node, which knows only one stock node, finds another that that one knows, and connects to it.
pub(super) fn ours_find_theirs(scene: &Scene) -> Result<String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let start = || Stock::start(runtime.handle(), scene.chain.key(), true, &Wrong::default());
    let (between, hidden) = (start()?, start()?);
    hidden.dial(between.address)?;
    between.wait("the hidden one", |seen| seen.agents.contains_key(&hidden.peer_id))?;
    let options = Options { add_peers: vec![between.address], discovers: true, ..Options::default() };
    let node = scene.node("node", &options)?;
    hidden
        .wait("ours", |seen| seen.agents.contains_key(&node.peer_id))
        .with_context(|| format!("ours knows {:?}, and did {:?}", node.ask("addresses"), node.why()))?;
    runtime.shutdown_background();
    Ok("ours learns of it by FIND_NODE, dials and is identified".to_owned())
}
