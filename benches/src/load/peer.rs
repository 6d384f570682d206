//! Keeps one connection of a load: reads, checks, answers.

use super::call::Call;
use crate::wire::{Manners, Wire};
use anyhow::Result;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Room for reading: a write of a good sender fits whole.
const READ_BYTES: usize = 64 << 10;

/// With the key of RFC 6455, section 1.3.
const UPGRADE: &[u8] = b"GET / HTTP/1.1\r\nHost: device\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// What carries a connection's bytes.
enum Carrier {
    Tcp(TcpStream),
    Call(Box<Call>),
}

/// A connection to the device.
pub(super) struct Peer {
    carrier: Carrier,
    manners: Manners,
    heard: Vec<u8>,
    out: Vec<u8>,
}

impl Peer {
    /// Connects, and shakes hands where the wire has it so.
    pub(super) async fn connect(to: SocketAddr, wire: Wire) -> Result<Self> {
        let mut stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        let mut out = Vec::new();
        let manners = Manners::new(wire, stream.local_addr()?, &mut out);
        if wire == Wire::WebSocket {
            upgrade(&mut stream).await?;
        }
        let carrier = match wire {
            Wire::Grpc => Carrier::Call(Box::new(Call::open(stream).await?)),
            _ => Carrier::Tcp(stream),
        };
        let mut peer = Self { carrier, manners, heard: Vec::new(), out };
        while !peer.manners.is_ready {
            peer.hear(|_| {}).await?;
        }
        peer.answer().await?;
        Ok(peer)
    }

    /// Reads once and answers; `on_tx` gets the payloads of the transactions that came whole.
    pub(super) async fn hear(&mut self, on_tx: impl FnMut(&[u8])) -> Result<()> {
        self.answer().await?;
        if self.heard.capacity() < READ_BYTES && self.manners.is_ready {
            self.heard.reserve(READ_BYTES);
        }
        let length = match &mut self.carrier {
            Carrier::Tcp(stream) => stream.read_buf(&mut self.heard).await?,
            Carrier::Call(call) => call.read(&mut self.heard).await?,
        };
        anyhow::ensure!(length > 0, "the node closed the connection");
        let used = self.manners.hear(&self.heard, &mut self.out, on_tx)?;
        self.heard.drain(..used);
        self.answer().await
    }

    /// Frees the room for reading, as an idle connection would.
    pub(super) fn rest(&mut self) {
        if self.heard.is_empty() {
            self.heard = Vec::new();
        }
    }

    /// Writes a load's own frames.
    pub(super) async fn write(&mut self, frames: &[u8]) -> Result<()> {
        match &mut self.carrier {
            Carrier::Tcp(stream) => Ok(stream.write_all(frames).await?),
            Carrier::Call(call) => call.write(frames).await,
        }
    }

    async fn answer(&mut self) -> Result<()> {
        if !self.out.is_empty() {
            let out = std::mem::take(&mut self.out);
            self.write(&out).await?;
        }
        Ok(())
    }
}

// Asks for a WebSocket; what follows the answer is messages.
async fn upgrade(stream: &mut TcpStream) -> Result<()> {
    stream.write_all(UPGRADE).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    anyhow::ensure!(head.starts_with(b"HTTP/1.1 101 "), "the device answers {}", String::from_utf8_lossy(&head));
    Ok(())
}
