//! Opens calls: asks for one where we dialled, answers one where we were dialled.
//!
//! ```text
//!   dialler ── POST path, application/grpc, gzip ──► listener
//!           ◄─ 200, gzip if asked for ──────────────   at once, before any message
//!           ◄─ or grpc-status 8, 12, or 405, 415 ───   and no call
//! ```

use super::gate::{Gate, Gated, Spare};
use super::{Grpc, SEND_BYTES_MAX, Side};
use crate::host::Door;
use crate::opening::{NoPlace, Opening};
use crate::places::Place;
use crate::stream::Stream;
use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::header::{CONTENT_TYPE, HeaderName, TE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use polypeer_engine::{Address, Ends, Protocol};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use tokio::net::TcpStream;

/// How much a peer may send ahead: what gRPC's nodes commonly allow. The receiver of a call takes it off at once, so
/// it costs no memory; it bounds the speed by a MiB each round trip.
const WINDOW_BYTES: u32 = 1 << 20;
/// One call a connection. Others are refused by HTTP/2.
const CALLS_MAX: u32 = 1;
/// All headers of a request or response, as gRPC's nodes commonly limit them. A call's have 300 bytes.
const HEADERS_BYTES_MAX: u32 = 16 << 10;
/// Calls that were reset and are remembered for a second, so that what is still on its way does no harm.
const RESETS_MAX: usize = 8;
/// Times that a connection may break HTTP/2's rules, or open calls beyond the limit, before it is closed.
const FAULTS_MAX: usize = 32;
/// Bytes that are taken before a call stands: settings and headers, and the first messages behind them.
const OPENING_BYTES_MAX: usize = 64 << 10;

const USER_AGENT_VALUE: &str = concat!("polypeer/", env!("CARGO_PKG_VERSION"));
const GRPC: &str = "application/grpc";
const GZIP: HeaderValue = HeaderValue::from_static("gzip");
const ENCODINGS: HeaderValue = HeaderValue::from_static("gzip,identity");
const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
pub(super) const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// What a network that speaks gRPC must know of calls.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    path: &'static str,
    spare: Spare,
}

impl Rules {
    pub(crate) fn new(path: &'static str) -> Self {
        Self { path, spare: Spare::default() }
    }
}

/// Opens a call on a socket that we dialled. Nothing when the peer does not want one.
pub(crate) async fn dial(rules: &Rules, stream: TcpStream, address: Address) -> Option<Grpc> {
    let gate = Rc::new(Gate::default());
    gate.open(OPENING_BYTES_MAX);
    let handshake = client().handshake::<_, Bytes>(Gated::client(stream, gate.clone(), rules.spare.clone()));
    let (mut requests, mut connection) = handshake.await.ok()?;
    poll_fn(|cx| requests.poll_ready(cx)).await.ok()?;
    let (response, sending) = requests.send_request(request(rules.path, address)?, false).ok()?;
    let response = answered(&mut connection, &gate, response).await?;
    let receiving = opens_call(&response).then(|| response.into_body())?;
    Some(Grpc::new(Side::Client(connection, requests), sending, receiving, gate))
}

fn client() -> h2::client::Builder {
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(WINDOW_BYTES).initial_connection_window_size(WINDOW_BYTES).enable_push(false);
    builder.max_header_list_size(HEADERS_BYTES_MAX).max_send_buffer_size(SEND_BYTES_MAX);
    builder.max_concurrent_reset_streams(RESETS_MAX).max_pending_accept_reset_streams(RESETS_MAX);
    builder.max_local_error_reset_streams(Some(FAULTS_MAX));
    builder
}

fn request(path: &str, address: Address) -> Option<Request<()>> {
    let builder = Request::builder().method(Method::POST).version(Version::HTTP_2);
    let builder = builder.uri(format!("http://{}{path}", address.socket()));
    let builder = builder.header(CONTENT_TYPE, GRPC).header(TE, "trailers").header(USER_AGENT, USER_AGENT_VALUE);
    builder.header(GRPC_ENCODING, GZIP).header(GRPC_ACCEPT_ENCODING, ENCODINGS).body(()).ok()
}

