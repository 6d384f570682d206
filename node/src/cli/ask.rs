//! Asks a running node, and tells it what to do.

use super::args::{Peers, PeersAct, Reach, Risk, Why};
use super::exit::{Code, Failure};
use super::tables::{plain, table, when};
use super::{put_json, put_line};
use crate::api::Problem;
use crate::client::{AskError, Client, Place};
use crate::view;
use polypeer_engine::shell::risk::NOTABLE;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

impl From<AskError> for Failure {
    fn from(error: AskError) -> Self {
        let code = match error {
            AskError::NoNode { .. } => Code::Unavailable,
            _ => Code::Failed,
        };
        Self { code, text: error.to_string() }
    }
}

impl Reach {
    /// The node that is meant.
    pub(super) fn client(&self) -> Client {
        Client::new(&Place {
            api: self.api.clone(),
            data_dir: self.data_dir.clone(),
            token_file: self.token_file.clone(),
        })
    }

    /// The network that is meant: the one that was named, else the only one.
    pub(super) fn network(&self, client: &Client) -> Result<view::Network, Failure> {
        let status: view::Status = client.get("/api/v1/status")?;
        let names: Vec<_> = status.networks.iter().map(|network| network.name.clone()).collect();
        let mut networks = status.networks.into_iter();
        let found = match &self.network {
            Some(name) => networks.find(|network| network.name == *name),
            None if names.len() == 1 => networks.next(),
            None => {
                return Err(Failure::usage(format!(
                    "the node has several networks ({}); choose with --network",
                    names.join(", ")
                )));
            }
        };
        let name = self.network.as_deref().unwrap_or_default();
        found.ok_or_else(|| Failure::usage(format!("the node has no network `{name}`; it has {}", names.join(", "))))
    }

    /// The path of something of the network that is meant.
    pub(super) fn path(&self, client: &Client, rest: &str) -> Result<String, Failure> {
        Ok(format!("/api/v1/networks/{}/{rest}", self.network(client)?.name))
    }
}

/// `polypeer status`.
pub(super) fn status(reach: &Reach, json: bool) -> Result<(), Failure> {
    let mut status: view::Status = reach.client().get("/api/v1/status")?;
    if let Some(name) = &reach.network {
        status.networks.retain(|network| network.name == *name);
    }
    if json {
        return put_json(&status);
    }
    let row = |network: &view::Network| {
        let peers = network.peers;
        vec![
            plain(&network.name),
            network.height.to_string(),
            network.tip.as_deref().map_or("-", |tip| tip.get(..16).unwrap_or(tip)).to_owned(),
            format!("{} in, {} out", peers.inbound, peers.outbound),
            network.mempool.to_string(),
            match network.follow_only {
                _ if network.syncing => "catching up".into(),
                Some(first) => format!("only follows from {first} on"),
                None => "up to date".into(),
            },
        ]
    };
    let rows: Vec<_> = status.networks.iter().map(row).collect();
    put_line(&format!("{} {}", plain(&status.node), plain(&status.version)))?;
    put_line(&table(&["network", "height", "tip", "peers", "waiting", "state"], &rows))?;
    let mut at_risk = status.networks.iter().filter(|network| network.eclipse_risk >= NOTABLE);
    at_risk.try_for_each(|network| {
        let (name, risk) = (plain(&network.name), network.eclipse_risk);
        put_line(&format!("{name}: eclipse risk {risk} of 100; `polypeer risk --explain` says why"))
    })
}

/// `polypeer peers`.
pub(super) fn peers(args: Peers, json: bool) -> Result<(), Failure> {
    let reach = args.reach;
    match args.act.unwrap_or(PeersAct::List) {
        PeersAct::List => list(&reach, "peers", json, PEERS, peer_row),
        PeersAct::Add { address } => {
            let body = json!({ "address": address });
            act(&reach, "POST", "peers", Some(&body), json, &format!("{address} will be kept connected"))
        }
        PeersAct::Drop { peer } => {
            act(&reach, "DELETE", &format!("peers/{}", segment(&peer)), None, json, &format!("{peer} is dropped"))
        }
        PeersAct::Ban { address, time } => {
            // A part of a second still bans.
            let body = json!({ "duration": time.as_secs().max(1) });
            let done = format!("{address} is refused for {}", humantime::format_duration(time));
            act(&reach, "PUT", &format!("bans/{address}"), Some(&body), json, &done)
        }
        PeersAct::Unban { address } => {
            let done = format!("{address} is no longer refused");
            act(&reach, "DELETE", &format!("bans/{address}"), None, json, &done)
        }
    }
}

