//! Upgrades HTTP connections to WebSockets: asks where we dialled, answers where we were dialled.
//!
//! ```text
//!   dialler ── GET / HTTP/1.1, upgrade, version 13, key ──► listener
//!           ◄─ 101, accept ───────────────────────────────   frames follow, each way
//!           ◄─ or 400, 426, 431, 503 ─────────────────────   and the end
//! ```
//!
//! The request's path, subprotocols and extensions are not looked at, as the nodes of the one network that needs this do.

use super::socket::Socket;
use super::{Rules, WebSocket};
use crate::host::Door;
use crate::opening::{NoPlace, Opening};
use crate::stream::Stream;
use bytes::{Buf, BytesMut};
use http::header::{
    CONNECTION, CONTENT_LENGTH, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_VERSION, SERVER, UPGRADE, USER_AGENT,
};
use http::{HeaderValue, Response, StatusCode, Uri};
use polypeer_engine::{Address, Ends, Protocol};
use std::io::{self, ErrorKind, Read, Write};
use std::rc::Rc;
use tokio::net::TcpStream;
use tungstenite::client::IntoClientRequest;
use tungstenite::error::ProtocolError;
use tungstenite::handshake::HandshakeError;
use tungstenite::handshake::client::ClientHandshake;
use tungstenite::handshake::machine::TryParse;
use tungstenite::handshake::server::{Request, create_response, write_response};
use tungstenite::protocol::WebSocketConfig;

/// The other side's part of the upgrade. Known nodes' have 185 and 156 bytes.
const HEAD_BYTES_MAX: usize = 8 << 10;
/// What is read of it at one time.
const READ_BYTES: usize = 1 << 10;
const HEAD_END: &[u8] = b"\r\n\r\n";
/// What a request begins with; whoever says something else does not speak HTTP, or not to get a WebSocket.
const METHOD: &[u8] = b"GET ";
const STATUS: &[u8] = b"HTTP/";
/// Nobody decides anything by it. An operator who wonders about a peer finds its name in the log of a proxy.
const NAME: HeaderValue = HeaderValue::from_static(concat!("polypeer/", env!("CARGO_PKG_VERSION")));

/// Opens a WebSocket on a socket that we dialled. An error when the peer does not want one.
pub(crate) async fn dial(rules: &Rc<Rules>, stream: TcpStream, address: Address) -> io::Result<WebSocket> {
    let mut socket = match &rules.tls {
        Some(tls) => Socket::Tls(Box::new(tls.connect(stream).await?)),
        None => Socket::Plain(stream),
    };
    let uri: Uri = format!("ws://{}/", address.socket()).parse().map_err(io::Error::other)?;
    let mut request = uri.into_client_request().map_err(io::Error::other)?;
    request.headers_mut().insert(USER_AGENT, NAME);
    // The library's own buffers, which nothing goes through.
    let config = WebSocketConfig::default().read_buffer_size(0);
    let asking = ClientHandshake::start(Talk::default(), request, Some(config)).map_err(io::Error::other)?;
    let Err(HandshakeError::Interrupted(mut asked)) = asking.handshake() else {
        return Err(ErrorKind::InvalidData.into());
    };
    socket.write_all(&asked.get_mut().get_mut().said).await?;
    let (head, rest) = read_head(&mut socket, STATUS).await?.ok_or(ErrorKind::InvalidData)?;
    asked.get_mut().get_mut().heard = head;
    let Ok((_, response)) = asked.handshake() else {
        return Err(ErrorKind::InvalidData.into());
    };
    // We asked for none, and the library does not look.
    if response.headers().contains_key(SEC_WEBSOCKET_EXTENSIONS) {
        return Err(ErrorKind::InvalidData.into());
    }
    Ok(WebSocket::new(socket, rules.clone(), true, rest))
}

