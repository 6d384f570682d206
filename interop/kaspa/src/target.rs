//! Puts a kaspad and our node behind one door, so that a row need not know whom it judges.

use crate::client::wire::{Block, Hash32};
use crate::kaspad::{Kaspad, Measured, Options};
use crate::mining::{self, Mined};
use crate::polypeer::{self, Polypeer};
use crate::pruned::Depths;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::{OnceCell, Semaphore};

/// A synced node takes over a few blocks in less; thirty nodes share two cores.
const CATCH_UP: Duration = Duration::from_secs(120);
/// Blocks that a node syncs from another.
pub(crate) const STOCK: usize = 10_000;
/// Nodes that mine at once: the RPC keeps a core busy.
static MINING: Semaphore = Semaphore::const_new(2);

/// The programs under test, and where they may write.
#[derive(Debug)]
pub(crate) struct Programs {
    /// The real node.
    pub(crate) kaspad: PathBuf,
    /// Ours.
    pub(crate) polypeer: PathBuf,
    /// Everything that is written goes below.
    pub(crate) root: PathBuf,
    /// The data of a kaspad that mined what many rows need, made when the first of them asks.
    pub(crate) stock: OnceCell<PathBuf>,
    /// Whether what passed stays to be looked at.
    pub(crate) keep: bool,
}

impl Programs {
    /// A kaspad with [`STOCK`] blocks and one that has just been mined, with its data in a folder.
    pub(crate) async fn stocked(&self, folder: &Path) -> Result<Kaspad> {
        self.stocked_as(folder, Options::default()).await
    }

    /// As [`Self::stocked`], started in some way.
    pub(crate) async fn stocked_as(&self, folder: &Path, options: Options) -> Result<Kaspad> {
        let stock = self.stock.get_or_try_init(|| self.fill()).await?.clone();
        let to = folder.to_owned();
        tokio::task::spawn_blocking(move || copy(&stock, &to)).await??;
        let node = Kaspad::start(&self.kaspad, folder, options).await?;
        // A node whose newest block is old does not count as synced.
        mining::mine(&node.rpc, 1, 1, None).await?;
        Ok(node)
    }

    async fn fill(&self) -> Result<PathBuf> {
        let folder = self.root.join("stock");
        let mut node = start_kaspad(&self.kaspad, &folder).await?;
        let _turn = MINING.acquire().await?;
        mining::mine(&node.rpc, STOCK, 1, None).await?;
        node.shutdown().await?;
        Ok(folder)
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to)?;
        } else {
            std::fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

/// Who is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The real node: that the spec stays true.
    Kaspad,
    /// Ours: that we answer alike.
    Polypeer,
}

