//! Lists the commands and their options.

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use std::path::PathBuf;
use std::time::Duration;

/// One peer-to-peer engine that speaks several existing networks' protocols.
#[derive(Debug, Parser)]
#[command(name = "polypeer", version, about, max_term_width = 100, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// Print JSON: one document, or one object a line while something runs.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start private networks on this machine, and watch them live.
    Devnet(Devnet),
    /// Run a node.
    Run(Run),
    /// Run a Hello tracker.
    Tracker(Tracker),
    /// Show how a running node is.
    Status(Reach),
    /// Show or change whom a running node talks to.
    Peers(Peers),
    /// Show, export or extend the address book of a running node.
    Addresses(Addresses),
    /// Show whom a running node refuses.
    Bans(Reach),
    /// Show why a running node did what it did about a peer, newest first.
    Why(Why),
    /// Show how near a running node is to an eclipse: whether all that it hears could come from one hand.
    Risk(Risk),
    /// Follow what happens in a running node.
    Events(Events),
    /// Send transactions of the reference ledger, on private networks.
    #[command(subcommand)]
    Tx(Tx),
    /// Make and show the key files that nodes sign with and are known by.
    #[command(subcommand)]
    Keys(Keys),
    /// Simulate networks in virtual time, with faults and attackers, and check what must hold.
    Sim(Sim),
    /// Run a recording, a simulation or what a fuzz input did again, and say whether the same comes of it.
    Replay(Replay),
    /// Show and check the configuration.
    #[command(subcommand)]
    Config(Config),
    /// Print the completions of a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Print the manual page.
    Man,
}

#[derive(Debug, Args)]
pub(crate) struct Devnet {
    /// The networks; all that are built in when left out.
    #[arg(long, value_delimiter = ',')]
    pub(crate) networks: Vec<String>,
    /// Nodes of each network.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(2..=64))]
    pub(crate) nodes: u16,
    /// How long blocks and transactions are made; until Ctrl-C when left out.
    #[arg(long = "for", value_parser = span)]
    pub(crate) time: Option<Duration>,
    /// Transactions a second in each network.
    #[arg(long, default_value_t = 5.0, value_parser = rate)]
    pub(crate) tx_rate: f64,
    /// Where the API of all nodes listens.
    #[arg(long, default_value = "127.0.0.1:0")]
    pub(crate) api: std::net::SocketAddr,
    /// How often each node makes a block; on Kaspa all make ten in this time, on BUMO a ledger comes every 500 ms.
    #[arg(long, default_value = "1s", value_parser = span)]
    pub(crate) produce_interval: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// The network; may be given more than once.
    #[arg(long, value_name = "NAME")]
    pub(crate) network: Vec<String>,
    /// Where peers are accepted, or `none`. With several networks: NAME=ADDRESS.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Vec<String>,
    /// A peer to keep connected, besides discovery. With several networks: NAME=ADDRESS.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) add_peer: Vec<String>,
    /// Dial only this peer, and others given like it. With several networks: NAME=ADDRESS.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) connect: Vec<String>,
    /// Where others reach this node. With several networks: NAME=ADDRESS.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) external: Vec<String>,
    #[command(flatten)]
    pub(crate) place: Place,
    /// Where metrics are served, or `none`.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) metrics: Option<String>,
    /// Make blocks.
    #[arg(long)]
    pub(crate) produce: bool,
    /// Connections that are kept up by dialling.
    #[arg(long, value_name = "N")]
    pub(crate) out_peers: Option<u32>,
    /// Connections that are accepted.
    #[arg(long, value_name = "N")]
    pub(crate) max_in_peers: Option<u32>,
    /// Do not look up the network's seed names.
    #[arg(long)]
    pub(crate) no_dns_seed: bool,
    /// Do not ask peers for addresses, and dial none of them.
    #[arg(long)]
    pub(crate) no_discovery: bool,
    /// Record everything that happens to the engine, for `polypeer replay`. With several networks: NAME=FILE.
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Vec<String>,
}

