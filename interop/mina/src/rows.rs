//! Lists the rows.

mod connections;
mod finding;
mod gossip;
mod layers;
mod mesh;
mod questions;
mod streams;

use crate::client::gossip::Gossip;
use crate::client::peer::{IDENTIFY, MESH, PINGS, Peer};
use crate::node::{Chain, Node, Options};
use anyhow::{Result, ensure};
use std::path::PathBuf;

/// What a row has.
pub(crate) struct Scene {
    /// Our program.
    pub(crate) polypeer: PathBuf,
    /// The root of the sources.
    pub(crate) root: PathBuf,
    /// The row's own folder.
    pub(crate) folder: PathBuf,
    /// The row's own network.
    pub(crate) chain: Chain,
}

/// Something that is done to a node, and what must come of it. What held is told in a few words.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) story: fn(&Scene) -> Result<String>,
}

/// How many rows there must be: the mesh, two of Kademlia, five of questions, and section 11's twenty-five.
pub(crate) const COUNT: usize = 33;

/// All of them, those first that take longest.
pub(crate) fn all() -> Vec<Row> {
    let row = |name, story| Row { name, story };
    vec![
        row("rust: mesh of 20, half and half", mesh::twenty as fn(&Scene) -> Result<String>),
        row("11.22 heartbeats", questions::heartbeats),
        row("rust: Kademlia finds ours", finding::theirs_find_ours),
        row("rust: our Kademlia finds theirs", finding::ours_find_theirs),
        row("rpc: handshake, heartbeat, menu", questions::greeting),
        row("rpc: best tip, none and a block", questions::best_tip),
        row("rpc: transition chain", questions::transition_chain),
        row("rpc: unknown method, 21 hashes", questions::refused),
        row("rpc: ours asks and catches up", questions::ours_asks),
        row("11.1  dripped nonce", layers::dripped_nonce),
        row("11.2  wrong network key", layers::wrong_key),
        row("11.3  recorded handshake", layers::recorded),
        row("11.4  simultaneous connect", layers::simultaneous),
        row("11.5  muxer proposals", layers::muxers),
        row("11.6  false identities", layers::identities),
        row("11.7  yamux", layers::yamux),
        row("11.8  identify", streams::identify),
        row("11.9  unknown protocol", streams::unknown),
        row("11.10 Kademlia", streams::kademlia),
        row("11.11 graft, prune, back-off", gossip::mesh_membership),
        row("11.12 signed messages", gossip::signatures),
        row("11.13 message ids", gossip::ids),
        row("11.14 two authors, same data", gossip::two_authors),
        row("11.15 malformed messages", gossip::malformed),
        row("11.16 fixture block", gossip::block),
        row("11.17 fixture diffs", gossip::diffs),
        row("11.18 V1 and pre-release", gossip::stale),
        row("11.19 RPC handshake", questions::handshakes),
        row("11.20 menu, method, close", questions::menu),
        row("11.21 unknown method", questions::unknown),
        row("11.23 21 hashes, 100 queries", questions::rates),
        row("11.24 two dial at once", connections::crossing),
        row("11.25 replay", connections::replay),
    ]
}

impl Scene {
    /// The same scene once more.
    pub(crate) fn copy(&self) -> Self {
        let Self { polypeer, root, folder, chain } = self;
        Self { polypeer: polypeer.clone(), root: root.clone(), folder: folder.clone(), chain: chain.clone() }
    }

    /// A node with these options.
    pub(crate) fn node(&self, name: &str, options: &Options) -> Result<Node> {
        Node::start(&self.polypeer, &self.folder.join(name), &self.chain, options)
    }

    /// A fixture's bytes.
    pub(crate) fn fixture(&self, name: &str) -> Result<Vec<u8>> {
        let file = self.root.join("protocols/mina/tests/fixtures").join(name);
        std::fs::read(&file).map_err(|error| anyhow::anyhow!("{}: {error}", file.display()))
    }

    /// Holds the sources to having a test of this name in this file, and says so.
    pub(crate) fn tested(&self, file: &str, test: &str) -> Result<String> {
        let source = std::fs::read_to_string(self.root.join(file))?;
        let at = source.find(&format!("fn {test}("));
        // The attribute stands above it, and perhaps others and a comment.
        let above = at.and_then(|at| source.get(..at)).unwrap_or_default();
        let is_test = above.rsplit("\n\n").next().is_some_and(|above| above.contains("test]"));
        ensure!(is_test, "{file} has no test `{test}`");
        Ok(format!("{file} {test}"))
    }
}

/// Somebody who gossips with a node, in its mesh.
pub(crate) fn gossiper(node: &Node, number: u8) -> Result<(Peer, Gossip)> {
    let manner = node.manner(number);
    let peer = Peer::dial(node.address, &manner, &[IDENTIFY, PINGS, MESH])?;
    let gossip = Gossip::join(&peer, manner.keypair()?)?;
    Ok((peer, gossip))
}
