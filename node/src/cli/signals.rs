//! Hears signals: the first SIGINT or SIGTERM asks for an orderly end, the second ends at once.

use super::exit::Code;
use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The process's signals.
#[derive(Debug)]
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Listens from now on.
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Waits for the next one; the exit code that goes with it.
    pub(super) async fn next(&mut self) -> Code {
        tokio::select! {
            _ = self.interrupt.recv() => Code::Interrupted,
            _ = self.terminate.recv() => Code::Terminated,
        }
    }

    /// From now on the next signal ends the process at once.
    pub(super) fn end_at_once(mut self) {
        tokio::spawn(async move {
            let code = self.next().await;
            std::process::exit(code as i32);
        });
    }
}
