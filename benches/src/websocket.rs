//! Measures WebSockets: echoes beside tokio-tungstenite.

use crate::contest::{Case, Load, Side};
use crate::session::Session;
use crate::wire::Wire;
use anyhow::Result;

/// From the socket up to whoever says each message back, and out again.
const SIDES: [Side; 2] = [
    Side { name: "driver", device: "websocket", wire: Wire::WebSocket, floor: None },
    Side { name: "tokio-tungstenite", device: "tungstenite", wire: Wire::WebSocket, floor: Some(1.0) },
];

/// Connections, messages under way on each, and bytes of a payload: many peers that each wait for their answer, one that
/// sends ahead, and one with large messages. What is under way fits into the sockets.
const CASES: [(usize, usize, usize); 3] = [(100, 1, 256), (1, 256, 256), (1, 2, 64 << 10)];

pub(crate) fn run(session: &mut Session) -> Result<()> {
    for (peers, window, payload) in CASES {
        let name = format!("websocket echo connections={peers} window={window} payload_bytes={payload}");
        session.contest(&Case { name, load: Load::Echo { peers, window }, payload }, &SIDES)?;
    }
    Ok(())
}
