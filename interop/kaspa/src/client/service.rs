//! Listens for nodes that dial, one line for each stream.

use super::line::{Gzip, Line, MESSAGE_BYTES_MAX, PATH, Whole};
use anyhow::{Context as _, Result};
use bytes::Bytes;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::body::Body;
use tonic::codec::CompressionEncoding;
use tonic::server::{Grpc, StreamingService};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

/// A port that takes lines. Dropping it closes the port and every line that came over it.
pub(crate) struct Listener {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    lines: mpsc::UnboundedReceiver<Line>,
    task: JoinHandle<()>,
}

impl Listener {
    /// Listens on a free port of loopback.
    pub(crate) async fn open(gzip: Gzip) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (found, lines) = mpsc::unbounded_channel();
        let service = Service { found, gzip };
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let task = tokio::spawn(async move {
            // An end by error is an end: whoever waits for a line learns it from the closed queue.
            let _ = Server::builder().serve_with_incoming(service, incoming).await;
        });
        Ok(Self { address, lines, task })
    }

    /// Waits for the next line.
    pub(crate) async fn accept(&mut self, limit: Duration) -> Result<Line> {
        let line = tokio::time::timeout(limit, self.lines.recv()).await;
        line.with_context(|| format!("nobody dialled within {limit:?}"))?.context("the listener has ended")
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The one method, on its path; any other is unimplemented.
#[derive(Clone)]
struct Service {
    found: mpsc::UnboundedSender<Line>,
    gzip: Gzip,
}

impl tower::Service<http::Request<Body>> for Service {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let (found, gzip) = (self.found.clone(), self.gzip);
        Box::pin(async move {
            if request.uri().path() != PATH {
                return Ok(Status::unimplemented("no such method").into_http());
            }
            let mut grpc = Grpc::new(Whole).max_decoding_message_size(MESSAGE_BYTES_MAX);
            if gzip.send {
                grpc = grpc.send_compressed(CompressionEncoding::Gzip);
            }
            if gzip.accept {
                grpc = grpc.accept_compressed(CompressionEncoding::Gzip);
            }
            Ok(grpc.streaming(Opened { found }, request).await)
        })
    }
}

/// What a request to open a stream becomes.
struct Opened {
    found: mpsc::UnboundedSender<Line>,
}

type Outgoing = Pin<Box<dyn tokio_stream::Stream<Item = Result<Bytes, Status>> + Send>>;

impl StreamingService<Bytes> for Opened {
    type Response = Bytes;
    type ResponseStream = Outgoing;
    type Future = Ready<Result<Response<Outgoing>, Status>>;

    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        let (out, queue) = mpsc::unbounded_channel();
        if self.found.send(Line::new(out, request.into_inner(), None)).is_err() {
            return ready(Err(Status::unavailable("nobody waits here")));
        }
        let outgoing: Outgoing = Box::pin(UnboundedReceiverStream::new(queue).map(Ok));
        ready(Ok(Response::new(outgoing)))
    }
}
