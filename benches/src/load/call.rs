//! Holds one call of gRPC open, with h2 alone: what it costs the load is the same for every device.

use super::Arguments;
use super::peer::Peer;
use crate::control::{self, Look, Ready};
use crate::frames::Frames;
use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use h2::{RecvStream, SendStream};
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;
use tokio::net::TcpStream;

/// The method that the devices serve.
pub(crate) const PATH: &str = "/bench.Bench/Stream";
/// What the device may send ahead: enough that it never waits.
const WINDOW_BYTES: u32 = 16 << 20;

/// Writes messages on one call as fast as they are taken.
pub(super) fn run(arguments: &Arguments) -> Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(stream(arguments))
}

async fn stream(arguments: &Arguments) -> Result<()> {
    let mut peer = Peer::connect(arguments.to, arguments.wire).await?;
    let (sent, may_send) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let (looked, told) = (Arc::clone(&sent), Arc::clone(&may_send));
    control::serve(
        Ready { address: None },
        move || Look { sent: looked.load(SeqCst), ..Look::now() },
        move |may| told.store(may, SeqCst),
    )?;
    let mut frames = Frames::new(arguments.wire, arguments.payload);
    let mut next = 0;
    loop {
        if !may_send.load(SeqCst) {
            // A word from the harness comes without a wake-up.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        }
        // Counted first: whoever hears that all of it has arrived must not have missed some.
        sent.store(next + frames.count(), SeqCst);
        peer.write(frames.stamped(next, u64::MAX)).await?;
        next += frames.count();
    }
}

/// An open call.
pub(super) struct Call {
    send: SendStream<Bytes>,
    receive: RecvStream,
}

impl Call {
    /// Opens it over a connection.
    pub(super) async fn open(stream: TcpStream) -> Result<Self> {
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(WINDOW_BYTES).initial_connection_window_size(WINDOW_BYTES);
        let uri = format!("http://{}{PATH}", stream.peer_addr()?);
        let (mut requests, connection) = builder.handshake::<_, Bytes>(stream).await?;
        tokio::spawn(async move {
            if let Err(wrong) = connection.await {
                eprintln!("the load's connection ended: {wrong:#}");
                std::process::exit(1);
            }
        });
        let request = http::Request::post(uri).header("content-type", "application/grpc").header("te", "trailers");
        let (response, send) = requests.send_request(request.body(())?, false)?;
        let response = response.await?;
        ensure!(response.status() == 200, "the device answers {response:?}");
        Ok(Self { send, receive: response.into_body() })
    }

    /// Adds what comes next. How many bytes that was.
    pub(super) async fn read(&mut self, heard: &mut Vec<u8>) -> Result<usize> {
        let data = self.receive.data().await.context("the device ended the call")??;
        self.receive.flow_control().release_capacity(data.len())?;
        heard.extend_from_slice(&data);
        Ok(data.len())
    }

    /// Hands all of it over, as the device makes room.
    pub(super) async fn write(&mut self, frames: &[u8]) -> Result<()> {
        let mut left = Bytes::copy_from_slice(frames);
        while !left.is_empty() {
            self.send.reserve_capacity(left.len());
            if self.send.capacity() == 0 {
                poll_fn(|cx| self.send.poll_capacity(cx)).await.context("the device ended the call")??;
            }
            let room = self.send.capacity().min(left.len());
            if room > 0 {
                self.send.send_data(left.split_to(room), false)?;
            }
        }
        Ok(())
    }
}
