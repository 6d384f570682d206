//! Stands between a node's engine and its network: the place where an honest engine becomes an attacker.

use bytes::Bytes;
use polypeer_engine::{ChannelId, ConnectionId, Effect, Engine, Now, Overflow, P2pAction, Protocol, Random, Time};
use std::time::Duration;

/// What makes a node differ from an honest one. Its engine stays the production one; the switch changes what reaches it
/// and what leaves it. A switch that changes nothing is written in no line.
pub trait Switch<P: Protocol> {
    /// Something is about to be told to the engine. It can be changed; false keeps it from the engine.
    fn hears(&mut self, scene: &mut Scene<'_, P>, action: &mut P2pAction<P::Answer>) -> bool {
        let _ = (scene, action);
        true
    }

    /// The engine wants this done. False leaves it undone. Frames to be sent come to [`Switch::sends`].
    fn does(&mut self, scene: &mut Scene<'_, P>, effect: &Effect<P::Request>) -> bool {
        let _ = (scene, effect);
        true
    }

    /// The engine sends a frame. It goes out only if the switch sends it, now or later, once or often, changed or not.
    fn sends(&mut self, scene: &mut Scene<'_, P>, connection: ConnectionId, frame: Bytes) {
        scene.send(connection, frame);
    }

    /// When [`Switch::wakes`] is to be called, on the world's clock.
    fn next_wake(&self) -> Option<Time> {
        None
    }

    /// Its time has come.
    fn wakes(&mut self, scene: &mut Scene<'_, P>) {
        let _ = scene;
    }
}

/// What a switch sees, and what it can do.
pub struct Scene<'a, P: Protocol> {
    /// The world's time.
    pub now: Time,
    /// The node's own two clocks.
    pub own: Now,
    /// The node's engine, to look at: who its peers are, what its state is.
    pub engine: &'a Engine<P>,
    /// The world's chance.
    pub random: &'a mut Random,
    /// The channel that the frame is for, in [`Switch::sends`]; else the only one of a transport without streams. What is
    /// sent without naming a channel goes there.
    pub channel: ChannelId,
    pub(crate) overflow: Overflow,
    pub(crate) deeds: &'a mut Vec<Deed<P>>,
}

/// What a switch wants done.
pub(crate) enum Deed<P: Protocol> {
    Send { connection: ConnectionId, channel: ChannelId, bytes: Bytes, overflow: Overflow, wait: Duration },
    Act(P2pAction<P::Answer>),
    Vanish(ConnectionId),
}

impl<P: Protocol> Scene<'_, P> {
    /// Sends bytes, whatever they are, past the engine.
    pub fn send(&mut self, connection: ConnectionId, bytes: Bytes) {
        self.send_after(connection, bytes, Duration::ZERO);
    }

    /// Sends bytes when this time has passed, if the connection still stands.
    pub fn send_after(&mut self, connection: ConnectionId, bytes: Bytes, wait: Duration) {
        self.send_on_after(connection, self.channel, bytes, wait);
    }

    /// Sends bytes on a channel, past the engine.
    pub fn send_on(&mut self, connection: ConnectionId, channel: ChannelId, bytes: Bytes) {
        self.send_on_after(connection, channel, bytes, Duration::ZERO);
    }

    /// The same when this time has passed, if the channel still stands.
    pub fn send_on_after(&mut self, connection: ConnectionId, channel: ChannelId, bytes: Bytes, wait: Duration) {
        let overflow = self.overflow;
        self.deeds.push(Deed::Send { connection, channel, bytes, overflow, wait });
    }

    /// Tells the engine something afterwards: dial, ban, broadcast. It does not pass [`Switch::hears`].
    pub fn act(&mut self, action: P2pAction<P::Answer>) {
        self.deeds.push(Deed::Act(action));
    }

    /// Drops a connection without a word: this end is gone, the other believes that it stands.
    pub fn vanish(&mut self, connection: ConnectionId) {
        self.deeds.push(Deed::Vanish(connection));
    }
}
