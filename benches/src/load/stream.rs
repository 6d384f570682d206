//! Writes messages on one connection as fast as they are read.

use super::Arguments;
use crate::control::{self, Look, Ready};
use crate::frames::Frames;
use crate::wire::Manners;
use anyhow::{Context, Result};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

#[derive(Default)]
struct Progress {
    may_send: AtomicBool,
    sent: AtomicU64,
    /// Answers that the reader owes; the writer sends them between two batches.
    owed: Mutex<Vec<u8>>,
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let mut stream = TcpStream::connect(arguments.to).context("nobody listens")?;
    stream.set_nodelay(true)?;
    let mut out = Vec::new();
    let mut manners = Manners::new(arguments.wire, stream.local_addr()?, &mut out);
    let mut heard = Vec::new();
    while !manners.is_ready {
        stream.write_all(&out)?;
        out.clear();
        hear(&mut stream, &mut manners, &mut heard, &mut out)?;
    }
    stream.write_all(&out)?;
    let progress = Arc::new(Progress::default());
    listen(stream.try_clone()?, manners, heard, Arc::clone(&progress));
    let (looked, told) = (Arc::clone(&progress), Arc::clone(&progress));
    let writer = thread::current();
    control::serve(
        Ready { address: None },
        move || Look { sent: looked.sent.load(SeqCst), ..Look::now() },
        move |may_send| {
            told.may_send.store(may_send, SeqCst);
            writer.unpark();
        },
    )?;
    write(stream, Frames::new(arguments.wire, arguments.payload), &progress)
}

fn write(mut stream: TcpStream, mut frames: Frames, progress: &Progress) -> Result<()> {
    let mut sent = 0;
    loop {
        let owed = std::mem::take(&mut *progress.owed.lock().unwrap_or_else(PoisonError::into_inner));
        stream.write_all(&owed)?;
        if !progress.may_send.load(SeqCst) {
            thread::park_timeout(Duration::from_millis(20));
            continue;
        }
        // Counted first: whoever hears that all of it has arrived must not have missed some.
        progress.sent.store(sent + frames.count(), SeqCst);
        stream.write_all(frames.stamped(sent, u64::MAX))?;
        sent += frames.count();
    }
}

fn listen(mut stream: TcpStream, mut manners: Manners, mut heard: Vec<u8>, progress: Arc<Progress>) {
    thread::spawn(move || {
        loop {
            let mut out = Vec::new();
            if let Err(wrong) = hear(&mut stream, &mut manners, &mut heard, &mut out) {
                eprintln!("the load's connection ended: {wrong:#}");
                std::process::exit(1);
            }
            progress.owed.lock().unwrap_or_else(PoisonError::into_inner).extend(out);
        }
    });
}

fn hear(stream: &mut TcpStream, manners: &mut Manners, heard: &mut Vec<u8>, out: &mut Vec<u8>) -> Result<()> {
    let mut chunk = [0; 16 << 10];
    let length = stream.read(&mut chunk)?;
    anyhow::ensure!(length > 0, "the node closed the connection");
    heard.extend_from_slice(&chunk[..length]);
    let used = manners.hear(heard, out, |_| {})?;
    heard.drain(..used);
    Ok(())
}