/// Waits for a request on a socket that was accepted, and hands the WebSocket to the host. An error when it was refused.
pub(crate) async fn welcome<P: Protocol>(
    door: &Rc<Door<P>>,
    opening: &Opening,
    rules: &Rc<Rules>,
    stream: TcpStream,
    ends: Ends,
) -> io::Result<()> {
    let mut socket = match &rules.tls {
        Some(tls) => Socket::Tls(Box::new(tls.accept(stream).await?)),
        None => Socket::Plain(stream),
    };
    let Some((head, rest)) = read_head(&mut socket, METHOD).await? else {
        return refuse(door, &mut socket, bare(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)).await;
    };
    let mut response = match judge(&head) {
        Ok(response) => response,
        Err(refusal) => return refuse(door, &mut socket, refusal).await,
    };
    let pending = match opening.pend(door, ends.remote) {
        Ok(place) => place,
        Err(NoPlace::Draining | NoPlace::Full) => {
            return refuse(door, &mut socket, bare(StatusCode::SERVICE_UNAVAILABLE)).await;
        }
    };
    response.headers_mut().insert(SERVER, NAME);
    socket.write_all(&written(&response)).await?;
    let socket = WebSocket::new(socket, rules.clone(), false, rest);
    door.enter(|host| {
        let id = host.accepted();
        host.adopt(id, Stream::WebSocket(Box::new(socket)), ends, Some(pending));
    });
    Ok(())
}

// Reads until the other side has said its part, which begins with `start`. What came behind it, too. Nothing when it is
// too long.
async fn read_head(socket: &mut Socket, start: &[u8]) -> io::Result<Option<(BytesMut, BytesMut)>> {
    let mut read = BytesMut::new();
    let mut looked = 0;
    while read.len() < HEAD_BYTES_MAX {
        let most = READ_BYTES.min(HEAD_BYTES_MAX - read.len());
        if socket.read(&mut read, most).await? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        if !read.iter().zip(start).all(|(read, start)| read == start) {
            return Err(ErrorKind::InvalidData.into());
        }
        if let Some(at) = read[looked..].windows(HEAD_END.len()).position(|window| window == HEAD_END) {
            let head = read.split_to(looked + at + HEAD_END.len());
            return Ok(Some((head, read)));
        }
        looked = read.len().saturating_sub(HEAD_END.len() - 1);
    }
    Ok(None)
}

// The answer to a request: that it is granted, or why not.
fn judge(head: &[u8]) -> Result<Response<()>, Response<()>> {
    let Ok(Some((_, request))) = Request::try_parse(head) else { return Err(bare(StatusCode::BAD_REQUEST)) };
    create_response(&request).map_err(|error| match error {
        tungstenite::Error::Protocol(
            ProtocolError::MissingConnectionUpgradeHeader | ProtocolError::MissingUpgradeWebSocketHeader,
        ) => {
            let mut refusal = bare(StatusCode::UPGRADE_REQUIRED);
            refusal.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
            refusal
        }
        tungstenite::Error::Protocol(ProtocolError::MissingSecWebSocketVersionHeader) => {
            let mut refusal = bare(StatusCode::BAD_REQUEST);
            refusal.headers_mut().insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
            refusal
        }
        _ => bare(StatusCode::BAD_REQUEST),
    })
}

async fn refuse<P: Protocol>(door: &Door<P>, socket: &mut Socket, mut refusal: Response<()>) -> io::Result<()> {
    door.enter(|host| host.totals.calls_refused += 1);
    refusal.headers_mut().insert(SERVER, NAME);
    socket.write_all(&written(&refusal)).await?;
    socket.end().await;
    Err(ErrorKind::PermissionDenied.into())
}

fn bare(status: StatusCode) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = status;
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    response
}

fn written(response: &Response<()>) -> Vec<u8> {
    let mut out = Vec::new();
    // Memory takes it, and all of it is text.
    let _ = write_response(&mut out, response);
    out
}

/// What the library takes for its socket while it asks.
#[derive(Debug, Default)]
struct Talk {
    said: Vec<u8>,
    heard: BytesMut,
}

impl Read for Talk {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.heard.len().min(buffer.len());
        if count == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.heard.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}

impl Write for Talk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.said.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
