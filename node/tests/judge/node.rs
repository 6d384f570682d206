//! Runs the program under judgment: one process with its settings, its memory and its API.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a process may take to listen: far more than it needs, since a build may run beside.
const START: Duration = Duration::from_secs(20);

/// A running node. Dropped, it is killed; a test that fails shows what it said.
pub(crate) struct Node {
    child: Child,
    folder: TempDir,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Where its API is.
    pub(crate) api: SocketAddr,
    metrics: SocketAddr,
}

impl Node {
    /// Starts `polypeer run` on `network`, with these lines in the network's section and these further arguments, and
    /// waits until it listens.
    #[allow(dead_code, reason = "own networks have another")]
    pub(crate) fn start(network: &str, settings: &str, arguments: &[&str]) -> Self {
        Self::start_as("run", network, settings, arguments)
    }

    /// The same on an own network, whose section this is.
    #[allow(dead_code, reason = "only the networks that need a genesis of their own do")]
    pub(crate) fn start_own(network: &str, section: &str) -> Self {
        Self::launch("run", network, &format!("[networks.{network}]\n{section}\n"), &[])
    }

    /// The same for another of the program's long-running commands.
    #[allow(dead_code, reason = "own networks have another")]
    pub(crate) fn start_as(command: &str, network: &str, settings: &str, arguments: &[&str]) -> Self {
        Self::launch(command, network, &format!("[{network}]\n{settings}\n"), arguments)
    }

    fn launch(command: &str, network: &str, configuration: &str, arguments: &[&str]) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let config = folder.path().join("polypeer.toml");
        fs::write(&config, configuration).expect("the configuration is written");
        let (address, api, metrics) = (free_address(), free_address(), free_address());
        let log = fs::File::create(folder.path().join("log")).expect("a log");
        let mut process = Command::new(env!("CARGO_BIN_EXE_polypeer"));
        process.args([command, "--network", network, "--listen", &address.to_string(), "--api", &api.to_string()]);
        process.args(["--metrics", &metrics.to_string()]);
        if command == "run" {
            process.arg("--no-dns-seed");
        }
        process.arg("--data-dir").arg(folder.path().join("data")).arg("--config").arg(&config).args(arguments);
        process.stdin(Stdio::null()).stdout(log.try_clone().expect("a log")).stderr(log);
        let child = process.spawn().expect("the program starts");
        let mut node = Self { child, folder, address, api, metrics };
        let deadline = Instant::now() + START;
        while !node.is_ready() {
            assert!(node.is_alive() && Instant::now() < deadline, "the program does not listen");
            thread::sleep(Duration::from_millis(20));
        }
        node
    }

    // Whether it says that it listens. A trial connection would take a slot.
    fn is_ready(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(self.api) else { return false };
        let asked = stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let mut answer = String::new();
        asked.is_ok() && stream.read_to_string(&mut answer).is_ok() && answer.starts_with("HTTP/1.1 200")
    }

    /// Whether the process still runs.
    pub(crate) fn is_alive(&mut self) -> bool {
        self.child.try_wait().expect("our child").is_none()
    }

    /// Bytes of anonymous memory that are resident.
    #[allow(dead_code, reason = "only some judges look at it")]
    pub(crate) fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("the process runs");
        let line = status.lines().find(|line| line.starts_with("RssAnon:")).expect("Linux counts it");
        let kibibytes: u64 = line.split_whitespace().nth(1).and_then(|count| count.parse().ok()).expect("a number");
        kibibytes << 10
    }

    /// Bytes of all that it has written to its log so far.
    #[allow(dead_code, reason = "only the floods look at it")]
    pub(crate) fn log_bytes(&self) -> u64 {
        fs::metadata(self.folder.path().join("log")).expect("a log").len()
    }

    /// Its metrics, as text.
    #[allow(dead_code, reason = "only the floods look at them")]
    pub(crate) fn metrics(&self) -> String {
        let mut stream = TcpStream::connect(self.metrics).expect("metrics are served");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }

    /// The JSON document at an API path of the network.
    pub(crate) fn get(&self, path: &str) -> Option<serde_json::Value> {
        let mut stream = TcpStream::connect(self.api).expect("the API listens");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
        let head = format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.api);
        stream.write_all(head.as_bytes()).expect("the API reads");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("the API answers");
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer of HTTP");
        head.starts_with("HTTP/1.1 200").then(|| serde_json::from_str(body).expect("JSON"))
    }

    /// Sends a document to an API path that acts, with the token; whether it was taken.
    #[allow(dead_code, reason = "only some judges do")]
    pub(crate) fn put(&self, path: &str, body: &str) -> bool {
        self.act("PUT", path, body).starts_with("HTTP/1.1 2")
    }

    /// Sends a document to an API path with the token; the answer of HTTP, its head too.
    pub(crate) fn act(&self, method: &str, path: &str, body: &str) -> String {
        let token = fs::read_to_string(self.folder.path().join("data").join("api.token")).expect("a token");
        let mut stream = TcpStream::connect(self.api).expect("the API listens");
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.api,
            token.trim(),
            body.len()
        );
        stream.write_all(head.as_bytes()).expect("the API reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("the API answers");
        answer
    }

    /// Runs another of the program's commands against this node; what it said, and whether it went well.
    #[allow(dead_code, reason = "only some judges do")]
    pub(crate) fn command(&self, arguments: &[&str]) -> (bool, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_polypeer"));
        command.args(arguments).args(["--api", &self.api.to_string()]);
        let output = command.arg("--data-dir").arg(self.folder.path().join("data")).output().expect("it runs");
        (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    }

    /// Asks it to go, as an operator does.
    #[allow(dead_code, reason = "only some judges do")]
    pub(crate) fn terminate(&self) {
        let kill = Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status().expect("kill runs");
        assert!(kill.success(), "the process could not be signalled");
    }

    /// Waits until it is gone; its exit code, if it left by itself.
    #[allow(dead_code, reason = "only some judges do")]
    pub(crate) fn wait(&mut self, within: Duration) -> Option<i32> {
        let deadline = Instant::now() + within;
        loop {
            if let Some(status) = self.child.try_wait().expect("our child") {
                return status.code();
            }
            assert!(Instant::now() < deadline, "the program is still there after {within:?}");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            let skipped = log.lines().count().saturating_sub(40);
            let tail: Vec<&str> = log.lines().skip(skipped).collect();
            eprintln!("the program at {} said, in the end:\n{}", self.address, tail.join("\n"));
        }
    }
}

/// An address on loopback that nobody uses, below the ports that the system hands out by itself.
pub(crate) fn free_address() -> SocketAddr {
    free_listener().local_addr().expect("a listener has an address")
}

/// A listener on such an address.
pub(crate) fn free_listener() -> TcpListener {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Programs that were started one after the other take ports far from each other.
    let start = std::process::id() % 20_000 * 997;
    loop {
        let offset = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(10_000 + (start + offset) % 20_000).expect("below 30,000");
        if let Ok(listener) = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port))) {
            return listener;
        }
    }
}