/// What a target is started with.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rules<'a> {
    /// As everybody has it.
    Simnet,
    /// The limits for strangers hold for loopback too, as they always do at a kaspad.
    Strict,
    /// The same, and ours bans for this beyond today's network: the name of a setting.
    Banning(&'static str),
    /// As everybody has it, with nothing beside that costs time.
    Measured(Measured),
    /// A network with small parameters.
    Small(&'a Depths),
    /// The network whose blocks need proof of work.
    Work,
}

enum Node {
    Kaspad(Box<Kaspad>),
    // What cannot mine gets its blocks from a kaspad beside it.
    Polypeer(Box<Polypeer>, Box<OnceCell<Kaspad>>),
}

/// A node that a row judges.
pub(crate) struct Target {
    node: Node,
    kaspad: PathBuf,
    folder: PathBuf,
}

impl Target {
    /// Starts one that holds genesis alone.
    pub(crate) async fn start(kind: Kind, programs: &Programs, folder: &Path, rules: Rules<'_>) -> Result<Self> {
        let options = match rules {
            Rules::Small(depths) => depths.options(folder)?,
            Rules::Measured(measured) => Options { measured: Some(measured), ..Options::default() },
            Rules::Work => Options { has_work: true, ..Options::default() },
            Rules::Simnet | Rules::Strict | Rules::Banning(_) => Options::default(),
        };
        let place = folder.join("target");
        let node = match kind {
            Kind::Kaspad => Node::Kaspad(Box::new(Kaspad::start(&programs.kaspad, &place, options).await?)),
            Kind::Polypeer => {
                let is_strict = matches!(rules, Rules::Strict | Rules::Banning(_));
                let ban = if let Rules::Banning(setting) = rules { Some(setting) } else { None };
                let (overrides, measured) = (options.overrides.as_deref(), options.measured);
                let has_work = options.has_work;
                let options = polypeer::Options { overrides, is_strict, ban, measured, has_work, produces: false };
                let node = Polypeer::start(&programs.polypeer, &place, options).await?;
                Node::Polypeer(Box::new(node), Box::default())
            }
        };
        Ok(Self { node, kaspad: programs.kaspad.clone(), folder: folder.to_owned() })
    }

    /// Where it takes peers.
    pub(crate) fn address(&self) -> SocketAddr {
        match &self.node {
            Node::Kaspad(node) => node.address,
            Node::Polypeer(node, _) => node.address,
        }
    }

    /// Whether it holds this block, which is the last of so many beside the first. A kaspad does not count those that
    /// are off its chain.
    pub(crate) async fn holds(&self, block: &Hash32, count: u64) -> Result<bool> {
        match &self.node {
            Node::Kaspad(node) => {
                let wanted = json!({ "hash": const_hex::encode(block), "includeTransactions": false });
                Ok(node.rpc.call("getBlock", wanted).await.is_ok())
            }
            Node::Polypeer(node, _) => Ok(node.blocks().await? >= count),
        }
    }

    /// Its process.
    pub(crate) fn process(&self) -> Result<u32> {
        match &self.node {
            Node::Kaspad(node) => node.process(),
            Node::Polypeer(node, _) => node.process(),
        }
    }

    /// The kaspad that a row's blocks and transactions come from: the target itself, or one that feeds it.
    pub(crate) async fn source(&self) -> Result<&Kaspad> {
        match &self.node {
            Node::Kaspad(node) => Ok(node),
            Node::Polypeer(node, feeder) => {
                let start = async || {
                    let feeder = start_kaspad(&self.kaspad, &self.folder.join("feeder")).await?;
                    node.dial(feeder.address).await?;
                    feeder.has_peers(1, CATCH_UP).await?;
                    Ok(feeder)
                };
                feeder.get_or_try_init(start).await
            }
        }
    }

    /// A kaspad that the target does not know, with so many blocks of its own.
    pub(crate) async fn stranger(&self, name: &str, blocks: usize, abreast: usize) -> Result<(Kaspad, Vec<Mined>)> {
        let stranger = self.kaspad(name).await?;
        let _turn = MINING.acquire().await?;
        let mined = mining::mine(&stranger.rpc, blocks, abreast, None).await?;
        Ok((stranger, mined))
    }

    /// A kaspad on a network with small parameters.
    pub(crate) async fn overridden(&self, name: &str, depths: &Depths) -> Result<Kaspad> {
        let folder = self.folder.join(name);
        Kaspad::start(&self.kaspad, &folder, depths.options(&folder)?).await
    }

    /// A kaspad on such a network whose past is pruned, and the blocks that it made.
    pub(crate) async fn pruned(&self, name: &str, depths: &Depths) -> Result<(Kaspad, Vec<Mined>)> {
        let node = self.overridden(name, depths).await?;
        let _turn = MINING.acquire().await?;
        let mined = depths.prune(&node).await?;
        Ok((node, mined))
    }

    /// Mines, and waits until the target has it all.
    pub(crate) async fn mine(&self, count: usize, abreast: usize) -> Result<Vec<Mined>> {
        let source = self.source().await?;
        let turn = MINING.acquire().await?;
        let mined = mining::mine(&source.rpc, count, abreast, None).await?;
        drop(turn);
        self.reaches(&source.sink().await?, CATCH_UP).await?;
        Ok(mined)
    }

    /// A block that extends what the target has, which nobody has taken yet.
    pub(crate) async fn next_block(&self) -> Result<Block> {
        mining::wire_block(&mining::template(&self.source().await?.rpc).await?)
    }

    /// The first block of simnet.
    pub(crate) async fn genesis(&self) -> Result<Hash32> {
        self.source().await?.pruning_point().await
    }

    /// The tip of its selected chain.
    pub(crate) async fn sink(&self) -> Result<Hash32> {
        match &self.node {
            Node::Kaspad(node) => node.sink().await,
            Node::Polypeer(node, _) => node.sink().await,
        }
    }

    /// As [`Self::sink`], asked in the way that takes least from what is measured.
    pub(crate) async fn sink_at_once(&self) -> Result<Hash32> {
        match &self.node {
            Node::Kaspad(node) => node.sink().await,
            Node::Polypeer(node, _) => node.sink_at_once().await,
        }
    }

    /// Waits until it has this tip.
    pub(crate) async fn reaches(&self, sink: &Hash32, limit: Duration) -> Result<()> {
        match &self.node {
            Node::Kaspad(node) => node.reaches(sink, limit).await,
            Node::Polypeer(node, _) => node.reaches(sink, limit).await,
        }
    }

    /// Tells it to dial.
    pub(crate) async fn dial(&self, address: SocketAddr) -> Result<()> {
        match &self.node {
            Node::Kaspad(node) => node.dial(address).await,
            Node::Polypeer(node, _) => node.dial(address).await,
        }
    }

    /// Tells it to stay connected to somebody.
    pub(crate) async fn keep(&self, address: SocketAddr) -> Result<()> {
        match &self.node {
            Node::Kaspad(node) => node.keep(address).await,
            Node::Polypeer(node, _) => node.dial(address).await,
        }
    }

    /// Kills it without notice and starts it again, to stay connected to somebody.
    pub(crate) async fn kill_and_restart(&mut self, peer: SocketAddr) -> Result<()> {
        match &mut self.node {
            Node::Kaspad(node) => node.kill_and_restart(&[peer]).await,
            Node::Polypeer(node, _) => node.kill_and_restart(&[peer]).await,
        }
    }

    /// Another kaspad, which knows nobody.
    pub(crate) async fn kaspad(&self, name: &str) -> Result<Kaspad> {
        start_kaspad(&self.kaspad, &self.folder.join(name)).await
    }

    /// What its peers call their software.
    pub(crate) async fn agents(&self) -> Result<Vec<String>> {
        match &self.node {
            Node::Kaspad(node) => {
                let agent = |peer: &Value| peer["user_agent"].as_str().map(str::to_owned);
                Ok(node.peers().await?.iter().filter_map(agent).collect())
            }
            Node::Polypeer(node, _) => node.agents().await,
        }
    }

    /// Refuses loopback.
    pub(crate) async fn ban(&self) -> Result<()> {
        match &self.node {
            Node::Kaspad(node) => node.rpc.call("ban", json!({ "ip": "127.0.0.1" })).await.map(drop),
            Node::Polypeer(node, _) => node.ban("127.0.0.1").await,
        }
    }

    /// Takes that back.
    pub(crate) async fn unban(&self) -> Result<()> {
        match &self.node {
            Node::Kaspad(node) => node.rpc.call("unban", json!({ "ip": "127.0.0.1" })).await.map(drop),
            Node::Polypeer(node, _) => node.unban("127.0.0.1").await,
        }
    }

    /// Whether it printed this.
    pub(crate) fn printed(&self, text: &str) -> bool {
        match &self.node {
            Node::Kaspad(node) => node.printed(text),
            Node::Polypeer(node, _) => node.printed(text),
        }
    }

    /// The target, where it is a kaspad.
    pub(crate) fn as_kaspad(&self) -> Option<&Kaspad> {
        match &self.node {
            Node::Kaspad(node) => Some(node),
            Node::Polypeer(..) => None,
        }
    }

    /// The target, where it is ours.
    pub(crate) fn as_polypeer(&self) -> Option<&Polypeer> {
        match &self.node {
            Node::Kaspad(_) => None,
            Node::Polypeer(node, _) => Some(node),
        }
    }

    /// How many addresses its book has, by its own account; only a kaspad tells.
    pub(crate) async fn known_addresses(&self) -> Result<Option<usize>> {
        let Some(node) = self.as_kaspad() else { return Ok(None) };
        let answer = node.rpc.call("getPeerAddresses", json!({})).await?;
        Ok(Some(answer["knownAddresses"].as_array().context("no knownAddresses")?.len()))
    }
}

async fn start_kaspad(executable: &Path, folder: &Path) -> Result<Kaspad> {
    Kaspad::start(executable, folder, Options::default()).await
}
