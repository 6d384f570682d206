//! Runs our node as a process, and asks it with its own commands.

use crate::client::wire::Hash32;
use crate::kaspad::Measured;
use crate::mining::wire_hash;
use crate::process::{Program, free_address};
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::{Instant, sleep};

/// As for a kaspad.
const START: Duration = Duration::from_secs(60);
/// The network that rows run on.
const NETWORK: &str = "kaspa-simnet";
/// The one whose blocks need proof of work.
const WORK_NETWORK: &str = "kaspa-devnet";
/// One with the same name on the wire and other rules.
const OWN_NETWORK: &str = "small";
/// Where such a network is described.
const CONFIG: &str = "config.toml";
/// How often a state is asked for while one waits for it: every question is a process.
const ASK: Duration = Duration::from_millis(200);

/// What ours is started with, beyond what all are.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Options<'a> {
    /// The file with the rules that take simnet's place.
    pub(crate) overrides: Option<&'a Path>,
    /// Whether the limits for strangers hold for loopback too.
    pub(crate) is_strict: bool,
    /// What it bans for beyond today's network: the name of a setting.
    pub(crate) ban: Option<&'static str>,
    /// How it is measured, when it is.
    pub(crate) measured: Option<Measured>,
    /// Whether blocks need proof of work, and whether it makes some.
    pub(crate) has_work: bool,
    pub(crate) produces: bool,
}

/// A running node of ours.
pub(crate) struct Polypeer {
    /// Where it takes peers.
    pub(crate) address: SocketAddr,
    api: SocketAddr,
    program: Program,
    executable: PathBuf,
    folder: PathBuf,
    network: &'static str,
    measured: Option<Measured>,
    produces: bool,
}

impl Polypeer {
    /// Starts one with its data in a folder, and waits until it answers.
    pub(crate) async fn start(executable: &Path, folder: &Path, options: Options<'_>) -> Result<Self> {
        let Options { overrides, is_strict, ban, measured, has_work, produces } = options;
        std::fs::create_dir_all(folder)?;
        let network = match (overrides, has_work) {
            (Some(_), _) => OWN_NETWORK,
            (None, true) => WORK_NETWORK,
            (None, false) => NETWORK,
        };
        let mut config = match overrides {
            None => String::new(),
            Some(file) => format!(
                "[networks.{OWN_NETWORK}]\nprotocol = \"kaspa\"\nbase = \"{NETWORK}\"\nparams_file = \"{}\"\n",
                file.display()
            ),
        };
        if is_strict {
            config.push_str("[limits]\nspare_loopback = false\n");
        }
        if let Some(setting) = ban {
            config.push_str(&format!("[{network}]\n{setting} = true\n"));
        }
        std::fs::write(folder.join(CONFIG), config)?;
        Self::start_at(executable, folder, (network, produces), measured, &[], free_address()?).await
    }

