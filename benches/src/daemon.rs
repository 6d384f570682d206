//! Runs the release binary of the node as its users do, and asks it how it is.

use crate::options::Options;
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long a node may take to answer its API for the first time.
const START: Duration = Duration::from_secs(20);

/// A node that runs. It is killed when this is dropped.
pub(crate) struct Daemon {
    child: Child,
    /// Where its peers reach it.
    pub(crate) listen: SocketAddr,
    api: SocketAddr,
    log: PathBuf,
}

/// How to start a node.
#[derive(Clone, Debug)]
pub(crate) struct Start<'a> {
    /// The binary.
    pub(crate) binary: &'a Path,
    /// The network's name.
    pub(crate) network: &'a str,
    /// The data folder. What the node says goes into a file there.
    pub(crate) data: &'a Path,
    /// The CPU to stay on.
    pub(crate) cpu: usize,
    /// Inbound connections that it takes.
    pub(crate) inbound_max: usize,
    /// Whom it dials, and nobody else.
    pub(crate) connect: Vec<SocketAddr>,
}

/// The release binary: as given, or built now.
pub(crate) fn binary(options: &Options) -> Result<PathBuf> {
    if let Some(path) = &options.polypeer {
        return Ok(path.clone());
    }
    let built =
        Command::new("cargo").args(["build", "--release", "--package", "polypeer", "--bin", "polypeer"]).status();
    ensure!(built.context("cannot run cargo")?.success(), "the node does not build");
    // This program lies in the same target folder, in `release` or beside it.
    let own = std::env::current_exe()?;
    let target = own.parent().and_then(Path::parent).context("this program lies outside of a target folder")?;
    Ok(target.join("release").join("polypeer"))
}

impl Daemon {
    /// Starts a node; it may not listen yet.
    pub(crate) fn spawn(start: &Start<'_>) -> Result<Self> {
        let (listen, api, metrics) = (free_port()?, free_port()?, free_port()?);
        // This program pins itself and then becomes the node: one process, all its threads on one CPU.
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["part", "pinned", "--cpu", &start.cpu.to_string(), "--"]).arg(start.binary);
        command.args(["run", "--network", start.network, "--out-peers"]).arg(start.connect.len().to_string());
        command.args(["--max-in-peers", &start.inbound_max.to_string(), "--no-discovery", "--no-dns-seed"]);
        command.args(["--listen", &listen.to_string(), "--api", &api.to_string(), "--metrics", &metrics.to_string()]);
        command.arg("--data-dir").arg(start.data);
        for peer in &start.connect {
            command.args(["--connect", &peer.to_string()]);
        }
        let log = start.data.join("node.log");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log)?);
        let child = command.spawn().context("cannot start the node")?;
        Ok(Self { child, listen, api, log })
    }

    /// Starts a node and waits until its API answers.
    pub(crate) fn start(start: &Start<'_>) -> Result<Self> {
        let mut daemon = Self::spawn(start)?;
        let until = Instant::now() + START;
        while daemon.status().is_err() {
            if let Some(status) = daemon.child.try_wait()? {
                bail!("the node ended with {status}: {}", fs::read_to_string(&daemon.log).unwrap_or_default());
            }
            ensure!(Instant::now() < until, "the node does not answer");
            thread::sleep(Duration::from_millis(5));
        }
        Ok(daemon)
    }

    /// Its process.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// The height of its only network's chain.
    pub(crate) fn height(&self) -> Result<u64> {
        self.status()?["networks"][0]["height"].as_u64().context("a status without a height")
    }

    /// Waits until its only network counts so many inbound peers: what its API shows is a moment old.
    pub(crate) fn await_inbound(&self, peers: u64) -> Result<()> {
        let until = Instant::now() + START;
        loop {
            let status = self.status()?;
            let counted = status["networks"][0]["peers"]["inbound"].as_u64().context("a status without peers")?;
            if counted == peers {
                return Ok(());
            }
            ensure!(Instant::now() < until, "the node counts {counted} peers of {peers}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn status(&self) -> Result<Value> {
        let mut stream = TcpStream::connect(self.api)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        write!(stream, "GET /api/v1/status HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.api)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("not an HTTP answer")?;
        ensure!(head.starts_with("HTTP/1.1 200"), "the node answered {head}");
        Ok(serde_json::from_str(body)?)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that nobody has at this moment.
pub(crate) fn free_port() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
