//! Carries whole messages over one gRPC stream, whichever side opened it.

use super::wire::{KaspadMessage, Payload};
use anyhow::bail;
use bytes::{Buf, BufMut, Bytes};
use prost::Message;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::client::Grpc;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::{Channel, Endpoint};
use tonic::{Status, Streaming};

/// The one method (Kaspa spec, section 1.1).
pub(super) const PATH: &str = "/protowire.P2P/MessageStream";
/// As kaspad's: 256 MiB (Kaspa spec, section 1.3).
pub(super) const MESSAGE_BYTES_MAX: usize = 256 << 20;
/// On loopback a connection stands at once; a loaded machine may take its time.
const CONNECT: Duration = Duration::from_secs(10);

/// What of gzip a side does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gzip {
    /// Compress what is sent.
    pub(crate) send: bool,
    /// Say that compressed messages are taken.
    pub(crate) accept: bool,
}

impl Gzip {
    /// Both, as kaspad does.
    pub(crate) const BOTH: Self = Self { send: true, accept: true };
    /// Neither.
    pub(crate) const NONE: Self = Self { send: false, accept: false };
}

/// One stream, both directions. Dropping it ends it.
pub(crate) struct Line {
    out: mpsc::UnboundedSender<Bytes>,
    inbound: Streaming<Bytes>,
    // A dialled connection lives as long as its channel.
    _channel: Option<Channel>,
}

/// What came over a line.
#[derive(Debug)]
pub(crate) enum Said {
    /// A message, decoded.
    Message(Box<KaspadMessage>),
    /// Bytes that are no message.
    Garbage,
    /// The end, with what the library made of it.
    End(String),
}

impl Line {
    pub(super) fn new(out: mpsc::UnboundedSender<Bytes>, inbound: Streaming<Bytes>, channel: Option<Channel>) -> Self {
        Self { out, inbound, _channel: channel }
    }

    /// Queues bytes as they are. What cannot be sent any more shows when it is read on.
    pub(crate) fn send_raw(&self, bytes: Bytes) {
        let _ = self.out.send(bytes);
    }

    /// Queues a message.
    pub(crate) fn send_message(&self, message: &KaspadMessage) {
        self.send_raw(message.encode_to_vec().into());
    }

    /// Queues a payload without ids.
    pub(crate) fn send(&self, payload: Payload) {
        self.send_message(&payload.into());
    }

    /// Waits for what comes next.
    pub(crate) async fn read(&mut self) -> Said {
        match self.read_bytes().await {
            Ok(bytes) => match KaspadMessage::decode(bytes) {
                Ok(message) => Said::Message(Box::new(message)),
                Err(_) => Said::Garbage,
            },
            Err(end) => Said::End(end.to_string()),
        }
    }

    /// Waits for what comes next, as it is; the end is an error.
    pub(crate) async fn read_bytes(&mut self) -> anyhow::Result<Bytes> {
        match self.inbound.message().await {
            Ok(Some(bytes)) => Ok(bytes),
            Ok(None) => bail!("finished"),
            Err(status) => bail!("{:?}: {}", status.code(), status.message()),
        }
    }
}

/// Opens a stream; the status is gRPC's refusal.
pub(crate) async fn dial(address: SocketAddr, gzip: Gzip) -> Result<Line, Status> {
    let endpoint =
        Endpoint::from_shared(format!("http://{address}")).map_err(|error| Status::from_error(error.into()))?;
    let endpoint = endpoint.tcp_nodelay(true).connect_timeout(CONNECT);
    let channel = endpoint.connect().await.map_err(|error| Status::from_error(error.into()))?;
    let mut grpc = Grpc::new(channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX);
    if gzip.send {
        grpc = grpc.send_compressed(CompressionEncoding::Gzip);
    }
    if gzip.accept {
        grpc = grpc.accept_compressed(CompressionEncoding::Gzip);
    }
    grpc.ready().await.map_err(|error| Status::from_error(error.into()))?;
    let (out, queue) = mpsc::unbounded_channel();
    let request = tonic::Request::new(UnboundedReceiverStream::new(queue));
    let path = http::uri::PathAndQuery::from_static(PATH);
    let response = grpc.streaming(request, path, Whole).await?;
    Ok(Line::new(out, response.into_inner(), Some(channel)))
}

/// Passes messages through as bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Whole;

impl Codec for Whole {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Whole {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Whole {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}
