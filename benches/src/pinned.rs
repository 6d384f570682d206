//! Becomes another program on one CPU.

use crate::place;
use anyhow::Result;
use clap::Args;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// A program and its CPU.
#[derive(Clone, Debug, Args)]
pub(crate) struct Arguments {
    /// The CPU to stay on.
    #[arg(long)]
    cpu: usize,
    /// The program and its arguments.
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

/// Runs the program in this process's place.
pub(crate) fn run(arguments: Arguments) -> Result<()> {
    place::pin(Some(arguments.cpu))?;
    place::raise_file_limit();
    let mut command = arguments.command.into_iter();
    let mut program = Command::new(command.next().unwrap_or_default());
    Err(program.args(command).exec().into())
}
