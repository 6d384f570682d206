//! Reads and forgets: what the sockets alone can do.

use crate::control::{self, Look, Ready};
use crate::wire::HEADER_BYTES;
use anyhow::Result;
use std::io::Read;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Room for reading, as all have it.
const BUFFER_BYTES: usize = 256 << 10;

pub(super) fn run(payload_bytes: usize) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let read = Arc::new(AtomicU64::new(0));
    let looked = Arc::clone(&read);
    let address = Some(listener.local_addr()?);
    let look = move || {
        let delivered = looked.load(Relaxed) / (HEADER_BYTES + payload_bytes) as u64;
        Look { ready: 1, delivered, bytes: delivered * payload_bytes as u64, ..Look::now() }
    };
    control::serve(Ready { address }, look, |_| {})?;
    let (mut stream, _) = listener.accept()?;
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            length => read.fetch_add(length as u64, Relaxed),
        };
    }
}
