//! Receives and relays through pea2pea.

use super::Job;
use super::framed::codec;
use crate::control::{self, Look, Ready};
use crate::payload::{Arrivals, Tally};
use crate::wire::HEADER_BYTES;
use anyhow::Result;
use bytes::{Bytes, BytesMut};
use pea2pea::protocols::{Handshake, Reading, Writing};
use pea2pea::{Config, Connection, ConnectionSide, Node, Pea2Pea};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio_util::codec::{BytesCodec, Decoder, LengthDelimitedCodec};

/// Connections that the node takes: thousands idle ones are measured too.
const CONNECTIONS_MAX: u16 = 10_000;

#[derive(Clone)]
struct Device {
    node: Node,
    job: Job,
    /// One source is checked; a lock that nobody contends costs some ten nanoseconds.
    arrivals: Arc<Mutex<Arrivals>>,
    /// Whom to relay to, so that not every message makes a new list.
    peers: Arc<Mutex<Vec<SocketAddr>>>,
}

pub(super) fn run(job: Job) -> Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(serve(job))
}

async fn serve(job: Job) -> Result<()> {
    let config = Config {
        listener_addr: Some(([127, 0, 0, 1], 0).into()),
        listener_backlog: 1024,
        max_connections: CONNECTIONS_MAX,
        max_connections_per_ip: CONNECTIONS_MAX,
        max_connecting: 1024,
        ..Config::default()
    };
    let tally = Arc::new(Tally::default());
    let arrivals = Arc::new(Mutex::new(Arrivals::new(Arc::clone(&tally))));
    let device = Device { node: Node::new(config), job, arrivals, peers: Arc::default() };
    device.enable_handshake().await;
    device.enable_reading().await;
    device.enable_writing().await;
    let address = device.node.toggle_listener().await?;
    let node = device.node.clone();
    let look = move || Look { ready: node.num_connected() as u64, ..Look::with(&tally) };
    control::serve(Ready { address }, look, |_| {})?;
    std::future::pending().await
}

impl Device {
    fn relay(&self, source: SocketAddr, frame: &Bytes) {
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        if peers.len() != self.node.num_connected() {
            *peers = self.node.connected_addrs();
        }
        for peer in peers.iter().filter(|peer| **peer != source) {
            // A full queue shows as a message that never arrives.
            let _ = self.unicast_fast(*peer, frame.clone());
        }
    }
}

impl Pea2Pea for Device {
    fn node(&self) -> &Node {
        &self.node
    }
}

impl Handshake for Device {
    async fn perform_handshake(&self, mut connection: Connection) -> io::Result<Connection> {
        self.borrow_stream(&mut connection).set_nodelay(true)?;
        Ok(connection)
    }
}

/// Cuts frames with tokio's own codec, the header left in place when they are relayed.
struct Cutter(LengthDelimitedCodec);

impl Decoder for Cutter {
    type Item = BytesMut;
    type Error = io::Error;

    fn decode(&mut self, buffer: &mut BytesMut) -> io::Result<Option<BytesMut>> {
        self.0.decode(buffer)
    }
}

impl Reading for Device {
    const MESSAGE_QUEUE_DEPTH: usize = 1024;
    // Its default of 64 KiB is not faster, and 256 KiB would be held by each idle peer.
    const INITIAL_BUFFER_SIZE: usize = 64 << 10;
    const IDLE_TIMEOUT_MS: u64 = 0;
    type Message = BytesMut;
    type Codec = Cutter;

    fn codec(&self, _: SocketAddr, _: ConnectionSide) -> Cutter {
        Cutter(match self.job {
            Job::Sink => codec(),
            Job::Hub => whole_frames(),
        })
    }

    async fn process_message(&self, source: SocketAddr, message: BytesMut) {
        match self.job {
            Job::Sink => self.arrivals.lock().unwrap_or_else(PoisonError::into_inner).take(&message),
            Job::Hub => self.relay(source, &message.freeze()),
        }
    }
}

fn whole_frames() -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder()
        .length_field_offset(32)
        .length_field_length(4)
        .length_adjustment(HEADER_BYTES as isize)
        .num_skip(0)
        .max_frame_length(1 << 20)
        .new_codec()
}

impl Writing for Device {
    // As many as the load lets be under way.
    const MESSAGE_QUEUE_DEPTH: usize = 8192;
    type Message = Bytes;
    type Codec = BytesCodec;

    fn codec(&self, _: SocketAddr, _: ConnectionSide) -> BytesCodec {
        BytesCodec::new()
    }
}
