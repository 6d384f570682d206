//! Runs a node, or a tracker, until a signal.

use super::args::{Place, Run, Tracker};
use super::exit::{Code, Failure};
use super::put_json;
use super::signals::Signals;
use crate::config::{Config, Given, process_environment};
use crate::daemon::{self, Daemon, Doors};
use crate::data::{DataFolder, default_folder};
use crate::event_log::EventLog;
use crate::networks::{ENTRIES, Launch, RunningNetwork};
use polypeer_driver::Budget;
use rustix::process::{Resource, getrlimit};
use serde_json::json;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tracing_subscriber::EnvFilter;

/// Open files without which a start is not even tried: signals, stores, doors and a few peers. Below it the runtime
/// panics instead of saying so.
const FILES_MIN: u64 = 64;
/// Events printed at one time with `--json`.
const PRINTED_MAX: usize = 256;

/// `polypeer run`.
pub(super) fn run(args: &Run, json: bool) -> Result<(), Failure> {
    let config = configure(&args.place, &givens(args)?)?;
    let names = match args.network.as_slice() {
        [] => config.node.list("network").to_vec(),
        names => names.to_vec(),
    };
    if names.is_empty() {
        let known: Vec<_> = config.networks.keys().map(String::as_str).collect();
        return Err(Failure::usage(format!("name a network with --network: {}", known.join(", "))));
    }
    // Checked before anything is made: a wrong name leaves no trace.
    for (index, name) in names.iter().enumerate() {
        config.network(name)?;
        if names[..index].contains(name) {
            return Err(Failure::usage(format!("the network {name} is named twice")));
        }
    }
    serve(&config, &names, json, |launch| (launch.network.entry.start)(launch))
}

/// `polypeer tracker`.
pub(super) fn tracker(args: &Tracker, json: bool) -> Result<(), Failure> {
    let mut givens = Vec::new();
    let mut put = |section: &str, key, flag, text: &Option<String>| {
        givens.extend(text.clone().map(|text| Given { section: section.into(), key, text, flag }));
    };
    put("tracker", "listen", "--listen", &args.listen);
    put("tracker", "interval", "--interval", &args.interval);
    put("node", "metrics", "--metrics", &args.metrics);
    let config = configure(&args.place, &givens)?;
    let entry = config.network(&args.network)?.entry;
    let start = entry.tracker.ok_or_else(|| {
        let having = ENTRIES.iter().filter(|entry| entry.tracker.is_some()).map(|entry| entry.protocol);
        Failure::usage(format!(
            "{} has no tracker; networks of {} have",
            args.network,
            having.collect::<Vec<_>>().join(", ")
        ))
    })?;
    serve(&config, std::slice::from_ref(&args.network), json, start)
}

/// Reads the configuration, with what the command line says of the whole node.
pub(super) fn configure(place: &Place, givens: &[Given]) -> Result<Config, Failure> {
    let mut all = givens.to_vec();
    let mut node = |key, flag, text: &Option<String>| {
        all.extend(text.clone().map(|text| Given { section: "node".into(), key, text, flag }));
    };
    node("data_dir", "--data-dir", &place.data_dir);
    node("api", "--api", &place.api);
    Ok(Config::load(place.config.as_deref(), process_environment(), &all)?)
}

// What the command line says, key by key.
fn givens(args: &Run) -> Result<Vec<Given>, Failure> {
    let mut all = Vec::new();
    if let Some(metrics) = &args.metrics {
        all.push(Given { section: "node".into(), key: "metrics", text: metrics.clone(), flag: "--metrics" });
    }
    one_each(args, "listen", "--listen", &args.listen, &mut all)?;
    one_each(args, "external", "--external", &args.external, &mut all)?;
    one_each(args, "record", "--record", &args.record, &mut all)?;
    list_each(args, "add_peer", "--add-peer", &args.add_peer, &mut all)?;
    list_each(args, "connect", "--connect", &args.connect, &mut all)?;
    for network in &args.network {
        let mut put = |key, flag, text: Option<String>| {
            all.extend(text.map(|text| Given { section: network.clone(), key, text, flag }));
        };
        let flag = |is_set: bool| is_set.then(|| "true".to_owned());
        put("produce", "--produce", flag(args.produce));
        put("no_dns_seed", "--no-dns-seed", flag(args.no_dns_seed));
        put("no_discovery", "--no-discovery", flag(args.no_discovery));
        put("out_peers", "--out-peers", args.out_peers.map(|count| count.to_string()));
        put("max_in_peers", "--max-in-peers", args.max_in_peers.map(|count| count.to_string()));
    }
    let is_network_flag = args.produce || args.no_dns_seed || args.no_discovery;
    if args.network.is_empty() && (is_network_flag || args.out_peers.is_some() || args.max_in_peers.is_some()) {
        return Err(Failure::usage("options of a network need --network"));
    }
    Ok(all)
}

// Which network a value is for, and the value: `NAME=VALUE`, or the value alone where there is one network.
fn addressed<'a>(args: &'a Run, flag: &str, text: &'a str) -> Result<(&'a str, &'a str), Failure> {
    let named = text.split_once('=').filter(|(name, _)| args.network.iter().any(|network| network == name));
    match (named, args.network.as_slice()) {
        (Some(named), _) => Ok(named),
        (None, [network]) => Ok((network, text)),
        (None, []) => Err(Failure::usage(format!("{flag} needs --network"))),
        (None, _) => Err(Failure::usage(format!("with several networks {flag} takes NAME=VALUE, got `{text}`"))),
    }
}