    async fn start_at(
        executable: &Path,
        folder: &Path,
        (network, produces): (&'static str, bool),
        measured: Option<Measured>,
        add_peers: &[SocketAddr],
        address: SocketAddr,
    ) -> Result<Self> {
        let api = free_address()?;
        let mut command = Command::new(executable);
        command.args(["run", "--network", network, "--no-dns-seed", "--out-peers", "0"]);
        command
            .arg("--listen")
            .arg(address.to_string())
            .arg("--api")
            .arg(api.to_string())
            .arg("--metrics")
            .arg("127.0.0.1:0");
        command.arg("--data-dir").arg(folder.join("data"));
        command.arg("--config").arg(folder.join(CONFIG));
        if produces {
            command.arg("--produce");
        }
        for peer in add_peers {
            command.arg("--add-peer").arg(peer.to_string());
        }
        if let Some(measured) = measured {
            command.arg("--max-in-peers").arg(measured.peers_max.to_string());
        }
        // A log of every step would be measured too.
        command.env("RUST_LOG", if measured.is_some() { "info" } else { "info,polypeer=debug" });
        let program = Program::start(&mut command, folder)?;
        let (executable, folder) = (executable.to_owned(), folder.to_owned());
        let mut node = Self { address, api, program, executable, folder, network, measured, produces };
        let until = Instant::now() + START;
        loop {
            node.program.running()?;
            if node.network().await.is_ok() {
                return Ok(node);
            }
            ensure!(Instant::now() < until, "polypeer does not answer within {START:?}");
            sleep(ASK).await;
        }
    }

    /// Kills it without notice and starts it again with the same data, at the same address.
    pub(crate) async fn kill_and_restart(&mut self, add_peers: &[SocketAddr]) -> Result<()> {
        self.program.kill().await?;
        let (network, measured) = ((self.network, self.produces), self.measured);
        *self = Self::start_at(&self.executable, &self.folder, network, measured, add_peers, self.address).await?;
        Ok(())
    }

    /// Its process.
    pub(crate) fn process(&self) -> Result<u32> {
        self.program.process()
    }

    /// As [`Self::sink`], without a process for the question, which would take time from what is measured.
    pub(crate) async fn sink_at_once(&self) -> Result<Hash32> {
        let mut stream = TcpStream::connect(self.api).await?;
        let request = format!("GET /api/v1/status HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.api);
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let (_, body) = answer.split_once("\r\n\r\n").context("no HTTP answer")?;
        wire_hash(&serde_json::from_str::<Value>(body)?["networks"][0]["tip"])
    }

    /// Whether it printed this.
    pub(crate) fn printed(&self, text: &str) -> bool {
        self.program.printed(text)
    }

    /// Tells it to dial.
    pub(crate) async fn dial(&self, address: SocketAddr) -> Result<()> {
        self.command(&["peers", "add", &address.to_string()]).await.map(drop)
    }

    /// Refuses an IP address.
    pub(crate) async fn ban(&self, ip: &str) -> Result<()> {
        self.command(&["peers", "ban", ip]).await.map(drop)
    }

    /// Takes that back.
    pub(crate) async fn unban(&self, ip: &str) -> Result<()> {
        self.command(&["peers", "unban", ip]).await.map(drop)
    }

    /// Whom it refuses.
    pub(crate) async fn bans(&self) -> Result<Vec<Value>> {
        list(self.command(&["bans"]).await?)
    }

    /// Why it did what it did about an IP address, newest first.
    pub(crate) async fn why(&self, ip: &str) -> Result<Vec<Value>> {
        list(self.command(&["why", ip]).await?)
    }

    /// What happened in it, as far back as it remembers.
    pub(crate) async fn events(&self) -> Result<Vec<Value>> {
        let output = self.output(&["events", "--since", "0", "--for", "1s"]).await?;
        Ok(output.lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
    }

    /// What its peers call their software.
    pub(crate) async fn agents(&self) -> Result<Vec<String>> {
        let peers = list(self.command(&["peers", "list"]).await?)?;
        let ready = peers.iter().filter(|peer| peer["ready"].as_bool() == Some(true));
        Ok(ready.filter_map(|peer| peer["subver"].as_str().map(str::to_owned)).collect())
    }

    /// The tip of its selected chain.
    pub(crate) async fn sink(&self) -> Result<Hash32> {
        wire_hash(&self.network().await?["tip"])
    }

    /// Waits until it has this tip.
    pub(crate) async fn reaches(&self, sink: &Hash32, limit: Duration) -> Result<()> {
        let until = Instant::now() + limit;
        while self.sink().await.ok() != Some(*sink) {
            ensure!(Instant::now() < until, "polypeer does not reach {} within {limit:?}", const_hex::encode(sink));
            sleep(ASK).await;
        }
        Ok(())
    }

    /// Blocks that it holds beside the first.
    pub(crate) async fn blocks(&self) -> Result<u64> {
        let all = self.network().await?["blocks"].as_u64().context("no count of blocks")?;
        all.checked_sub(1).context("not even the first block")
    }

    /// How the network is.
    pub(crate) async fn network(&self) -> Result<Value> {
        let mut status = self.command(&["status"]).await?;
        status["networks"].get_mut(0).map(Value::take).context("the status has no network")
    }

    async fn command(&self, arguments: &[&str]) -> Result<Value> {
        // What only acts may print nothing.
        Ok(serde_json::from_str(&self.output(arguments).await?).unwrap_or_default())
    }

    async fn output(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.executable);
        command.arg("--json").args(arguments);
        command.arg("--api").arg(self.api.to_string()).arg("--data-dir").arg(self.folder.join("data"));
        let output = command.kill_on_drop(true).output().await?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "polypeer {}: {errors}", arguments.join(" "));
        Ok(String::from_utf8(output.stdout)?)
    }
}

fn list(answer: Value) -> Result<Vec<Value>> {
    match answer {
        Value::Array(list) => Ok(list),
        other => bail!("no list: {other}"),
    }
}
