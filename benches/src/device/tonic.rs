//! Receives and sends on through a plain tonic server, whose codec passes bytes through.

use super::Job;
use crate::control::{self, Look, Ready};
use crate::load::CALL_PATH;
use crate::payload::{Arrivals, Tally};
use anyhow::Result;
use bytes::{Buf, BufMut, Bytes};
use std::convert::Infallible;
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::{Grpc, StreamingService};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

/// As ours has it; tonic's own default is no larger.
const WINDOW_BYTES: u32 = 1 << 20;
/// The longest message.
const MESSAGE_BYTES_MAX: usize = 16 << 20;
/// Messages queued for a call: as many as the load lets be under way.
const QUEUE: usize = 8192;

type Peers = Arc<Mutex<Vec<(u64, mpsc::Sender<Bytes>)>>>;

pub(super) fn run(job: Job) -> Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(serve(job))
}

async fn serve(job: Job) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = Some(listener.local_addr()?);
    let device = Device { job, tally: Arc::default(), peers: Arc::default(), calls: Arc::default() };
    let (tally, calls) = (Arc::clone(&device.tally), Arc::clone(&device.calls));
    control::serve(Ready { address }, move || Look { ready: calls.load(Relaxed), ..Look::with(&tally) }, |_| {})?;
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let builder = Server::builder().initial_connection_window_size(WINDOW_BYTES);
    Ok(builder.initial_stream_window_size(WINDOW_BYTES).serve_with_incoming(device, incoming).await?)
}

#[derive(Clone)]
struct Device {
    job: Job,
    tally: Arc<Tally>,
    peers: Peers,
    calls: Arc<AtomicU64>,
}

impl tower::Service<http::Request<Body>> for Device {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let device = self.clone();
        Box::pin(async move {
            if request.uri().path() != CALL_PATH {
                return Ok(Status::unimplemented("no such method").into_http());
            }
            let mut grpc = Grpc::new(Whole).max_decoding_message_size(MESSAGE_BYTES_MAX);
            Ok(grpc.streaming(device, request).await)
        })
    }
}

type Outgoing = Pin<Box<dyn tokio_stream::Stream<Item = Result<Bytes, Status>> + Send>>;

impl StreamingService<Bytes> for Device {
    type Response = Bytes;
    type ResponseStream = Outgoing;
    type Future = std::future::Ready<Result<Response<Outgoing>, Status>>;

    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        let (sender, queue) = mpsc::channel(QUEUE);
        let number = self.calls.fetch_add(1, Relaxed);
        self.peers.lock().unwrap_or_else(PoisonError::into_inner).push((number, sender));
        let (device, inbound) = (self.clone(), request.into_inner());
        tokio::spawn(async move {
            match device.job {
                Job::Sink => device.check(inbound).await,
                Job::Hub => device.relay(number, inbound).await,
            }
        });
        let outgoing: Outgoing = Box::pin(ReceiverStream::new(queue).map(Ok));
        ready(Ok(Response::new(outgoing)))
    }
}

impl Device {
    async fn check(self, mut inbound: Streaming<Bytes>) {
        let mut arrivals = Arrivals::new(self.tally);
        // An end by error shows as messages that never arrive.
        while let Ok(Some(message)) = inbound.message().await {
            arrivals.take(&message);
        }
    }

    async fn relay(self, from: u64, mut inbound: Streaming<Bytes>) {
        while let Ok(Some(message)) = inbound.message().await {
            let peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
            for (_, peer) in peers.iter().filter(|(to, _)| *to != from) {
                // A full queue shows as a message that never arrives.
                let _ = peer.try_send(message.clone());
            }
        }
    }
}

/// Passes messages through as bytes.
#[derive(Clone, Copy, Debug)]
struct Whole;

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
