//! Runs private networks of ours for the page to show.

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value as Json;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// How long all networks may take to stand on a busy machine.
const START: Duration = Duration::from_secs(120);
/// How long an orderly end may take: nodes settle first.
const END: Duration = Duration::from_secs(60);

/// A devnet that runs; ended when this is dropped.
pub(crate) struct Devnet {
    child: Child,
    /// Where the page is.
    pub(crate) url: String,
    /// The token with which one may act.
    pub(crate) token: String,
}

impl Devnet {
    /// Starts three nodes of every network.
    pub(crate) async fn start(polypeer: &Path) -> Result<Self> {
        let mut command = Command::new(polypeer);
        command.args(["devnet", "--nodes", "3", "--api", "127.0.0.1:0", "--json"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()).kill_on_drop(true);
        let mut child = command.spawn().with_context(|| format!("{} does not start", polypeer.display()))?;
        let stdout = child.stdout.take().context("it has no output")?;
        let mut lines = BufReader::new(stdout).lines();
        let first = timeout(START, lines.next_line()).await.context("the devnet does not start in time")??;
        // Progress is of no interest here, but a pipe that nobody empties would stop it.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let started: Json = serde_json::from_str(&first.context("the devnet ended at once")?)?;
        let text =
            |name: &str| started[name].as_str().map(str::to_owned).with_context(|| format!("no {name}: {started}"));
        let file = PathBuf::from(text("token_file")?);
        let token = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        Ok(Self { child, url: text("api")?, token: token.trim().to_owned() })
    }

    /// Ends it in order, so that it leaves no files behind. Whether its nodes agree is not asked here.
    pub(crate) async fn end(mut self) -> Result<()> {
        let id =
            self.child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)).context("the devnet has ended")?;
        kill_process(id, Signal::TERM)?;
        timeout(END, self.child.wait()).await.context("the devnet does not end")??;
        Ok(())
    }
}
