//! Talks by tokio-tungstenite, whose client and server stand for everyone who is not us.

use crate::toy::LIMIT;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

/// Its own default is 16 MiB a frame.
pub(crate) fn config() -> WebSocketConfig {
    WebSocketConfig::default().max_frame_size(Some(64 << 20)).max_message_size(Some(64 << 20))
}

/// One end of a connection.
pub(crate) struct Talk<S = TcpStream>(pub(crate) WebSocketStream<S>);

/// Asks `address` for a WebSocket.
pub(crate) async fn open(address: SocketAddr) -> Result<Talk, Error> {
    let socket = TcpStream::connect(address).await.expect("it accepts");
    socket.set_nodelay(true).expect("a socket");
    let url = format!("ws://{address}/");
    let opened = tokio_tungstenite::client_async_with_config(url, socket, Some(config()));
    Ok(Talk(timeout(LIMIT, opened).await.expect("an answer")?.0))
}

/// Waits for a node that dials.
pub(crate) struct Listener(TcpListener);

impl Listener {
    pub(crate) async fn new() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.expect("a free port"))
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0.local_addr().expect("a socket")
    }

    pub(crate) async fn accept(&self) -> Talk {
        let (socket, _) = self.0.accept().await.expect("it dials");
        socket.set_nodelay(true).expect("a socket");
        let opened = tokio_tungstenite::accept_async_with_config(socket, Some(config()));
        Talk(timeout(LIMIT, opened).await.expect("a request").expect("a request that is granted"))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Talk<S> {
    pub(crate) async fn send(&mut self, letter: u8, payload: &[u8]) {
        let message = [&[letter], payload].concat();
        self.0.send(Message::Binary(message.into())).await.expect("the node reads");
    }

    /// Whatever comes next.
    pub(crate) async fn receive(&mut self) -> Option<Result<Message, Error>> {
        timeout(LIMIT, self.0.next()).await.expect("the node is silent")
    }

    /// The next message's letter and payload.
    pub(crate) async fn next(&mut self) -> (u8, Bytes) {
        match self.receive().await.expect("it stands").expect("it stands") {
            Message::Binary(bytes) => (bytes[0], bytes.slice(1..)),
            other => panic!("{other:?} came"),
        }
    }

    pub(crate) async fn ask(&mut self, letter: u8, payload: &[u8]) -> (u8, Bytes) {
        self.send(letter, payload).await;
        self.next().await
    }

    /// What the node's CLOSE says, and that the end follows it.
    pub(crate) async fn closed(&mut self) -> Option<CloseFrame> {
        let Some(Ok(Message::Close(said))) = self.receive().await else { panic!("no CLOSE came") };
        while let Some(more) = self.receive().await {
            assert!(more.is_err(), "{more:?} after CLOSE");
        }
        said
    }
}
