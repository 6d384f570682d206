//! Runs a headless Chromium and speaks its DevTools protocol.

use anyhow::{Context, Result, bail, ensure};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value as Json, json};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// How long the browser may take to start on a busy machine, and for one answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// Lines of its output that are read for the one that says where it listens.
const LINES_MAX: usize = 500;
/// Complaints that are kept; more say nothing new.
const COMPLAINTS_MAX: usize = 100;

/// A browser with one page; ended when this is dropped.
pub(crate) struct Browser {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    next: u64,
    session: Option<String>,
    /// What the page or the browser complained of: errors, warnings, exceptions.
    pub(crate) complaints: Vec<String>,
    child: Child,
    // Its profile, gone with it.
    _folder: TempDir,
}

impl Browser {
    /// Starts it with an empty page.
    pub(crate) async fn start(chromium: &Path) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("polypeer-chromium-").tempdir()?;
        let mut command = Command::new(chromium);
        // Its sandbox needs rights that a container's root often lacks; it sees no page but ours.
        command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]);
        // A scroll bar would cut the pictures at the right.
        command.arg("--hide-scrollbars");
        command.args(["--disable-background-networking", "--disable-component-update", "--remote-debugging-port=0"]);
        command.arg(format!("--user-data-dir={}", folder.path().display())).arg("about:blank");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().with_context(|| format!("{} does not start", chromium.display()))?;
        let stderr = child.stderr.take().context("it has no output")?;
        let mut lines = BufReader::new(stderr).lines();
        let address = timeout(PATIENCE, listening(&mut lines)).await.context("Chromium does not start in time")?;
        let address = address.context("Chromium")?;
        // What else it has to say is its own, but a pipe that nobody empties would stop it.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let (socket, _) = tokio_tungstenite::connect_async(address.as_str()).await.context("cannot reach Chromium")?;
        let (complaints, session) = (Vec::new(), None);
        let mut browser = Self { socket, next: 0, session, complaints, child, _folder: folder };
        browser.attach().await?;
        Ok(browser)
    }

    async fn attach(&mut self) -> Result<()> {
        let target = self.call("Target.createTarget", json!({ "url": "about:blank" })).await?;
        let attached = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = self.call("Target.attachToTarget", attached).await?;
        self.session = Some(attached["sessionId"].as_str().context("no session")?.to_owned());
        for domain in ["Page", "Runtime", "Log"] {
            self.call(&format!("{domain}.enable"), json!({})).await?;
        }
        Ok(())
    }

    /// Calls a method of the protocol, and waits for its answer.
    pub(crate) async fn call(&mut self, method: &str, parameters: Json) -> Result<Json> {
        self.next += 1;
        let mut message = json!({ "id": self.next, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        self.socket.send(Message::text(message.to_string())).await?;
        let answer = timeout(PATIENCE, self.answer()).await.with_context(|| format!("no answer to {method}"))??;
        ensure!(answer.get("error").is_none(), "{method}: {}", answer["error"]);
        Ok(answer["result"].clone())
    }

    async fn answer(&mut self) -> Result<Json> {
        loop {
            let message = self.socket.next().await.context("Chromium has ended")??;
            let Message::Text(text) = message else { continue };
            let message: Json = serde_json::from_str(&text)?;
            if message["id"] == json!(self.next) {
                return Ok(message);
            }
            self.note(&message);
        }
    }

    // Everything that a developer would see in red or yellow.
    fn note(&mut self, event: &Json) {
        let parameters = &event["params"];
        let complaint = match event["method"].as_str() {
            Some("Runtime.exceptionThrown") => parameters["exceptionDetails"].to_string(),
            Some("Runtime.consoleAPICalled") if ["error", "warning", "assert"].contains(&kind(&parameters["type"])) => {
                parameters["args"].to_string()
            }
            Some("Log.entryAdded") if ["error", "warning"].contains(&kind(&parameters["entry"]["level"])) => {
                let entry = &parameters["entry"];
                format!("{} {}", entry["text"], entry["url"])
            }
            _ => return,
        };
        if self.complaints.len() < COMPLAINTS_MAX {
            self.complaints.push(complaint);
        }
    }

    /// Ends it in order.
    pub(crate) async fn end(mut self) -> Result<()> {
        self.session = None;
        // It may be gone before it answers.
        let _ = self.call("Browser.close", json!({})).await;
        timeout(PATIENCE, self.child.wait()).await.context("Chromium does not end")??;
        Ok(())
    }
}

// Where it says that it listens.
async fn listening(lines: &mut Lines<BufReader<ChildStderr>>) -> Result<String> {
    for _ in 0..LINES_MAX {
        let line = lines.next_line().await?.context("it ended at once")?;
        if let Some((_, address)) = line.split_once("DevTools listening on ") {
            return Ok(address.trim().to_owned());
        }
    }
    bail!("it does not say where it listens")
}

fn kind(value: &Json) -> &str {
    value.as_str().unwrap_or_default()
}
