//! Runs the real program: daemons in folders of their own, on free ports, ended whatever happens.

#![allow(dead_code, reason = "every test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "helpers of tests fail where they stand")]

pub(crate) mod writer;

use serde_json::Value as Json;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long anything may take on a busy machine before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// A pause between two looks.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The program, with an environment of its own.
pub(crate) fn polypeer(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_polypeer"));
    command.args(args).env_clear().env("XDG_DATA_HOME", "/nonexistent/polypeer-tests").env("NO_COLOR", "1");
    command.stdin(Stdio::null());
    command
}

/// Runs the program to its end.
pub(crate) fn output(args: &[&str]) -> Output {
    finish(polypeer(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
}

/// Waits for a process, but not for ever.
pub(crate) fn finish(mut child: Child) -> Output {
    let (mut stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let read = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        stderr.read_to_end(&mut bytes).map(|_| bytes)
    });
    let written = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        stdout.read_to_end(&mut bytes).map(|_| bytes)
    });
    let status = wait(&mut child);
    let (stdout, stderr) = (written.join().unwrap().unwrap(), read.join().unwrap().unwrap());
    Output { status, stdout, stderr }
}

fn wait(child: &mut Child) -> ExitStatus {
    let end = Instant::now() + 2 * PATIENCE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if Instant::now() >= end {
            child.kill().unwrap();
            panic!("the program did not end");
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// What a program wrote, as text.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Looks again and again until there is something.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "never: {what}");
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// A daemon that runs.
pub(crate) struct Daemon {
    child: Option<Child>,
    lines: Receiver<String>,
    pub(crate) folder: PathBuf,
    /// What it said at its start.
    pub(crate) started: Json,
}

/// A folder for daemons, gone at the end.
pub(crate) fn folder() -> TempDir {
    tempfile::Builder::new().prefix("polypeer-test-").tempdir().unwrap()
}

impl Daemon {
    /// Starts `run` on a network with these arguments more, in `folder`, on free ports.
    pub(crate) fn run(network: &str, folder: &Path, more: &[&str]) -> Self {
        let mut args = vec!["run", "--network", network];
        if !more.contains(&"--listen") {
            args.extend(["--listen", "127.0.0.1:0"]);
        }
        args.extend(more);
        Self::start(&args, folder, &[])
    }

    /// Starts a daemon with these arguments and variables.
    pub(crate) fn start(args: &[&str], folder: &Path, variables: &[(&str, &str)]) -> Self {
        Self::try_start(args, folder, variables).unwrap_or_else(|output| {
            panic!("{args:?} ended with {}: {}", output.status, text(&output.stderr));
        })
    }

    /// Starts a daemon behind a shell that carries out `setup` first.
    pub(crate) fn start_through(setup: &str, args: &[&str], folder: &Path) -> Self {
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("{setup}; exec \"$0\" \"$@\"")).arg(env!("CARGO_BIN_EXE_polypeer"));
        command.args(args).env_clear().stdin(Stdio::null());
        Self::spawn(command, folder).unwrap_or_else(|output| panic!("{args:?}: {}", text(&output.stderr)))
    }

    /// Starts a daemon that may not want to.
    pub(crate) fn try_start(args: &[&str], folder: &Path, variables: &[(&str, &str)]) -> Result<Self, Output> {
        let mut command = polypeer(args);
        command.envs(variables.iter().copied());
        Self::spawn(command, folder)
    }

    fn spawn(mut command: Command, folder: &Path) -> Result<Self, Output> {
        command.args(["--json", "--api", "127.0.0.1:0", "--metrics", "127.0.0.1:0"]).arg("--data-dir").arg(folder);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        let (sender, lines) = mpsc::sync_channel(65_536);
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // A test that is over reads no more; the daemon's pipe is emptied all the same.
                let _ = sender.try_send(line);
            }
        });
        match lines.recv_timeout(PATIENCE) {
            Ok(line) => {
                let started: Json = serde_json::from_str(&line).unwrap();
                assert_eq!(started["event"], "started", "{line}");
                Ok(Self { child: Some(child), lines, folder: folder.to_owned(), started })
            }
            Err(_) => {
                let mut stderr = Vec::new();
                child.kill().unwrap();
                child.stderr.take().unwrap().read_to_end(&mut stderr).unwrap();
                Err(Output { status: child.wait().unwrap(), stdout: Vec::new(), stderr })
            }
        }
    }

    /// The number of its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// The address of its API.
    pub(crate) fn api(&self) -> String {
        self.started["api"].as_str().unwrap().to_owned()
    }

    /// Where its first network listens.
    pub(crate) fn address(&self) -> String {
        self.started["networks"][0]["listen"].as_str().unwrap().to_owned()
    }

    /// The name of its first network.
    pub(crate) fn network(&self) -> String {
        self.started["networks"][0]["name"].as_str().unwrap().to_owned()
    }

    /// Asks its API: status and document.
    pub(crate) fn ask(&self, method: &str, path: &str, body: Option<Json>) -> (u16, Json) {
        let token = std::fs::read_to_string(self.folder.join("api.token")).unwrap();
        ask(&self.api(), method, path, Some(token.trim()), body)
    }

    /// Reads from its API what must be there.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Json {
        let (status, json) = self.ask("GET", path, None);
        assert_eq!(status, 200, "{path}: {json}");
        json
    }

    /// Reads from its first network what must be there.
    #[track_caller]
    pub(crate) fn look(&self, path: &str) -> Json {
        self.get(&format!("/api/v1/networks/{}/{path}", self.network()))
    }

    /// Its first network's status.
    pub(crate) fn status(&self) -> Json {
        self.get("/api/v1/status")["networks"][0].clone()
    }

    /// The height of its first network's tip.
    pub(crate) fn height(&self) -> u64 {
        self.status()["height"].as_u64().unwrap()
    }

    /// The hash of its first network's tip.
    pub(crate) fn tip(&self) -> String {
        self.status()["tip"].as_str().unwrap().to_owned()
    }

    /// How many peers its first network has.
    pub(crate) fn peers(&self) -> u64 {
        let peers = &self.status()["peers"];
        peers["inbound"].as_u64().unwrap() + peers["outbound"].as_u64().unwrap()
    }

    /// Runs a command against it.
    pub(crate) fn command(&self, args: &[&str]) -> Output {
        let mut command = polypeer(args);
        command.args(["--api", &self.api(), "--data-dir"]).arg(&self.folder);
        finish(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    /// Runs a command against it that must succeed, and reads its JSON.
    #[track_caller]
    pub(crate) fn json(&self, args: &[&str]) -> Json {
        let output = self.command(&[args, &["--json"]].concat());
        assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let id = rustix::process::Pid::from_raw(self.id() as i32).unwrap();
        rustix::process::kill_process(id, signal).unwrap();
    }

    /// Waits for its end.
    pub(crate) fn wait(mut self) -> ExitStatus {
        wait(self.child.as_mut().unwrap())
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(mut self) {
        self.end();
    }

    /// Ends it in order; the status that it leaves.
    pub(crate) fn stop(self) -> ExitStatus {
        self.signal(rustix::process::Signal::TERM);
        self.wait()
    }

    /// Ends it in order; what it said on stderr.
    pub(crate) fn stop_and_read(mut self) -> String {
        self.signal(rustix::process::Signal::TERM);
        let mut child = self.child.take().unwrap();
        let mut said = Vec::new();
        child.stderr.take().unwrap().read_to_end(&mut said).unwrap();
        wait(&mut child);
        text(&said)
    }

    fn end(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.end();
    }
}

/// Asks an API: status and document.
pub(crate) fn ask(api: &str, method: &str, path: &str, token: Option<&str>, body: Option<Json>) -> (u16, Json) {
    try_ask(api, method, path, token, body).unwrap()
}

/// Asks an API that may be gone, or go meanwhile.
pub(crate) fn try_ask(
    api: &str,
    method: &str,
    path: &str,
    token: Option<&str>,
    body: Option<Json>,
) -> Option<(u16, Json)> {
    let agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .proxy(None)
        .timeout_global(Some(PATIENCE))
        .build()
        .new_agent();
    let mut request = ureq::http::Request::builder().method(method).uri(format!("{api}{path}"));
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let body = body.map(|body| body.to_string()).unwrap_or_default();
    let mut answer = agent.run(request.body(body).unwrap()).ok()?;
    let status = answer.status().as_u16();
    let text = answer.body_mut().with_config().limit(64 << 20).read_to_string().ok()?;
    Some((status, serde_json::from_str(&text).unwrap_or(Json::String(text))))
}

/// Waits until all have the same tip at this height or above; the tip.
#[track_caller]
pub(crate) fn agree(daemons: &[&Daemon], height: u64) -> String {
    eventually("the nodes agree", || {
        let tips: Vec<_> = daemons.iter().map(|daemon| (daemon.height(), daemon.tip())).collect();
        let is_one = tips.iter().all(|tip| tip.1 == tips[0].1) && tips[0].0 >= height;
        is_one.then(|| tips[0].1.clone())
    })
}