/// What every daemon takes.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// The data folder.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) data_dir: Option<String>,
    /// The configuration.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where the API listens, or `none`.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) api: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Tracker {
    /// Where the tracker accepts connections.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<String>,
    /// How often members are greeted.
    #[arg(long)]
    pub(crate) interval: Option<String>,
    /// The network.
    #[arg(long, value_name = "NAME", default_value = "hello-devnet")]
    pub(crate) network: String,
    /// Where metrics are served, or `none`.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) metrics: Option<String>,
    #[command(flatten)]
    pub(crate) place: Place,
}

/// How a running node is reached.
#[derive(Clone, Debug, Args)]
pub(crate) struct Reach {
    /// The node's API; the one that the data folder names, else 127.0.0.1:7330, when left out.
    #[arg(long, global = true, value_name = "ADDRESS")]
    pub(crate) api: Option<String>,
    /// The node's data folder, with its token.
    #[arg(long, global = true, value_name = "FOLDER")]
    pub(crate) data_dir: Option<PathBuf>,
    /// The file with the token.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// The network; needed where the node has several.
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) network: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Peers {
    #[command(subcommand)]
    pub(crate) act: Option<PeersAct>,
    #[command(flatten)]
    pub(crate) reach: Reach,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PeersAct {
    /// List the peers.
    List,
    /// Keep a peer connected until the node stops.
    Add {
        /// HOST:PORT.
        address: String,
    },
    /// Close a connection, or forget a peer that was to be kept.
    Drop {
        /// The connection's number, or HOST:PORT.
        peer: String,
    },
    /// Refuse an IP address.
    Ban {
        /// The IP address.
        address: std::net::IpAddr,
        /// For how long.
        #[arg(long = "for", value_parser = span, default_value = "1day")]
        time: Duration,
    },
    /// Take a refusal back.
    Unban {
        /// The IP address.
        address: std::net::IpAddr,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Addresses {
    #[command(subcommand)]
    pub(crate) act: Option<AddressesAct>,
    #[command(flatten)]
    pub(crate) reach: Reach,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AddressesAct {
    /// List the address book.
    List,
    /// Write the address book as JSON, one entry a line.
    Export {
        /// Where to; the standard output when left out.
        file: Option<PathBuf>,
    },
    /// Take over the addresses of an exported book. Known ones stay as they are.
    Import {
        /// The exported book. It is checked as a whole before anything is taken.
        file: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Why {
    /// A connection's number, an IP address, or IP:PORT.
    pub(crate) peer: String,
    #[command(flatten)]
    pub(crate) reach: Reach,
}

#[derive(Debug, Args)]
pub(crate) struct Risk {
    /// Say what the score is made of.
    #[arg(long)]
    pub(crate) explain: bool,
    #[command(flatten)]
    pub(crate) reach: Reach,
}

#[derive(Debug, Args)]
pub(crate) struct Events {
    /// Start after the event with this number; 0 for all that are kept. Only new ones when left out.
    #[arg(long)]
    pub(crate) since: Option<u64>,
    /// Stop after this time.
    #[arg(long = "for", value_parser = span)]
    pub(crate) time: Option<Duration>,
    /// Stop after so many events.
    #[arg(long)]
    pub(crate) count: Option<u64>,
    #[command(flatten)]
    pub(crate) reach: Reach,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Tx {
    /// Send one transaction, and print its identifier.
    Send(TxSend),
    /// Send transactions between the public accounts at a steady rate.
    Generate(TxGenerate),
}

#[derive(Debug, Args)]
pub(crate) struct TxSend {
    /// The sender: a file with its Ed25519 seed in hex, or 1 to 16 for a public account.
    #[arg(long)]
    pub(crate) from: String,
    /// The recipient's key in hex, or 1 to 16 for a public account; on BUMO an address too.
    #[arg(long)]
    pub(crate) to: String,
    /// How much.
    #[arg(long)]
    pub(crate) amount: u64,
    /// What the producer of the block gets, 1 when left out; on BUMO the limit of what it may cost, 1000000.
    #[arg(long)]
    pub(crate) fee: Option<u64>,
    /// The number of the sender's earlier transactions; counted when left out.
    #[arg(long)]
    pub(crate) sequence: Option<u64>,
    /// Wait until it is in a block, at most this long.
    #[arg(long, value_parser = span)]
    pub(crate) wait: Option<Duration>,
    #[command(flatten)]
    pub(crate) reach: Reach,
}

#[derive(Debug, Args)]
pub(crate) struct TxGenerate {
    /// Transactions a second.
    #[arg(long, value_parser = rate)]
    pub(crate) rate: f64,
    /// Stop after this time.
    #[arg(long = "for", value_parser = span)]
    pub(crate) time: Option<Duration>,
    /// Stop after so many transactions.
    #[arg(long)]
    pub(crate) count: Option<u64>,
    /// How many of the public accounts send.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u8).range(2..=16))]
    pub(crate) accounts: u8,
    #[command(flatten)]
    pub(crate) reach: Reach,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Keys {
    /// Make a key file that only its owner may read, and print its address. Nothing is written over.
    Generate {
        /// The new file.
        file: PathBuf,
        /// The network, or its protocol.
        #[arg(long, value_name = "NAME", default_value = "bumo")]
        network: String,
        /// What kind of key: ed25519 or sm2, the first when left out.
        #[arg(long, value_name = "NAME")]
        scheme: Option<String>,
    },
    /// Print the address and the public key of a key file.
    Show {
        /// The file.
        file: PathBuf,
        /// The network, or its protocol.
        #[arg(long, value_name = "NAME", default_value = "bumo")]
        network: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// The recording, or the file of a simulation.
    pub(crate) file: PathBuf,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Sim {
    #[command(subcommand)]
    pub(crate) act: Option<SimAct>,
    /// The network; all that are built in, one after another, when left out.
    #[arg(long, value_name = "NAME")]
    pub(crate) network: Option<String>,
    /// What happens; see --list.
    #[arg(long, value_name = "NAME", default_value = "mixed")]
    pub(crate) scenario: String,
    /// Print the scenarios and what must hold in all of them.
    #[arg(long)]
    pub(crate) list: bool,
    /// Nodes.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(4..=10_000))]
    pub(crate) nodes: u16,
    /// Decides everything that chance decides: a number, in decimal or as 0x and hex. Drawn when left out.
    #[arg(long, value_parser = seed)]
    pub(crate) seed: Option<u64>,
    /// Run this many seeds, from --seed on, until one fails.
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) seeds: u64,
    /// Seeds that run at once.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) jobs: u8,
    /// How long it lasts, in virtual time. Then everything is mended, and the nodes get some minutes to agree.
    #[arg(long = "for", value_parser = span, default_value = "3m")]
    pub(crate) time: Duration,
    /// Where the simulation is written. A failing one is written to the working folder when this is left out.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SimAct {
    /// Make a failing simulation smaller.
    Shrink {
        /// The file of the simulation.
        file: PathBuf,
        /// Where the smaller one is written; beside the other when left out.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Runs that are tried at most.
        #[arg(long, value_name = "N", default_value_t = 300)]
        tries: u32,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Print the configuration as it counts.
    Show {
        /// Say where each value comes from.
        #[arg(long)]
        origin: bool,
        /// Only this network's section.
        #[arg(long, value_name = "NAME")]
        network: Option<String>,
        /// The configuration.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Check a configuration.
    Check {
        /// The configuration.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// The configuration, too.
        #[arg(value_name = "FILE", conflicts_with = "config")]
        file: Option<PathBuf>,
    },
    /// Print the JSON Schema of the configuration.
    Schema,
}

fn span(text: &str) -> Result<Duration, String> {
    let span = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if span.is_zero() { Err("a time is more than nothing".into()) } else { Ok(span) }
}

fn seed(text: &str) -> Result<u64, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| {
        let names: Vec<_> = polypeer_sim::SCENARIOS.iter().map(|scenario| scenario.name).collect();
        format!("a seed is a number from 0 to {}; the scenarios are {}", u64::MAX, names.join(", "))
    })
}

fn rate(text: &str) -> Result<f64, String> {
    /// Beyond this the clock's steps, not the node, set the pace.
    const RATE_MAX: f64 = 10_000.0;
    match text.parse::<f64>() {
        Ok(rate) if (0.0..=RATE_MAX).contains(&rate) => Ok(rate),
        _ => Err(format!("a rate is a number from 0 to {RATE_MAX}")),
    }
}
