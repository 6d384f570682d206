//! Starts private networks on this machine, shows them live, and says how it ended.

use super::args::Devnet as Args;
use super::exit::{Code, Failure};
use super::signals::Signals;
use super::tables::table;
use super::{put_json, put_line};
use crate::config::nearest;
use crate::daemon;
use crate::data::TOKEN;
use crate::devnet::{Devnet, Plan, Propagation, Row, Summary};
use crate::networks::{ENTRIES, Entry};
use serde_json::json;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use tokio::sync::watch;

/// `polypeer devnet`.
pub(super) fn devnet(args: &Args, json: bool) -> Result<(), Failure> {
    let plan = Plan {
        networks: entries(&args.networks)?,
        nodes: usize::from(args.nodes),
        time: args.time,
        tx_rate: args.tx_rate,
        produce_interval: args.produce_interval,
        api: args.api,
    };
    daemon::raise_file_limit();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut signals = Signals::listen()?;
        let devnet = Devnet::start(plan).await?;
        announce(&devnet, json)?;
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(async move {
            signals.next().await;
            stop.send_replace(true);
            // The second one ends at once.
            let code = signals.next().await;
            std::process::exit(code as i32);
        });
        let mut screen = Screen::new(json);
        let summary = devnet.run(stopped, |rows| screen.show(rows)).await?;
        devnet.end().await;
        conclude(&summary, json)
    })
}

fn entries(names: &[String]) -> Result<Vec<&'static Entry>, Failure> {
    if names.is_empty() {
        return Ok(ENTRIES.iter().collect());
    }
    let mut entries: Vec<&'static Entry> = Vec::new();
    for name in names {
        let found = ENTRIES.iter().find(|entry| entry.protocol == name || entry.devnet == name);
        let found = found.ok_or_else(|| {
            let known: Vec<_> = ENTRIES.iter().map(|entry| entry.protocol).collect();
            let hint = nearest(name, known.iter().copied());
            Failure::usage(format!("unknown network `{name}`{hint}; there are {}", known.join(", ")))
        })?;
        if !entries.iter().any(|entry| entry.protocol == found.protocol) {
            entries.push(found);
        }
    }
    Ok(entries)
}

fn announce(devnet: &Devnet, json: bool) -> Result<(), Failure> {
    let api = devnet.api().map(|address| format!("http://{address}/"));
    let token = devnet.data().path().join(TOKEN);
    if json {
        return put_json(&json!({ "event": "started", "api": api, "token_file": token }));
    }
    put_line(&format!("dashboard {}", api.unwrap_or_default()))?;
    eprintln!("polypeer: the API's token is in {}", token.display());
    Ok(())
}

fn conclude(summary: &Summary, json: bool) -> Result<(), Failure> {
    if json {
        put_json(&json!({ "event": "summary", "ok": summary.is_good(), "networks": summary.networks }))?;
    } else {
        put_line(&summary_table(summary))?;
    }
    let faults: Vec<String> = summary
        .networks
        .iter()
        .flat_map(|network| network.faults.iter().map(|fault| format!("{}: {fault}", network.network)))
        .collect();
    if faults.is_empty() { Ok(()) } else { Err(Failure { code: Code::Failed, text: faults.join("; ") }) }
}

fn summary_table(summary: &Summary) -> String {
    let row = |ended: &crate::devnet::Ended| {
        vec![
            ended.network.clone(),
            ended.nodes.to_string(),
            ended.height.to_string(),
            if ended.tips_equal { "equal".into() } else { "DIFFERENT".into() },
            format!("{} of {}", ended.confirmed, ended.sent),
            ended.everywhere.to_string(),
            ended.messages.to_string(),
            both(&ended.blocks),
            both(&ended.transactions),
        ]
    };
    let heads = [
        "network",
        "nodes",
        "height",
        "tips",
        "confirmed",
        "everywhere",
        "messages",
        "blocks p50/p99",
        "transactions p50/p99",
    ];
    table(&heads, &summary.networks.iter().map(row).collect::<Vec<_>>())
}

fn both(propagation: &Propagation) -> String {
    let one = |millis: Option<f64>| millis.map_or_else(|| "-".to_owned(), |millis| format!("{millis:.1}"));
    format!("{} / {} ms", one(propagation.p50_ms), one(propagation.p99_ms))
}

/// Where the live table goes.
struct Screen {
    json: bool,
    is_terminal: bool,
    // Lines of the table that stands there now.
    lines: usize,
}

impl Screen {
    fn new(json: bool) -> Self {
        Self { json, is_terminal: io::stdout().is_terminal(), lines: 0 }
    }

    fn show(&mut self, rows: &[Row]) {
        if self.json {
            for row in rows {
                let mut line = json!(row);
                line["event"] = json!("progress");
                // Whoever read is gone; the networks are stopped by a signal, not by this.
                let _ = put_json(&line);
            }
        } else if self.is_terminal {
            self.draw(rows);
        }
    }

    fn draw(&mut self, rows: &[Row]) {
        let row = |row: &Row| {
            vec![
                row.network.clone(),
                format!("{} ({} connections)", row.nodes, row.connections),
                if row.heights.0 == row.heights.1 {
                    row.heights.0.to_string()
                } else {
                    format!("{}-{}", row.heights.0, row.heights.1)
                },
                if row.tips_equal { "equal".into() } else { "different".into() },
                row.sent.to_string(),
                row.waiting.to_string(),
                row.messages.to_string(),
                both(&row.blocks),
                both(&row.transactions),
            ]
        };
        let heads = [
            "network",
            "nodes",
            "height",
            "tips",
            "sent",
            "waiting",
            "messages",
            "blocks p50/p99",
            "transactions p50/p99",
        ];
        let text = table(&heads, &rows.iter().map(row).collect::<Vec<_>>());
        let mut out = String::new();
        if self.lines > 0 {
            // Up over the last table; each line is cleared as it is written.
            let _ = write!(out, "\x1b[{}A", self.lines);
        }
        for line in text.lines() {
            let _ = writeln!(out, "\x1b[2K{line}");
        }
        self.lines = text.lines().count();
        let mut stdout = io::stdout().lock();
        let _ = stdout.write_all(out.as_bytes()).and_then(|()| stdout.flush());
    }
}
