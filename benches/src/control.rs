//! Lets the harness and its parts, separate processes, talk over standard input and output, a line at a time.

use crate::place;
use anyhow::{Context, Result, bail};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader, Write, stdin, stdout};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

/// A part that says nothing for so long hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// A part's first line.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Ready {
    /// Where a device listens.
    pub(crate) address: Option<SocketAddr>,
}

/// What a part counted so far, its own clocks read at the same moment.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Look {
    /// The shared clock, in nanoseconds.
    pub(crate) at_ns: u64,
    /// User and system time, in nanoseconds.
    pub(crate) cpu_ns: u64,
    /// Messages sent.
    pub(crate) sent: u64,
    /// Messages received and right.
    pub(crate) delivered: u64,
    /// Bytes of the payloads received and right.
    pub(crate) bytes: u64,
    /// Payloads with a wrong hash.
    pub(crate) corrupt: u64,
    /// Messages received twice.
    pub(crate) repeated: u64,
    /// Messages that the part itself says it dropped.
    pub(crate) dropped: u64,
    /// Peers that are ready.
    pub(crate) ready: u64,
}

/// The fields of a [`Look`] that every part fills in the same way.
impl Look {
    /// The clocks now, and no counts.
    pub(crate) fn now() -> Self {
        Self { at_ns: place::monotonic_ns(), cpu_ns: place::own_cpu_ns(), ..Self::default() }
    }

    /// The clocks and a receiver's counts.
    pub(crate) fn with(tally: &crate::payload::Tally) -> Self {
        use std::sync::atomic::Ordering::Relaxed;
        Self {
            delivered: tally.delivered.load(Relaxed),
            bytes: tally.bytes.load(Relaxed),
            corrupt: tally.corrupt.load(Relaxed),
            repeated: tally.repeated.load(Relaxed),
            ..Self::now()
        }
    }
}

/// What the harness asks of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Ask {
    Look,
    Send,
    Stop,
}

/// Says that a part is ready and answers the harness from a thread of its own. `send` is told whether to send from now
/// on. The process ends when the harness closes its end.
pub(crate) fn serve<T: Serialize>(
    ready: Ready,
    look: impl Fn() -> T + Send + 'static,
    send: impl Fn(bool) + Send + 'static,
) -> Result<()> {
    say(&ready)?;
    thread::Builder::new().name("control".into()).stack_size(128 << 10).spawn(move || {
        for line in stdin().lock().lines() {
            let Some(ask): Option<Ask> = line.ok().and_then(|line| serde_json::from_str(&line).ok()) else { break };
            if ask != Ask::Look {
                send(ask == Ask::Send);
            }
            if say(&look()).is_err() {
                break;
            }
        }
        std::process::exit(0);
    })?;
    Ok(())
}

fn say(what: &impl Serialize) -> Result<()> {
    let mut out = stdout().lock();
    writeln!(out, "{}", serde_json::to_string(what)?)?;
    Ok(out.flush()?)
}

/// A part that runs. It is killed when this is dropped.
pub(crate) struct Part {
    name: String,
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
    /// Its first line.
    pub(crate) ready: Ready,
}

impl Part {
    /// Starts this program again as one of its parts, and waits until it is ready.
    pub(crate) fn start(arguments: &[String]) -> Result<Self> {
        Self::start_by(Command::new(std::env::current_exe()?), arguments)
    }

    /// The same below another program, which was told to start this one.
    pub(crate) fn start_by(mut command: Command, arguments: &[String]) -> Result<Self> {
        let name = arguments.join(" ");
        command.arg("part").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("cannot start part {name}"))?;
        let input = child.stdin.take().context("no pipe to the part")?;
        let output = child.stdout.take().context("no pipe from the part")?;
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let mut part = Self { name, child, input, lines, ready: Ready { address: None } };
        part.ready = part.hear()?;
        Ok(part)
    }

    /// Where a device listens.
    pub(crate) fn address(&self) -> Result<SocketAddr> {
        self.ready.address.with_context(|| format!("part {} does not listen", self.name))
    }

    /// Its process.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// What it counted so far.
    pub(crate) fn look(&mut self) -> Result<Look> {
        self.read()
    }

    /// What it counted so far, of a part that counts in its own way.
    pub(crate) fn read<T: DeserializeOwned>(&mut self) -> Result<T> {
        self.ask(Ask::Look)
    }

    /// Has a load begin to send.
    pub(crate) fn send(&mut self) -> Result<Look> {
        self.ask(Ask::Send)
    }

    /// Has a load send no more; what is on its way still counts as sent a little later.
    pub(crate) fn stop(&mut self) -> Result<Look> {
        self.ask(Ask::Stop)
    }

    fn ask<T: DeserializeOwned>(&mut self, ask: Ask) -> Result<T> {
        writeln!(self.input, "{}", serde_json::to_string(&ask)?).with_context(|| format!("part {} died", self.name))?;
        self.hear()
    }

    fn hear<T: DeserializeOwned>(&mut self) -> Result<T> {
        let Ok(line) = self.lines.recv_timeout(PATIENCE) else { bail!("part {} hangs or died", self.name) };
        serde_json::from_str(&line).with_context(|| format!("part {} said {line:?}", self.name))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // Dead already, or about to be.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
