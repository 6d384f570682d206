//! Follows what happens in a running node.

use super::args::Events;
use super::exit::{Code, Failure};
use super::put_line;
use super::tables::{plain, when};
use crate::client::AskError;
use crate::view::Happened;
use std::io::BufRead;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Instant;

/// One line of an event stream in bytes; an event is a few hundred.
const LINE_BYTES_MAX: usize = 64 << 10;
/// Events read ahead of the terminal.
const AHEAD_MAX: usize = 256;

/// `polypeer events`.
pub(super) fn events(args: &Events, json: bool) -> Result<(), Failure> {
    let client = args.reach.client();
    let path = match args.since {
        Some(since) => format!("/api/v1/events?since={since}"),
        None => "/api/v1/events".to_owned(),
    };
    let mut stream = client.stream(&path)?;
    let (sender, lines) = mpsc::sync_channel(AHEAD_MAX);
    // Its own thread, because a stream that says nothing cannot be read with a time limit.
    std::thread::spawn(move || {
        while let Some(line) = read_line(&mut stream) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    let end = args.time.map(|time| Instant::now() + time);
    let mut left = args.count.unwrap_or(u64::MAX);
    while left > 0 {
        let line = match end {
            None => lines.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(end) => lines.recv_timeout(end.saturating_duration_since(Instant::now())),
        };
        let line = match line {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => return Ok(()),
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Failure { code: Code::Unavailable, text: format!("{} went away", client.base()) });
            }
        };
        if let Some(data) = line.strip_prefix("data:")
            && show(data.trim_start(), args.reach.network.as_deref(), json)?
        {
            left -= 1;
        }
    }
    Ok(())
}

fn show(data: &str, network: Option<&str>, json: bool) -> Result<bool, Failure> {
    let odd = |what: serde_json::Error| AskError::NotANode { base: "the node".into(), what: what.to_string() };
    let happened: Happened = serde_json::from_str(data).map_err(odd)?;
    if network.is_some_and(|name| happened.network != name) {
        return Ok(false);
    }
    if json {
        put_line(data)?;
    } else {
        let (time, network) = (when(happened.time), plain(&happened.network));
        put_line(&format!("{:>6}  {time}  {network}  {}", happened.sequence, plain(&happened.what.to_string())))?;
    }
    Ok(true)
}

fn read_line(stream: &mut impl BufRead) -> Option<String> {
    let mut line = Vec::new();
    let mut limited = std::io::Read::take(stream, LINE_BYTES_MAX as u64);
    limited.read_until(b'\n', &mut line).ok().filter(|read| *read > 0)?;
    String::from_utf8(line).ok().map(|line| line.trim_end().to_owned())
}
