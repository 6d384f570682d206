//! Calls a kaspad: JSON over a WebSocket, one question at a time (Kaspa spec, section 7.4).

use anyhow::{Context, Result, bail};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

/// No answer takes longer, on the slowest machine.
const ANSWER: Duration = Duration::from_secs(60);

struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    last_id: u64,
}

/// A connection to a node's RPC.
pub(crate) struct Rpc {
    socket: Mutex<Socket>,
}

impl Rpc {
    /// Connects.
    pub(crate) async fn connect(address: SocketAddr) -> Result<Self> {
        // All outputs of an address come in one message.
        let config = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
        let (stream, _) = connect_async_with_config(format!("ws://{address}"), Some(config), true).await?;
        Ok(Self { socket: Mutex::new(Socket { stream, last_id: 0 }) })
    }

    /// Asks, and hands back the answer's `params`.
    pub(crate) async fn call(&self, method: &str, params: Value) -> Result<Value> {
        let mut socket = self.socket.lock().await;
        let answer = timeout(ANSWER, socket.exchange(method, params)).await;
        answer.with_context(|| format!("{method}: no answer within {ANSWER:?}"))?.with_context(|| method.to_owned())
    }
}

impl Socket {
    async fn exchange(&mut self, method: &str, params: Value) -> Result<Value> {
        self.last_id += 1;
        let id = self.last_id;
        let request = json!({ "id": id, "method": method, "params": params });
        self.stream.send(Message::text(request.to_string())).await?;
        while let Some(message) = self.stream.next().await {
            let Message::Text(text) = message? else { continue };
            let mut answer: Value = serde_json::from_str(text.as_str())?;
            if answer.get("id").and_then(Value::as_u64) != Some(id) {
                continue;
            }
            if let Some(error) = answer.get("error").filter(|error| !error.is_null()) {
                bail!("{error}");
            }
            return Ok(answer.get_mut("params").map(Value::take).unwrap_or_default());
        }
        bail!("the node closed")
    }
}
