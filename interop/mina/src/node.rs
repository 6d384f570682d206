//! Runs our node as a process, and asks it through its API.

use crate::client::line::Manner;
use anyhow::{Context, Result, ensure};
use libp2p::PeerId;
use libp2p::identity::Keypair;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long it may take until it answers, beside forty others.
const START: Duration = Duration::from_secs(60);
/// How long its API may take.
const ANSWER: Duration = Duration::from_secs(30);
/// How often a state is asked for while one waits for it.
pub(crate) const ASK: Duration = Duration::from_millis(100);
/// The network that rows run on.
pub(crate) const NETWORK: &str = "judged";
/// Below the ports that the system gives to whoever dials, so that none is lost between the look and the use.
const PORTS: std::ops::Range<u16> = 12_000..18_000;

/// An address of loopback that nobody listens at, handed out once.
pub(crate) fn free_address() -> Result<SocketAddr> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Two runs at once begin at different places.
    let start = u16::try_from(std::process::id() % 5_000)?;
    for _ in PORTS {
        let step = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add(start);
        let port = PORTS.start + step % (PORTS.end - PORTS.start);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    anyhow::bail!("no port is free in {PORTS:?}")
}

/// What tells a private network from others.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    pub(crate) id: String,
}

impl Chain {
    /// One of this name.
    pub(crate) fn named(name: &str) -> Self {
        Self { id: const_hex::encode(hash(name.as_bytes())) }
    }

    /// The key that hides it.
    pub(crate) fn key(&self) -> [u8; 32] {
        hash(self.rendezvous().as_bytes())
    }

    /// The name under which its nodes find each other.
    pub(crate) fn rendezvous(&self) -> String {
        format!("/coda/0.0.1/{}", self.id)
    }
}

/// Blake2b of 256 bits.
pub(crate) fn hash(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(blake2b_simd::Params::new().hash_length(32).hash(bytes).as_bytes());
    hash
}

/// What ours is started with, beyond what all are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    /// Lines of its network's section.
    pub(crate) lines: Vec<String>,
    /// More arguments.
    pub(crate) arguments: Vec<String>,
    /// Whether it asks for peers and dials them.
    pub(crate) discovers: bool,
    /// Whether it makes blocks.
    pub(crate) produces: bool,
    /// Whom it keeps connected.
    pub(crate) add_peers: Vec<SocketAddr>,
    /// The secret of its key, when it is not any.
    pub(crate) seed: Option<[u8; 32]>,
    /// A public network instead of a private one.
    pub(crate) public: Option<&'static str>,
    /// Where it listens, when that was said before.
    pub(crate) address: Option<SocketAddr>,
}

/// The processes of all nodes that run.
static RUNNING: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

fn running() -> MutexGuard<'static, BTreeSet<u32>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Kills all nodes that run, for rows that are not done in time.
pub(crate) fn end_all() {
    for process in std::mem::take(&mut *running()) {
        // It may have ended by itself.
        let _ = Command::new("kill").args(["-KILL", &process.to_string()]).status();
    }
}

/// A running node of ours. It is killed when it is dropped.
pub(crate) struct Node {
    /// Where it takes peers.
    pub(crate) address: SocketAddr,
    /// Who it is.
    pub(crate) peer_id: PeerId,
    /// Its network's key.
    pub(crate) key: [u8; 32],
    /// Its folder.
    pub(crate) folder: PathBuf,
    network: &'static str,
    api: SocketAddr,
    child: Child,
    agent: ureq::Agent,
}