fn one_each(
    args: &Run,
    key: &'static str,
    flag: &'static str,
    texts: &[String],
    all: &mut Vec<Given>,
) -> Result<(), Failure> {
    for text in texts {
        let (network, value) = addressed(args, flag, text)?;
        if all.iter().any(|given| given.section == network && given.key == key) {
            return Err(Failure::usage(format!("{flag} is given twice for {network}")));
        }
        all.push(Given { section: network.to_owned(), key, text: value.to_owned(), flag });
    }
    Ok(())
}

fn list_each(
    args: &Run,
    key: &'static str,
    flag: &'static str,
    texts: &[String],
    all: &mut Vec<Given>,
) -> Result<(), Failure> {
    for text in texts {
        let (network, value) = addressed(args, flag, text)?;
        match all.iter_mut().find(|given| given.section == network && given.key == key) {
            Some(given) => given.text = format!("{},{value}", given.text),
            None => all.push(Given { section: network.to_owned(), key, text: value.to_owned(), flag }),
        }
    }
    Ok(())
}

/// Starts networks and serves them until a signal, or until one fails.
fn serve(
    config: &Config,
    names: &[String],
    json: bool,
    start: impl Fn(&Launch<'_>) -> anyhow::Result<Arc<dyn RunningNetwork>>,
) -> Result<(), Failure> {
    let doors = Doors { api: door(config, "api"), metrics: door(config, "metrics") };
    let folder = config.node.text("data_dir").map(PathBuf::from).map_or_else(default_folder, Ok)?;
    let data = DataFolder::lock(&folder)?;
    log(config.node.text("log").unwrap_or("info"))?;
    let token = data.token()?;
    daemon::raise_file_limit();
    if let Some(limit) = getrlimit(Resource::Nofile).current.filter(|limit| *limit < FILES_MIN) {
        return Err(Failure::new(format!("{limit} open files are too few, a node needs {FILES_MIN}; see ulimit -n")));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // First of all: a signal during a long start is not lost.
        let mut signals = Signals::listen()?;
        let events = Arc::new(EventLog::default());
        let budget = Budget::new(config.limits.size("queue_bytes_max"));
        let mut networks = Vec::new();
        for name in names {
            let network = config.network(name)?;
            let producer = network.section.flag("produce").then(|| data.producer_key()).transpose()?;
            let launch = Launch {
                name,
                base_name: name,
                network,
                config,
                folder: Some(data.network(name)?),
                producer,
                budget: budget.clone(),
                events: events.clone(),
                arrivals: None,
            };
            networks.push(start(&launch)?);
        }
        let mut daemon = Daemon::serve(networks, events, Some(&token), doors).await?;
        if let Some(address) = daemon.api() {
            data.publish_api(&address.to_string())?;
        }
        announce(&daemon, json)?;
        let printer = json.then(|| tokio::spawn(print_events(daemon.node().events.clone())));
        let ended = tokio::select! {
            code = signals.next() => Ok(code),
            text = daemon.failed() => Err(text),
        };
        signals.end_at_once();
        daemon.drain().await;
        if let Some(printer) = printer {
            printer.abort();
        }
        match ended {
            Ok(code) => Err(Failure::silent(code)),
            Err(text) => Err(Failure::new(text)),
        }
    })
}

fn door(config: &Config, key: &str) -> Option<SocketAddr> {
    // Anything else than an address is `none`: the key's kind says so.
    config.node.text(key).and_then(|text| text.parse().ok())
}

fn log(filter: &str) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(filter)
        .map_err(|error| Failure { code: Code::Config, text: format!("`log` in [node]: {error}") })?;
    // A second subscriber in one process keeps the first.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
    Ok(())
}

fn announce(daemon: &Daemon, json: bool) -> Result<(), Failure> {
    let url = |address: Option<SocketAddr>| address.map(|address| format!("http://{address}"));
    let networks = &daemon.node().networks;
    if json {
        let networks: Vec<_> =
            networks.iter().map(|network| json!({ "name": network.name(), "listen": network.listening() })).collect();
        let (api, metrics) = (url(daemon.api()), url(daemon.metrics()));
        return put_json(&json!({ "event": "started", "api": api, "metrics": metrics, "networks": networks }));
    }
    for network in networks {
        match network.listening() {
            Some(address) => eprintln!("polypeer: {} listens on {address}", network.name()),
            None => eprintln!("polypeer: {} dials only", network.name()),
        }
    }
    if let Some(url) = url(daemon.api()) {
        eprintln!("polypeer: API on {url}");
    }
    if let Some(url) = url(daemon.metrics()) {
        eprintln!("polypeer: metrics on {url}/metrics");
    }
    eprintln!("polypeer: ready");
    Ok(())
}

async fn print_events(log: Arc<EventLog>) {
    let mut last = log.last();
    let mut since = 0;
    loop {
        last.mark_unchanged();
        for happened in log.after(since, PRINTED_MAX) {
            since = happened.sequence;
            if put_json(&*happened).is_err() {
                return;
            }
        }
        if since >= *last.borrow() && last.changed().await.is_err() {
            return;
        }
    }
}