// Waits for the response's headers, driving the connection meanwhile.
async fn answered(
    connection: &mut h2::client::Connection<Gated, Bytes>,
    gate: &Gate,
    mut response: ResponseFuture,
) -> Option<Response<RecvStream>> {
    poll_fn(|cx| {
        let is_over = Pin::new(&mut *connection).poll(cx).is_ready();
        match Pin::new(&mut response).poll(cx) {
            Poll::Ready(response) => Poll::Ready(response.ok()),
            Poll::Pending if is_over || gate.is_starved() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

// Whether messages follow: no error of HTTP's, no status of gRPC's, which would be the end of the call.
fn opens_call(response: &Response<RecvStream>) -> bool {
    let headers = response.headers();
    response.status() == StatusCode::OK
        && is_grpc(headers)
        && !headers.contains_key(GRPC_STATUS)
        && can_inflate(headers)
        && !response.body().is_end_stream()
}

/// Waits for a call on a socket that was accepted, and hands it to the host. It answers requests until one of them is a
/// call: a client that was refused may ask again on the same connection.
pub(crate) async fn welcome<P: Protocol>(
    door: &Rc<Door<P>>,
    opening: &Opening,
    rules: &Rules,
    stream: TcpStream,
    ends: Ends,
) -> Result<(), h2::Error> {
    let gate = Rc::new(Gate::default());
    gate.open(OPENING_BYTES_MAX);
    let mut connection =
        server().handshake::<_, Bytes>(Gated::server(stream, gate.clone(), rules.spare.clone())).await?;
    loop {
        let (request, mut respond) = asked(&mut connection, &gate).await?;
        match judge(&request, rules.path).and_then(|takes_gzip| Ok((takes_gzip, pending(door, opening, &ends)?))) {
            Ok((takes_compressed, pending)) => {
                let sending = respond.send_response(welcoming(takes_compressed), false)?;
                let call = Grpc::new(Side::Server(connection), sending, request.into_body(), gate);
                let ends = Ends { takes_compressed, ..ends };
                door.enter(|host| {
                    let id = host.accepted();
                    host.adopt(id, Stream::Grpc(Box::new(call)), ends, Some(pending));
                });
                return Ok(());
            }
            Err(refusal) => refuse(door, &mut respond, *refusal)?,
        }
    }
}

// Waits for a request. A peer that has sent all that it may and has asked for nothing is not worth waiting for.
async fn asked(
    connection: &mut h2::server::Connection<Gated, Bytes>,
    gate: &Gate,
) -> Result<(Request<RecvStream>, SendResponse<Bytes>), h2::Error> {
    poll_fn(|cx| match connection.poll_accept(cx) {
        Poll::Ready(Some(asked)) => Poll::Ready(asked),
        Poll::Ready(None) => Poll::Ready(Err(Reason::NO_ERROR.into())),
        Poll::Pending if gate.is_starved() => Poll::Ready(Err(Reason::ENHANCE_YOUR_CALM.into())),
        Poll::Pending => Poll::Pending,
    })
    .await
}

fn server() -> h2::server::Builder {
    let mut builder = h2::server::Builder::new();
    builder.initial_window_size(WINDOW_BYTES).initial_connection_window_size(WINDOW_BYTES);
    builder.max_concurrent_streams(CALLS_MAX);
    builder.max_header_list_size(HEADERS_BYTES_MAX).max_send_buffer_size(SEND_BYTES_MAX);
    builder.max_concurrent_reset_streams(RESETS_MAX).max_pending_accept_reset_streams(RESETS_MAX);
    builder.max_local_error_reset_streams(Some(FAULTS_MAX));
    builder
}

type Refusal = Box<Response<()>>;

// Whether the request is for our call: then whether the peer takes gzip.
fn judge(request: &Request<RecvStream>, path: &str) -> Result<bool, Refusal> {
    let headers = request.headers();
    if request.uri().path() != path {
        return Err(status("12", ""));
    }
    if request.method() != Method::POST {
        return Err(bare(StatusCode::METHOD_NOT_ALLOWED));
    }
    if !is_grpc(headers) {
        return Err(bare(StatusCode::UNSUPPORTED_MEDIA_TYPE));
    }
    if !can_inflate(headers) {
        let mut refusal = status("12", "gzip%20and%20identity%20are%20understood");
        refusal.headers_mut().insert(GRPC_ACCEPT_ENCODING, ENCODINGS);
        return Err(refusal);
    }
    Ok(headers.get_all(GRPC_ACCEPT_ENCODING).iter().any(lists_gzip))
}

// A place among the calls whose handshake is not done.
fn pending<P: Protocol>(door: &Rc<Door<P>>, opening: &Opening, ends: &Ends) -> Result<Place, Refusal> {
    opening.pend(door, ends.remote).map_err(|why| match why {
        NoPlace::Draining => status("14", "going%20down"),
        NoPlace::Full => status("8", "too%20many%20pending%20inbound%20handshakes"),
    })
}

fn refuse<P: Protocol>(
    door: &Rc<Door<P>>,
    respond: &mut SendResponse<Bytes>,
    refusal: Response<()>,
) -> Result<(), h2::Error> {
    door.enter(|host| host.totals.calls_refused += 1);
    respond.send_response(refusal, true)?;
    Ok(())
}

fn welcoming(takes_gzip: bool) -> Response<()> {
    let mut response = Response::new(());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(GRPC));
    if takes_gzip {
        response.headers_mut().insert(GRPC_ENCODING, GZIP);
    }
    response
}

// A status of gRPC's, with a message in its percent encoding.
fn status(code: &'static str, message: &'static str) -> Refusal {
    let mut response = Response::new(());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(GRPC));
    response.headers_mut().insert(GRPC_STATUS, HeaderValue::from_static(code));
    if !message.is_empty() {
        response.headers_mut().insert(GRPC_MESSAGE, HeaderValue::from_static(message));
    }
    Box::new(response)
}

fn bare(status: StatusCode) -> Refusal {
    let mut response = Response::new(());
    *response.status_mut() = status;
    Box::new(response)
}

fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(GRPC.as_bytes()))
}

// Whether messages come as they are or with gzip.
fn can_inflate(headers: &HeaderMap) -> bool {
    headers.get(GRPC_ENCODING).is_none_or(|encoding| encoding == "identity" || encoding == GZIP)
}

fn lists_gzip(value: &HeaderValue) -> bool {
    value.as_bytes().split(|byte| *byte == b',').any(|name| name.trim_ascii().eq_ignore_ascii_case(b"gzip"))
}