impl Node {
    /// Starts one with its data in a folder, and waits until it answers.
    pub(crate) fn start(program: &Path, folder: &Path, chain: &Chain, options: &Options) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)?;
        let seed = options.seed.unwrap_or(seed);
        let key_file = folder.join("key");
        let mut file =
            std::fs::OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&key_file)?;
        std::io::Write::write_all(&mut file, const_hex::encode(seed).as_bytes())?;
        let network = options.public.unwrap_or(NETWORK);
        std::fs::write(folder.join("config.toml"), config(network, chain, &key_file, options)?)?;
        let (address, api) = (options.address.map_or_else(free_address, Ok)?, free_address()?);
        let mut command = Command::new(program);
        command.args(["run", "--network", network, "--listen", &address.to_string()]);
        command.args(["--api", &api.to_string(), "--metrics", "none"]);
        command.arg("--data-dir").arg(folder.join("data")).arg("--config").arg(folder.join("config.toml"));
        if !options.discovers {
            command.args(["--no-discovery", "--no-dns-seed", "--out-peers", "0"]);
        }
        if options.produces {
            command.arg("--produce");
        }
        for peer in &options.add_peers {
            command.args(["--add-peer", &peer.to_string()]);
        }
        command.args(&options.arguments);
        let log = std::fs::File::create(folder.join("log"))?;
        for (name, _) in std::env::vars_os() {
            // Settings of a node can come from here too, and must not.
            if name.to_string_lossy().starts_with("POLYPEER_") {
                command.env_remove(&name);
            }
        }
        command.env("RUST_LOG", "info,polypeer=debug").stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().with_context(|| format!("{} does not start", program.display()))?;
        running().insert(child.id());
        let agent = ureq::Agent::config_builder().timeout_global(Some(ANSWER)).build().into();
        let peer_id = Keypair::ed25519_from_bytes(seed)?.public().to_peer_id();
        let (key, folder) = (chain.key(), folder.to_owned());
        let mut node = Self { address, peer_id, key, folder, network, api, child, agent };
        let until = Instant::now() + START;
        while node.get("status").is_err() {
            let ended = node.child.try_wait()?;
            ensure!(ended.is_none(), "polypeer has ended by itself: {ended:?}\n{}", node.log_end());
            ensure!(Instant::now() < until, "polypeer does not answer within {START:?}");
            std::thread::sleep(ASK);
        }
        Ok(node)
    }

    /// How somebody with this number speaks to it.
    pub(crate) fn manner(&self, number: u8) -> Manner {
        Manner::new(self.key, [number; 32])
    }

    /// Asks something about the network.
    pub(crate) fn ask(&self, what: &str) -> Result<Value> {
        self.get(&format!("networks/{}/{what}", self.network))
    }

    /// Hands it a transaction. Its id.
    pub(crate) fn submit(&self, transaction: &[u8]) -> Result<String> {
        let answer = self.post("transactions", &json!({ "hex": const_hex::encode(transaction) }))?;
        Ok(answer["id"].as_str().context("no id")?.to_owned())
    }

    /// The connections that are ready.
    pub(crate) fn ready(&self) -> Result<Vec<Value>> {
        let peers = list(self.ask("peers")?)?;
        Ok(peers.into_iter().filter(|peer| peer["ready"].as_bool() == Some(true)).collect())
    }

    /// Why it did what it did about loopback, newest first.
    pub(crate) fn why(&self) -> Result<Vec<Value>> {
        list(self.ask("why/127.0.0.1")?)
    }

    /// Whether one of its reasons has this text.
    pub(crate) fn said(&self, text: &str) -> Result<bool> {
        Ok(self.why()?.iter().any(|why| why["text"].as_str().is_some_and(|said| said.contains(text))))
    }

    /// Waits until one of its reasons has this text.
    pub(crate) fn says(&self, text: &str) -> Result<()> {
        wait(|| self.said(text)).with_context(|| format!("the node gives no reason with `{text}`: {:?}", self.why()))
    }

    /// How many transactions wait, and their ids.
    pub(crate) fn mempool(&self) -> Result<Vec<String>> {
        let ids = list(self.ask("mempool")?["transactions"].take())?;
        Ok(ids.iter().filter_map(|id| id.as_str().map(str::to_owned)).collect())
    }

    /// Waits until it has this transaction.
    pub(crate) fn has(&self, id: &str) -> Result<()> {
        wait(|| Ok(self.ask(&format!("transactions/{id}")).is_ok()))
            .with_context(|| format!("it has no transaction {id}"))
    }

    /// The best block, as the API shows it.
    pub(crate) fn tip(&self) -> Result<Value> {
        self.ask("blocks/tip")
    }

    /// Its process.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Whether it is still there.
    pub(crate) fn is_alive(&mut self) -> Result<()> {
        let ended = self.child.try_wait()?;
        ensure!(ended.is_none(), "polypeer has ended: {ended:?}\n{}", self.log_end());
        self.get("status").map(drop)
    }

    /// Ends it in order, as Ctrl-C does.
    pub(crate) fn stop(&mut self) -> Result<()> {
        let told = Command::new("kill").args(["-INT", &self.process().to_string()]).status()?;
        ensure!(told.success(), "it cannot be told to stop");
        let until = Instant::now() + START;
        while self.child.try_wait()?.is_none() {
            ensure!(Instant::now() < until, "it does not stop");
            std::thread::sleep(ASK);
        }
        Ok(())
    }

    fn get(&self, path: &str) -> Result<Value> {
        Ok(self.agent.get(format!("http://{}/api/v1/{path}", self.api)).call()?.body_mut().read_json()?)
    }

    fn post(&self, what: &str, body: &Value) -> Result<Value> {
        let token = std::fs::read_to_string(self.folder.join("data/api.token"))?;
        let url = format!("http://{}/api/v1/networks/{}/{what}", self.api, self.network);
        let request = self.agent.post(url).header("Authorization", format!("Bearer {}", token.trim()));
        let text = request.send_json(body)?.body_mut().read_to_string()?;
        // What only acts says nothing.
        Ok(serde_json::from_str(&text).unwrap_or_default())
    }

    fn log_end(&self) -> String {
        let log = std::fs::read(self.folder.join("log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log).into_owned();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        running().remove(&self.child.id());
        // It may have ended by itself, which is what the row was about.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn config(network: &str, chain: &Chain, key_file: &Path, options: &Options) -> Result<String> {
    let mut text = if options.public.is_some() {
        format!("[{network}]\n")
    } else {
        let own = "check_proofs = false";
        let proofs = if options.lines.iter().any(|line| line.starts_with("check_proofs")) { "" } else { own };
        format!("[networks.{network}]\nprotocol = \"mina\"\nchain_id = \"{}\"\n{proofs}\n", chain.id)
    };
    writeln!(text, "node_key_file = \"{}\"", key_file.display())?;
    for line in &options.lines {
        writeln!(text, "{line}")?;
    }
    Ok(text)
}

fn list(value: Value) -> Result<Vec<Value>> {
    match value {
        Value::Array(list) => Ok(list),
        other => anyhow::bail!("no list: {other}"),
    }
}

/// Waits until something is so.
pub(crate) fn wait(is_so: impl Fn() -> Result<bool>) -> Result<()> {
    let until = Instant::now() + crate::client::PATIENCE;
    while !is_so()? {
        ensure!(Instant::now() < until, "it does not happen in time");
        std::thread::sleep(ASK);
    }
    Ok(())
}
