//! Shows what state this node is in, and asks peers that show it (Mina spec, section 2.5): one JSON document on a stream
//! of its own. What a peer says of itself is for people's eyes and nothing else.

use crate::hash::text;
use crate::streams::NODE_STATUS;
use crate::{Alarm, Cx, Mina, Misbehavior, Peer};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use bytes::Bytes;
use core::time::Duration;
use polypeer_engine::{ChannelId, ConnectionId, Overflow};
use serde::{Deserialize, Serialize};

/// Bytes of a document that are read: a quarter of what others read (section 2.5), as each peer may have so many here.
/// The longest part of real ones, the hashes and times of k blocks, has about 40 KB.
const READ_BYTES_MAX: usize = 256 << 10;
/// How long a peer may take over it (section 2.5).
const READ_TIME_MAX: Duration = Duration::from_secs(10);
/// Peers that we show.
const PEERS_MAX: usize = 50;

/// The document, as we write it. Lists of which a relay has nothing are empty.
#[derive(Debug, Serialize)]
struct Shown {
    node_ip_addr: String,
    node_peer_id: String,
    sync_status: &'static str,
    peers: Vec<ShownPeer>,
    block_producers: [(); 0],
    protocol_state_hash: String,
    ban_statuses: [(); 0],
    k_block_hashes_and_timestamps: [(); 0],
    git_commit: &'static str,
    uptime_minutes: u64,
    block_height_opt: Option<u32>,
}

#[derive(Debug, Serialize)]
struct ShownPeer {
    host: String,
    libp2p_port: u16,
    peer_id: String,
}

/// What is read of a peer's.
#[derive(Debug, Deserialize)]
struct Read {
    block_height_opt: Option<u32>,
}

/// What has come of a peer's document.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    bytes: Vec<u8>,
    // Asked once a connection: it is for people, who can wait for the next one.
    was_asked: bool,
}

impl Mina {
    /// Asks a peer that announced it, once.
    pub(crate) fn ask_status(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, peer: &mut Peer) {
        let Some(ready) = peer.ready_mut() else { return };
        let is_new = !core::mem::replace(&mut ready.status.was_asked, true);
        if is_new && ready.about.speaks.has(NODE_STATUS) && self.config.asks_status {
            self.channels.open(cx, connection, NODE_STATUS);
            let late = cx.time() + READ_TIME_MAX;
            cx.peer_alarm(connection, Alarm::Status, late);
        }
    }

    /// Somebody wants to see ours.
    pub(crate) fn show_status(&self, cx: &mut Cx<'_>, connection: ConnectionId, channel: ChannelId) {
        let document = self.status(cx);
        cx.send_on(connection, channel, document, Overflow::Close);
        cx.finish(connection, channel);
    }

    fn status(&self, cx: &mut Cx<'_>) -> Bytes {
        let own = cx.config().external.or(cx.config().listen);
        let peers = self.who_is_here(cx).into_iter().take(PEERS_MAX).filter_map(|(id, addresses)| {
            let address = addresses.first()?;
            Some(ShownPeer { host: address.ip().to_string(), libp2p_port: address.port(), peer_id: id.text() })
        });
        let shown = Shown {
            node_ip_addr: own.map(|own| own.ip().to_string()).unwrap_or_default(),
            node_peer_id: self.config.peer_id.text(),
            sync_status: if self.sync.is_catching_up() { "Catchup" } else { "Synced" },
            peers: peers.collect(),
            block_producers: [],
            protocol_state_hash: self.tip.as_ref().map(|tip| text::state_hash(&tip.hash)).unwrap_or_default(),
            ban_statuses: [],
            k_block_hashes_and_timestamps: [],
            git_commit: "",
            uptime_minutes: cx.time().since(self.started).as_secs() / 60,
            block_height_opt: self.tip.as_ref().map(|tip| tip.length),
        };
        // Texts and numbers can always be written.
        serde_json::to_vec(&shown).unwrap_or_default().into()
    }

    /// A piece of a peer's document.
    pub(crate) fn on_status_piece(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        peer: &mut Peer,
        channel: ChannelId,
        piece: &[u8],
    ) {
        let Some(ready) = peer.ready_mut() else { return };
        if ready.status.bytes.len() + piece.len() <= READ_BYTES_MAX {
            ready.status.bytes.extend_from_slice(piece);
            return;
        }
        ready.status.bytes = Vec::new();
        self.channels.reset(cx, connection, channel);
        cx.slip(connection, Misbehavior::MalformedStatus);
    }

    /// All of it has come.
    pub(crate) fn on_status(&self, cx: &mut Cx<'_>, connection: ConnectionId, peer: &mut Peer) {
        let Some(ready) = peer.ready_mut() else { return };
        cx.cancel_peer_alarm(connection, Alarm::Status);
        let document = core::mem::take(&mut ready.status.bytes);
        match serde_json::from_slice::<Read>(&document) {
            Ok(read) => ready.length = ready.length.max(read.block_height_opt),
            // Nodes that negotiate it and say nothing are known (section 2.1).
            Err(_) if document.is_empty() => {}
            Err(_) => drop(cx.slip(connection, Misbehavior::MalformedStatus)),
        }
    }

    /// It took too long.
    pub(crate) fn on_status_late(&mut self, cx: &mut Cx<'_>, connection: ConnectionId) {
        if let Some(channel) = self.channels.ours(connection, NODE_STATUS) {
            self.channels.reset(cx, connection, channel);
        }
    }
}
