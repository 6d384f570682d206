//! Starts programs with free ports and a folder, keeps what they print, and ends them when they are dropped.

use anyhow::{Context, Result, ensure};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU16, Ordering};
use tokio::process::{Child, Command};

/// Below the ports that the system gives to whoever dials, so that none is lost between the look and the use.
const PORT_FIRST: u16 = 18_000;
const PORT_LAST: u16 = 32_000;

/// An address of loopback that nobody listens at, handed out once.
pub(crate) fn free_address() -> Result<SocketAddr> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    for _ in PORT_FIRST..PORT_LAST {
        // Two runs at once start at different places.
        let start = u16::try_from(std::process::id() % 7_000).unwrap_or_default();
        let step = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add(start);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, PORT_FIRST + step % (PORT_LAST - PORT_FIRST)));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    anyhow::bail!("no port is free between {PORT_FIRST} and {PORT_LAST}")
}

/// A running program.
pub(crate) struct Program {
    child: Child,
    /// All that it printed.
    pub(crate) log: PathBuf,
}

impl Program {
    /// Starts it; its output goes to a file in its folder, after what an earlier run wrote there.
    pub(crate) fn start(command: &mut Command, folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let log = folder.join("log");
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&log)?;
        for (name, _) in std::env::vars_os() {
            // Flags of the nodes can also come from here, and must not.
            let text = name.to_string_lossy();
            if text.starts_with("KASPAD_") || text.starts_with("POLYPEER_") {
                command.env_remove(&name);
            }
        }
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).kill_on_drop(true);
        let name = command.as_std().get_program().to_owned();
        let child = command.spawn().with_context(|| format!("{} does not start", name.display()))?;
        Ok(Self { child, log })
    }

    /// Its process.
    pub(crate) fn process(&self) -> Result<u32> {
        self.child.id().context("it has ended")
    }

    /// An error once it has ended by itself.
    pub(crate) fn running(&mut self) -> Result<()> {
        let ended = self.child.try_wait()?;
        ensure!(ended.is_none(), "ended by itself: {ended:?}\n{}", self.tail());
        Ok(())
    }

    /// Kills it, at once and without notice.
    pub(crate) async fn kill(&mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Waits until it has ended by itself.
    pub(crate) async fn ended(&mut self) -> Result<()> {
        self.child.wait().await?;
        Ok(())
    }

    /// Whether it printed this.
    pub(crate) fn printed(&self, text: &str) -> bool {
        std::fs::read(&self.log).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(text))
    }

    fn tail(&self) -> String {
        let text =
            std::fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }
}