/// `polypeer bans`.
pub(super) fn bans(reach: &Reach, json: bool) -> Result<(), Failure> {
    list(reach, "bans", json, &["address", "severity", "until", "reason"], |ban: &view::Ban| {
        vec![plain(&ban.address), plain(&ban.severity), when(ban.until), plain(&ban.reason)]
    })
}

/// `polypeer why`.
pub(super) fn why(args: &Why, json: bool) -> Result<(), Failure> {
    let path = format!("why/{}", segment(&args.peer));
    list(&args.reach, &path, json, &["time", "peer", "connection", "what", "why"], |why: &view::Why| {
        vec![
            when(why.time),
            plain(&why.peer),
            why.connection.map_or_else(|| "-".into(), |connection| connection.to_string()),
            plain(&why.what),
            match why.times {
                0 | 1 => plain(&why.text),
                times => format!("{} ({times} times within a minute)", plain(&why.text)),
            },
        ]
    })
}

/// `polypeer risk`.
pub(super) fn risk(args: &Risk, json: bool) -> Result<(), Failure> {
    let client = args.reach.client();
    let risk: view::Risk = client.get(&args.reach.path(&client, "risk")?)?;
    if json {
        return put_json(&risk);
    }
    put_line(&format!("eclipse risk {} of 100: {}", risk.score, plain(&risk.level)))?;
    if !args.explain {
        return Ok(());
    }
    if risk.reserved > 0 {
        let most = polypeer_engine::shell::risk::HIGH - 1;
        put_line(&format!("{} peers that you named are connected: it is at most {most}", risk.reserved))?;
    }
    if risk.findings.is_empty() {
        return put_line("nothing points to one");
    }
    let row = |finding: &view::Finding| vec![finding.points.to_string(), plain(&finding.name), plain(&finding.text)];
    put_line(&table(&["points", "finding", "what"], &risk.findings.iter().map(row).collect::<Vec<_>>()))
}

const PEERS: &[&str] = &["id", "address", "direction", "ready", "height", "ping", "received", "sent", "software"];

fn peer_row(peer: &view::Peer) -> Vec<String> {
    vec![
        peer.id.to_string(),
        plain(&peer.addr),
        if peer.inbound { "in".into() } else { "out".into() },
        if peer.ready { "yes".into() } else { "no".into() },
        peer.synced_blocks.map_or_else(|| "-".into(), |height| height.to_string()),
        peer.pingtime.map_or_else(|| "-".into(), |seconds| format!("{:.1} ms", seconds * 1000.0)),
        peer.bytesrecv.to_string(),
        peer.bytessent.to_string(),
        plain(&peer.subver),
    ]
}

/// Shows a listing, as a table or as JSON.
pub(super) fn list<T: Serialize + DeserializeOwned>(
    reach: &Reach,
    path: &str,
    json: bool,
    heads: &[&str],
    row: impl Fn(&T) -> Vec<String>,
) -> Result<(), Failure> {
    let client = reach.client();
    let rows: Vec<T> = client.get_all(&reach.path(&client, path)?)?;
    if json {
        return put_json(&rows);
    }
    put_line(&table(heads, &rows.iter().map(row).collect::<Vec<_>>()))
}

fn act(
    reach: &Reach,
    method: &str,
    path: &str,
    body: Option<&serde_json::Value>,
    json: bool,
    done: &str,
) -> Result<(), Failure> {
    let client = reach.client();
    client.act(method, &reach.path(&client, path)?, body)?;
    if json { put_json(&json!({ "ok": true })) } else { put_line(done) }
}

// One segment of a path: what has a meaning in URLs is escaped.
fn segment(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b':' | b'-' | b'_' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}

/// Whether a refusal is this rule's.
pub(super) fn is_refused_for(error: &AskError, reasons: &[&str]) -> bool {
    matches!(error, AskError::Problem(_, problem) if is_reason(problem, reasons))
}

fn is_reason(problem: &Problem, reasons: &[&str]) -> bool {
    problem.reason.as_deref().is_some_and(|reason| reasons.contains(&reason))
}
