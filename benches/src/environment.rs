//! Records where a run was made.

use crate::place::{self, Weather};
use anyhow::Result;
use std::fs;
use std::process::Command;

/// The machine and the versions.
pub(crate) struct Environment {
    /// Name and value, in the order of the report.
    pub(crate) lines: Vec<(&'static str, String)>,
    /// The weather when the run began.
    pub(crate) weather: Weather,
}

impl Environment {
    /// Looks around.
    pub(crate) fn read() -> Result<Self> {
        let weather = place::weather()?;
        let cpus = std::thread::available_parallelism().map_or(0, usize::from);
        let lines = vec![
            ("time", first_line("date", &["-u", "+%Y-%m-%d %H:%M:%S UTC"])),
            ("kernel", first_line("uname", &["-sr"])),
            ("processor", format!("{cpus} × {}", processor())),
            ("rustc", first_line("rustc", &["--version"])),
            ("commit", first_line("git", &["describe", "--always", "--dirty", "--abbrev=12"])),
            ("peers", peers().join(", ")),
            ("load before", weather.load.to_string()),
        ];
        Ok(Self { lines, weather })
    }
}

fn first_line(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&output).lines().next().unwrap_or("unknown").to_owned()
}

fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("model name"));
    line.unwrap_or("unknown").trim_start_matches([':', ' ', '\t']).to_owned()
}

// Versions of what is measured beside ours, from the lock file that this was built with.
fn peers() -> Vec<String> {
    let lock = include_str!("../../Cargo.lock");
    ["tokio", "tokio-util", "pea2pea", "libp2p", "libp2p-gossipsub", "commonware-consensus", "commonware-runtime"]
        .into_iter()
        .filter_map(|name| {
            let entry = lock.split("[[package]]").find(|entry| entry.contains(&format!("name = \"{name}\"\n")))?;
            let version = entry.split("version = \"").nth(1)?.split('"').next()?;
            Some(format!("{name} {version}"))
        })
        .collect()
}
