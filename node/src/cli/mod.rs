//! Carries out the commands.

mod addresses;
mod args;
mod ask;
mod config;
mod devnet;
mod exit;
mod follow;
mod generate;
mod keys;
mod replay;
mod run;
mod signals;
mod sim;
mod tables;
mod tx;

use args::{Cli, Command};
use clap::{CommandFactory, Parser};
use exit::{Code, Failure};
use std::io::{self, Write};
use std::process::ExitCode;

/// The name that manual and completions go by.
const NAME: &str = "polypeer";

/// Reads the command line, does what it says, and gives the exit code.
pub fn main() -> ExitCode {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // What a damaged file made the database say comes back as an error, with the file's name.
        if !polypeer_store::disk::is_in_doubt() {
            hook(panic);
        }
    }));
    // Wrong usage is said by clap, with exit code 2.
    let cli = Cli::parse();
    match carry_out(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let text = failure.to_string();
            if !text.is_empty() {
                eprintln!("polypeer: {text}");
            }
            ExitCode::from(failure.code as u8)
        }
    }
}

fn carry_out(cli: Cli) -> Result<(), Failure> {
    let json = cli.json;
    match cli.command {
        Command::Devnet(args) => devnet::devnet(&args, json),
        Command::Run(args) => run::run(&args, json),
        Command::Tracker(args) => run::tracker(&args, json),
        Command::Status(reach) => ask::status(&reach, json),
        Command::Peers(args) => ask::peers(args, json),
        Command::Addresses(args) => addresses::addresses(args, json),
        Command::Bans(reach) => ask::bans(&reach, json),
        Command::Why(args) => ask::why(&args, json),
        Command::Risk(args) => ask::risk(&args, json),
        Command::Events(args) => follow::events(&args, json),
        Command::Tx(args::Tx::Send(args)) => tx::send(&args, json),
        Command::Tx(args::Tx::Generate(args)) => generate::generate(&args, json),
        Command::Keys(act) => keys::keys(&act, json),
        Command::Sim(args) => sim::sim(&args, json),
        Command::Replay(args) => replay::replay(&args.file, json),
        Command::Config(act) => config::config(&act, json),
        Command::Completions { shell } => {
            let mut out = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), NAME, &mut out);
            put(&out)
        }
        Command::Man => {
            let mut out = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut out)?;
            put(&out)
        }
    }
}

// A reader that has seen enough, such as `head`, is no failure.
fn put(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failure::silent(Code::Failed)),
        other => other.map_err(Failure::from),
    }
}

fn put_line(text: &str) -> Result<(), Failure> {
    put(format!("{text}\n").as_bytes())
}

fn put_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    put_line(&serde_json::to_string(value).map_err(|error| Failure::new(error.to_string()))?)
}
