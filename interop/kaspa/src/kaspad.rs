//! Runs a real kaspad on loopback, cut off from all but the peers that a row gives it (Kaspa spec, section 7.2).

use crate::client::wire::Hash32;
use crate::mining::wire_hash;
use crate::process::{Program, free_address};
use crate::rpc::Rpc;
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::process::Command;
use tokio::time::{Instant, sleep};

/// It listens within 30 ms; a machine that starts thirty at once may take its time.
const START: Duration = Duration::from_secs(60);
/// How often a state is asked for while one waits for it.
pub(crate) const POLL: Duration = Duration::from_millis(50);

/// What a kaspad is started with, beyond what all are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    /// Peers to keep connected.
    pub(crate) add_peers: Vec<SocketAddr>,
    /// The file with overridden parameters.
    pub(crate) overrides: Option<PathBuf>,
    /// How it is measured, when it is: without what only a row needs of it.
    pub(crate) measured: Option<Measured>,
    /// Whether blocks need proof of work: devnet instead of simnet.
    pub(crate) has_work: bool,
}

/// What a node that is measured is started with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    /// Inbound peers that it takes.
    pub(crate) peers_max: usize,
    /// Whether it keeps an index of outputs, which costs it time at every block.
    pub(crate) is_indexed: bool,
}

/// A running kaspad.
pub(crate) struct Kaspad {
    /// Where it takes peers.
    pub(crate) address: SocketAddr,
    /// Its RPC.
    pub(crate) rpc: Rpc,
    program: Program,
    executable: PathBuf,
    folder: PathBuf,
    options: Options,
}

impl Kaspad {
    /// Starts one with its data in a folder, and waits until it answers.
    pub(crate) async fn start(executable: &Path, folder: &Path, options: Options) -> Result<Self> {
        Self::start_at(executable, folder, options, free_address()?).await
    }

    async fn start_at(executable: &Path, folder: &Path, options: Options, address: SocketAddr) -> Result<Self> {
        let (grpc, json) = (free_address()?, free_address()?);
        let mut command = Command::new(executable);
        command.arg(if options.has_work { "--devnet" } else { "--simnet" }).arg("--appdir").arg(folder);
        command.arg(format!("--listen={address}")).arg(format!("--rpclisten={grpc}"));
        command.arg(format!("--rpclisten-json={json}"));
        command.args(["--nodnsseed", "--disable-upnp", "--unsaferpc", "--enable-unsynced-mining"]);
        command.args(["--outpeers=0", "--nologfiles", "--yes", "--ram-scale=0.1", "--async-threads=2"]);
        match options.measured {
            // A log of every step would be measured too.
            Some(measured) => command.args(["--loglevel=info", &format!("--maxinpeers={}", measured.peers_max)]),
            None => command.arg("--loglevel=debug"),
        };
        if options.measured.is_none_or(|measured| measured.is_indexed) {
            command.arg("--utxoindex");
        }
        command.args(options.add_peers.iter().map(|peer| format!("--addpeer={peer}")));
        command.args(options.overrides.iter().map(|file| format!("--override-params-file={}", file.display())));
        let mut program = Program::start(&mut command, folder)?;
        let until = Instant::now() + START;
        let rpc = loop {
            program.running()?;
            if let Ok(rpc) = Rpc::connect(json).await
                && rpc.call("getServerInfo", json!({})).await.is_ok()
            {
                break rpc;
            }
            ensure!(Instant::now() < until, "kaspad does not answer within {START:?}");
            sleep(POLL).await;
        };
        let (executable, folder) = (executable.to_owned(), folder.to_owned());
        Ok(Self { address, rpc, program, executable, folder, options })
    }

    /// Kills it without notice and starts it again with the same data at the same address, with peers to keep.
    pub(crate) async fn kill_and_restart(&mut self, add_peers: &[SocketAddr]) -> Result<()> {
        self.program.kill().await?;
        let options = Options { add_peers: add_peers.to_vec(), ..self.options.clone() };
        *self = Self::start_at(&self.executable, &self.folder, options, self.address).await?;
        Ok(())
    }

    /// Ends it in good order.
    pub(crate) async fn shutdown(&mut self) -> Result<()> {
        // The answer and the end may overtake each other.
        let _ = self.rpc.call("shutdown", json!({})).await;
        self.program.ended().await
    }

    /// Its process.
    pub(crate) fn process(&self) -> Result<u32> {
        self.program.process()
    }

    /// Whether it printed this.
    pub(crate) fn printed(&self, text: &str) -> bool {
        self.program.printed(text)
    }

    /// Tells it to dial, once.
    pub(crate) async fn dial(&self, address: SocketAddr) -> Result<()> {
        let peer = json!({ "ip": address.ip().to_string(), "port": address.port() });
        self.rpc.call("addPeer", json!({ "peerAddress": peer, "isPermanent": false })).await?;
        Ok(())
    }

    /// Tells it to stay connected to somebody.
    pub(crate) async fn keep(&self, address: SocketAddr) -> Result<()> {
        let peer = json!({ "ip": address.ip().to_string(), "port": address.port() });
        self.rpc.call("addPeer", json!({ "peerAddress": peer, "isPermanent": true })).await?;
        Ok(())
    }

    /// The tip of its selected chain.
    pub(crate) async fn sink(&self) -> Result<Hash32> {
        wire_hash(self.rpc.call("getSink", json!({})).await?.get("sink").context("getSink has no sink")?)
    }

    /// What it knows of its DAG.
    pub(crate) async fn dag(&self) -> Result<Value> {
        self.rpc.call("getBlockDagInfo", json!({})).await
    }

    /// The first block of its DAG, or the pruning point that took its place.
    pub(crate) async fn pruning_point(&self) -> Result<Hash32> {
        wire_hash(self.dag().await?.get("pruningPointHash").context("no pruningPointHash")?)
    }

    /// The DAA score that its next block has.
    pub(crate) async fn daa_score(&self) -> Result<u64> {
        self.dag().await?["virtualDaaScore"].as_u64().context("no virtualDaaScore")
    }

    /// Its peers.
    pub(crate) async fn peers(&self) -> Result<Vec<Value>> {
        let mut answer = self.rpc.call("getConnectedPeerInfo", json!({})).await?;
        match answer.get_mut("peerInfo").map(Value::take) {
            Some(Value::Array(peers)) => Ok(peers),
            other => bail!("peerInfo is {other:?}"),
        }
    }

    /// Waits until it has this sink.
    pub(crate) async fn reaches(&self, sink: &Hash32, limit: Duration) -> Result<()> {
        let until = Instant::now() + limit;
        while self.sink().await? != *sink {
            ensure!(Instant::now() < until, "kaspad does not reach {} within {limit:?}", const_hex::encode(sink));
            sleep(POLL).await;
        }
        Ok(())
    }

    /// Waits until so many peers are connected.
    pub(crate) async fn has_peers(&self, count: usize, limit: Duration) -> Result<()> {
        let until = Instant::now() + limit;
        while self.peers().await?.len() < count {
            ensure!(Instant::now() < until, "kaspad has no {count} peers within {limit:?}");
            sleep(POLL).await;
        }
        Ok(())
    }
}
