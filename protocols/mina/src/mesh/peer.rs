//! Keeps what is about one peer.

use super::border::{About, Version};
use super::topic::TopicSet;
use crate::keys::PeerId;
use polypeer_engine::Direction;

/// A peer whose connection is ready.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) id: PeerId,
    pub(super) direction: Direction,
    pub(super) is_direct: bool,
    /// What our stream to it speaks, while it is open.
    pub(super) stream: Option<Version>,
    /// What it says that it follows.
    pub(super) said: TopicSet,
    /// What of this counts: its highest generation.
    pub(super) follows: TopicSet,
    /// What it grafted us for before we could answer.
    pub(super) grafted_early: TopicSet,
    /// How many of the messages that are being judged it brought first.
    pub(super) judging: usize,
    pub(super) beat: Beat,
}

/// What a peer did since the last heartbeat.
#[derive(Debug, Default)]
pub(super) struct Beat {
    /// Subscriptions and controls.
    pub(super) controls: u32,
    /// Frames with IHAVEs.
    pub(super) ihaves: u32,
    /// Messages that we asked it for.
    pub(super) asked: usize,
    /// Messages that it asked for.
    pub(super) wanted: usize,
    /// Bytes that it got for it.
    pub(super) answered_bytes: usize,
}

impl Peer {
    pub(super) fn new(about: About, is_direct: bool) -> Self {
        Self {
            id: about.id,
            direction: about.direction,
            is_direct,
            stream: None,
            said: TopicSet::default(),
            follows: TopicSet::default(),
            grafted_early: TopicSet::default(),
            judging: 0,
            beat: Beat::default(),
        }
    }

    pub(super) fn is_dialled(&self) -> bool {
        self.direction == Direction::Outbound
    }
}
