//! Talks by tonic, whose client and server stand for everyone who is not us. Messages are bytes.

use crate::toy::{LIMIT, PATH};
use bytes::{Buf, BufMut, Bytes};
use futures_util::stream::{Stream, poll_fn};
use std::net::SocketAddr;
use std::pin::Pin;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Response, Status, Streaming};
use tower::service_fn;

const MESSAGE_BYTES_MAX: usize = 64 << 20;

#[derive(Clone, Copy, Debug, Default)]
struct Raw;

impl Codec for Raw {
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

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

/// One end of a call.
pub(crate) struct Call {
    pub(crate) to: mpsc::Sender<Bytes>,
    pub(crate) from: Streaming<Bytes>,
}

impl Call {
    /// Sends a message as the toy knows it, without the prefix.
    pub(crate) async fn send(&self, letter: u8, payload: &[u8]) {
        let sent = timeout(LIMIT, self.to.send([&[letter], payload].concat().into())).await;
        sent.expect("the node reads").expect("the call stands");
    }

    /// The next message; nothing at the end of the call.
    pub(crate) async fn receive(&mut self) -> Result<Option<(u8, Bytes)>, Status> {
        let message = timeout(LIMIT, self.from.message()).await.expect("the node is silent")?;
        Ok(message.map(|mut message| (message.get_u8(), message)))
    }

    /// The next message, which there is.
    pub(crate) async fn next(&mut self) -> (u8, Bytes) {
        self.receive().await.expect("the call stands").expect("a message")
    }

    pub(crate) async fn ask(&mut self, letter: u8, payload: &[u8]) -> (u8, Bytes) {
        self.send(letter, payload).await;
        self.next().await
    }

    /// Stops sending, and keeps receiving.
    pub(crate) fn half_close(self) -> Streaming<Bytes> {
        self.from
    }
}

/// How tonic's client calls.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    pub(crate) path: &'static str,
    pub(crate) sends: Option<CompressionEncoding>,
    pub(crate) accepts: Option<CompressionEncoding>,
}

pub(crate) const PLAIN: Style = Style { path: PATH, sends: None, accepts: None };
pub(crate) const GZIP: Style =
    Style { path: PATH, sends: Some(CompressionEncoding::Gzip), accepts: Some(CompressionEncoding::Gzip) };

/// Calls, on a connection of its own. The headers of the answer come too.
pub(crate) async fn call(address: SocketAddr, style: Style) -> Result<(Call, Response<()>), Status> {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
    let mut grpc =
        tonic::client::Grpc::new(endpoint.connect().await.map_err(|error| Status::from_error(error.into()))?)
            .max_decoding_message_size(MESSAGE_BYTES_MAX);
    if let Some(encoding) = style.sends {
        grpc = grpc.send_compressed(encoding);
    }
    if let Some(encoding) = style.accepts {
        grpc = grpc.accept_compressed(encoding);
    }
    grpc.ready().await.expect("it connected");
    let (to, outbox) = mpsc::channel(16);
    let path = PathAndQuery::from_static(style.path);
    let answered = timeout(LIMIT, grpc.streaming(Request::new(messages(outbox)), path, Raw)).await;
    let response = answered.expect("headers come at once")?;
    let (metadata, from, extensions) = response.into_parts();
    Ok((Call { to, from }, Response::from_parts(metadata, (), extensions)))
}

fn messages(mut outbox: mpsc::Receiver<Bytes>) -> impl Stream<Item = Bytes> + Send + 'static {
    poll_fn(move |cx| outbox.poll_recv(cx))
}

/// A tonic server: who calls it, one after another.
pub(crate) struct Listener {
    pub(crate) address: SocketAddr,
    pub(crate) calls: mpsc::Receiver<Call>,
    serving: JoinHandle<()>,
}

impl Listener {
    pub(crate) async fn new(takes_gzip: bool) -> Self {
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = socket.local_addr().expect("a socket");
        let (sender, calls) = mpsc::channel(16);
        let service = service_fn(move |request| {
            let sender = sender.clone();
            async move { Ok::<_, std::convert::Infallible>(answer(request, sender, takes_gzip).await) }
        });
        let serving = tokio::spawn(async move {
            Server::builder().serve_with_incoming(service, TcpIncoming::from(socket)).await.expect("it serves");
        });
        Self { address, calls, serving }
    }

    pub(crate) async fn next(&mut self) -> Call {
        timeout(LIMIT, self.calls.recv()).await.expect("nobody calls").expect("it serves")
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

type Body = tonic::body::Body;
type Outgoing = Pin<Box<dyn Stream<Item = Result<Bytes, Status>> + Send>>;

async fn answer(request: http::Request<Body>, calls: mpsc::Sender<Call>, takes_gzip: bool) -> http::Response<Body> {
    if request.uri().path() != PATH {
        return Status::unimplemented("no such method").into_http();
    }
    let talk = service_fn(move |request: Request<Streaming<Bytes>>| {
        let calls = calls.clone();
        async move {
            let (to, mut outbox) = mpsc::channel(16);
            let call = Call { to, from: request.into_inner() };
            calls.send(call).await.map_err(|_| Status::unavailable("the test is over"))?;
            let outgoing: Outgoing = Box::pin(poll_fn(move |cx| outbox.poll_recv(cx).map(|item| item.map(Ok))));
            Ok::<_, Status>(Response::new(outgoing))
        }
    });
    let mut grpc = tonic::server::Grpc::new(Raw).max_decoding_message_size(MESSAGE_BYTES_MAX);
    if takes_gzip {
        grpc = grpc.accept_compressed(CompressionEncoding::Gzip).send_compressed(CompressionEncoding::Gzip);
    }
    grpc.streaming(talk, request).await
}
