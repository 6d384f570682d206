//! Holds every link between honest nodes to its order: what arrives is what was sent, in that order, with gaps only
//! where a queue had no room, and the receiver's framer takes all of it. On the channels of a connection several frames
//! may be sent as one, and each end has its own names for them, so that only the receiver's framer is held to anything.

use crate::world::{NodeId, World};
use polypeer_engine::{BadFrame, ChannelId, ConnectionId, Effect, Ledger, P2pAction, Protocol};
use rapidhash::v3::rapidhash_v3;
use std::collections::{HashMap, VecDeque};

/// One end of a connection.
type End = (usize, ConnectionId);

/// What is under way on all links. Only looked up, never iterated.
#[derive(Debug, Default)]
pub(crate) struct Links {
    // Who is at the other end.
    across: HashMap<End, End>,
    // Digests of the frames on their way to an end.
    coming: HashMap<End, VecDeque<u64>>,
}

impl Links {
    /// Takes note of a step of an honest node; `is_honest` says who else is.
    pub(crate) fn stepped<P, L>(
        &mut self,
        world: &World<P, L>,
        node: NodeId,
        (action, effects): (&P2pAction<P::Answer>, &[Effect<P::Request>]),
        is_honest: impl Fn(usize) -> bool,
    ) -> Result<(), String>
    where
        P: Protocol,
        L: Ledger<Request = P::Request, Answer = P::Answer>,
    {
        match action {
            P2pAction::MessageReceived { connection, channel: ChannelId::ONLY, frame } => {
                self.arrived((node.0, *connection), frame)?;
            }
            // The host's own reasons are not about what is in the frame.
            P2pAction::BadFrame { connection, bad, .. }
                if bad.reason < BadFrame::OVER_BUDGET && self.coming.contains_key(&(node.0, *connection)) =>
            {
                return Err(format!("a frame of an honest node was refused for reason {}", bad.reason));
            }
            P2pAction::Disconnected { connection, .. } => self.gone((node.0, *connection)),
            _ => {}
        }
        for effect in effects {
            let Effect::Send { connection, channel, frame, .. } = effect else { continue };
            let end = (node.0, *connection);
            let find = || {
                let line = world.connections(node).find(|line| line.connection == *connection)?;
                Some((line.other.0, line.theirs?))
            };
            let Some(other) = self.across.get(&end).copied().or_else(find) else { continue };
            self.across.insert(end, other);
            if is_honest(other.0) {
                let coming = self.coming.entry(other).or_default();
                if *channel == ChannelId::ONLY {
                    coming.push_back(rapidhash_v3(frame));
                }
            }
        }
        Ok(())
    }

    /// A node died, and with it its ends.
    pub(crate) fn died(&mut self, node: NodeId) {
        self.across.retain(|end, other| end.0 != node.0 && other.0 != node.0);
        self.coming.retain(|end, _| end.0 != node.0);
    }

    fn arrived(&mut self, end: End, frame: &[u8]) -> Result<(), String> {
        let Some(coming) = self.coming.get_mut(&end) else { return Ok(()) };
        let digest = rapidhash_v3(frame);
        while let Some(sent) = coming.pop_front() {
            if sent == digest {
                return Ok(());
            }
        }
        Err(format!("a frame of {} bytes arrived on connection {} that was not sent there then", frame.len(), end.1))
    }

    fn gone(&mut self, end: End) {
        if let Some(other) = self.across.remove(&end) {
            // What is still under way to it arrives unwatched.
            self.coming.remove(&other);
        }
        self.coming.remove(&end);
    }
}
