//! Keeps what is about one topic: who is in its mesh, who must wait, how its messages are named.

use super::border::{MessageId, TopicId};
use super::frame;
use super::limits::{BACK_OFF_MAX, BACK_OFFS_MAX, TOPICS_MAX};
use super::settings;
use crate::keys::PeerId;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use blake2b_simd::Params;
use bytes::Bytes;
use core::time::Duration;
use polypeer_engine::{ConnectionId, Time};

/// Bytes of a message's name.
const ID_BYTES: usize = 32;
/// The longest key of the hash; longer topics are hashed themselves.
const KEY_BYTES_MAX: usize = 64;

/// A set of topics, a bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct TopicSet(u16);

const _: () = assert!(TOPICS_MAX <= u16::BITS as usize);

impl TopicSet {
    pub(super) fn has(self, topic: TopicId) -> bool {
        self.0 & Self::bit(topic) != 0
    }

    pub(super) fn set(&mut self, topic: TopicId, is_in: bool) {
        if is_in {
            self.0 |= Self::bit(topic);
        } else {
            self.0 &= !Self::bit(topic);
        }
    }

    fn bit(topic: TopicId) -> u16 {
        1_u16.checked_shl(u32::from(topic.0)).unwrap_or(0)
    }
}

/// One topic of the closed set.
#[derive(Debug)]
pub(super) struct Topic {
    pub(super) name: String,
    pub(super) level: u8,
    hash: Params,
    /// The frame that grafts, the same for all.
    pub(super) graft: Bytes,
    /// Whether we follow it. Otherwise its mesh is empty.
    pub(super) is_joined: bool,
    /// Whom we send to and hear from, sorted. Each has a stream of ours open.
    pub(super) mesh: Vec<ConnectionId>,
    /// Whom we send to while we publish and do not follow, sorted.
    pub(super) fanout: Vec<ConnectionId>,
    /// When they are given up.
    pub(super) fanout_ends: Time,
    pub(super) back_offs: BackOffs,
}

impl Topic {
    pub(super) fn new(settings: &settings::Topic) -> Self {
        let mut hash = Params::new();
        hash.hash_length(ID_BYTES);
        let name = settings.name.as_bytes();
        if name.len() <= KEY_BYTES_MAX {
            hash.key(name);
        } else {
            hash.key(Params::new().hash_length(ID_BYTES).hash(name).as_bytes());
        }
        Self {
            name: settings.name.clone(),
            level: settings.level,
            hash,
            graft: frame::graft(&settings.name),
            is_joined: false,
            mesh: Vec::new(),
            fanout: Vec::new(),
            fanout_ends: Time::ZERO,
            back_offs: BackOffs::default(),
        }
    }

    /// The name of a message with this data.
    pub(super) fn name_of(&self, data: &[u8]) -> MessageId {
        let mut id = [0; ID_BYTES];
        id.copy_from_slice(self.hash.hash(data).as_bytes());
        MessageId(id)
    }

    pub(super) fn has_in_mesh(&self, peer: ConnectionId) -> bool {
        self.mesh.binary_search(&peer).is_ok()
    }

    /// Nobody is sent to any more through this peer.
    pub(super) fn forget(&mut self, peer: ConnectionId) -> bool {
        remove(&mut self.fanout, peer);
        remove(&mut self.mesh, peer)
    }
}

/// Puts a peer into a sorted list. Whether it was not there.
pub(super) fn insert(peers: &mut Vec<ConnectionId>, peer: ConnectionId) -> bool {
    match peers.binary_search(&peer) {
        Ok(_) => false,
        Err(at) => {
            peers.insert(at, peer);
            true
        }
    }
}

/// Takes a peer out of a sorted list. Whether it was there.
pub(super) fn remove(peers: &mut Vec<ConnectionId>, peer: ConnectionId) -> bool {
    peers.binary_search(&peer).map(|at| peers.remove(at)).is_ok()
}

/// Until when a peer and we do not graft each other. By the name of the peer, so that coming back changes nothing.
#[derive(Debug, Default)]
pub(super) struct BackOffs {
    ends: BTreeMap<PeerId, Time>,
}

impl BackOffs {
    /// When the peer's ends, if it has one.
    pub(super) fn end(&self, peer: &PeerId) -> Option<Time> {
        self.ends.get(peer).copied()
    }

    pub(super) fn holds(&self, peer: &PeerId, now: Time) -> bool {
        self.end(peer).is_some_and(|end| now < end)
    }

    /// The peer waits for so long, unless it waits longer already.
    pub(super) fn add(&mut self, peer: PeerId, now: Time, wait: Duration) {
        let end = now + wait.min(BACK_OFF_MAX);
        if self.ends.len() >= BACK_OFFS_MAX && !self.ends.contains_key(&peer) {
            let first = self.ends.iter().min_by_key(|(_, end)| **end).map(|(peer, _)| *peer);
            if let Some(first) = first {
                self.ends.remove(&first);
            }
        }
        let held = self.ends.entry(peer).or_insert(end);
        *held = end.max(*held);
    }

    pub(super) fn drop_ended(&mut self, now: Time) {
        self.ends.retain(|_, end| *end > now);
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }
}
