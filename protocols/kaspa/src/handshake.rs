//! Shakes hands: Version and Verack both ways at once, then Ready both ways (Kaspa spec, section 3).
//!
//! ```text
//!                ┌───────────┐ Version and Verack came,  ┌──────────┐ Ready came  ┌───────┐
//!   connected ──►│ Exchanging │──────────────────────────►│ Accepted │────────────►│ ready │
//!                └───────────┘ and the checks passed      └──────────┘             └───────┘
//! ```
//!
//! Verack says only that a Version came; what accepts a peer is Ready, what refuses it Reject.

use crate::misbehavior::Name;
use crate::wire::{self, Envelope, Kind, NetAddress, Version};
use crate::{Alarm, Cx, Kaspa, Misbehavior, Peer, Ready};
use alloc::boxed::Box;
use alloc::vec::Vec;
use polypeer_engine::{Address, ConnectionId, Overflow, Protocol};

/// The protocol version that we speak.
pub const VERSION: u32 = 11;
/// The oldest that we speak: with it proofs and trusted data come whole (Kaspa spec, section 2.2).
pub const VERSION_MIN: u32 = 10;

/// Messages of a peer that has our Ready and has not said its own; they wait for it, as today's nodes let them (Kaspa
/// spec, section 3.1). None of them is longer than a greeting's frame.
const EARLY_MAX: usize = 8;

/// A handshake under way.
#[derive(Clone, Debug)]
pub enum Greeting {
    /// Version or Verack of the peer's are due. Becomes [`Greeting::Accepted`].
    Exchanging {
        /// Its Version, if it has come.
        theirs: Option<Box<Version>>,
        /// Whether it has our Version.
        has_verack: bool,
        /// Whether its Ready has come already: it said all of its part without waiting.
        is_ready: bool,
    },
    /// It was told that it is accepted, and owes its Ready. Becomes [`Peer::Ready`].
    Accepted {
        /// Its Version.
        theirs: Box<Version>,
        /// What it said meanwhile.
        early: Vec<Envelope>,
    },
}

impl Kaspa {
    /// A connection stands: both sides speak at once.
    pub(crate) fn greet(&mut self, cx: &mut Cx<'_>, connection: ConnectionId) -> Peer {
        cx.peer_alarm(connection, Alarm::Version, cx.time() + self.config.version_timeout);
        let version = self.version(cx);
        cx.send(connection, wire::pack(Kind::Version, &version.encode(), 0, 0), Overflow::Close);
        Peer::Greeting(Greeting::Exchanging { theirs: None, has_verack: false, is_ready: false })
    }

    fn version(&self, cx: &Cx<'_>) -> Version {
        let public = cx.config().external.filter(Address::is_dialable);
        Version {
            protocol_version: VERSION,
            services: 0,
            timestamp: i64::try_from(cx.now().unix_ms).unwrap_or(i64::MAX),
            address: public.map(|address| NetAddress::new(address.ip(), address.port())),
            id: self.id,
            user_agent: self.config.agent.clone(),
            disable_relay_tx: false,
            subnetwork_id: None,
            network: self.config.network.clone(),
        }
    }

    /// A message before Ready. Anything but the three of the handshake is one too early.
    pub(crate) fn on_greeting(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        greeting: Greeting,
        envelope: Envelope,
    ) -> Result<Peer, Misbehavior> {
        let greeting = match (greeting, envelope.kind) {
            (Greeting::Exchanging { theirs: None, has_verack, is_ready }, Kind::Version) => {
                // It says that a Version came, whatever it says.
                cx.send(connection, wire::pack(Kind::Verack, &[], 0, 0), Overflow::Close);
                let theirs = Box::new(Version::decode(&envelope.body)?);
                Greeting::Exchanging { theirs: Some(theirs), has_verack, is_ready }
            }
            (Greeting::Exchanging { theirs, has_verack: false, is_ready }, Kind::Verack) => {
                Greeting::Exchanging { theirs, has_verack: true, is_ready }
            }
            (Greeting::Exchanging { theirs, has_verack, is_ready: false }, Kind::Ready) => {
                Greeting::Exchanging { theirs, has_verack, is_ready: true }
            }
            (Greeting::Accepted { theirs, early }, Kind::Ready) => return self.open(cx, connection, &theirs, early),
            (Greeting::Accepted { theirs, mut early }, kind)
                if !matches!(kind, Kind::Version | Kind::Verack) && early.len() < EARLY_MAX =>
            {
                early.push(envelope);
                return Ok(Peer::Greeting(Greeting::Accepted { theirs, early }));
            }
            (_, kind) => return Err(Misbehavior::NobodyListens(kind)),
        };
        match greeting {
            Greeting::Exchanging { theirs: Some(theirs), has_verack: true, is_ready } => {
                self.accept(cx, connection, theirs, is_ready)
            }
            other => Ok(Peer::Greeting(other)),
        }
    }

    // Both Versions are there: judges the peer's, and says Ready.
    fn accept(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        theirs: Box<Version>,
        is_ready: bool,
    ) -> Result<Peer, Misbehavior> {
        self.judge(cx, connection, &theirs)?;
        cx.cancel_peer_alarm(connection, Alarm::Version);
        cx.send(connection, wire::pack(Kind::Ready, &[], 0, 0), Overflow::Close);
        if is_ready {
            return self.open(cx, connection, &theirs, Vec::new());
        }
        cx.peer_alarm(connection, Alarm::Ready, cx.time() + self.config.ready_timeout);
        Ok(Peer::Greeting(Greeting::Accepted { theirs, early: Vec::new() }))
    }

    // The checks in their order (Kaspa spec, section 3.2); the first two were part of decoding.
    fn judge(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, theirs: &Version) -> Result<(), Misbehavior> {
        if first_with(cx, connection, &theirs.id).is_some() {
            return Err(Misbehavior::Duplicate);
        }
        if theirs.id == self.id {
            cx.met_self_over(connection);
            return Err(Misbehavior::Loopback);
        }
        if theirs.network != self.config.network {
            let (local, remote) = (Name::from(&*self.config.network), Name::from(&*theirs.network));
            return Err(Misbehavior::OtherNetwork { local, remote });
        }
        if theirs.protocol_version < VERSION_MIN {
            return Err(Misbehavior::OldVersion(theirs.protocol_version));
        }
        Ok(())
    }

    // The handshake is complete; what came early has its turn.
    fn open(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        theirs: &Version,
        early: Vec<Envelope>,
    ) -> Result<Peer, Misbehavior> {
        cx.cancel_peer_alarm(connection, Alarm::Ready);
        cx.set_phase(connection, wire::OPEN);
        let secret = cx.random().number();
        let mut ready = Box::new(Ready::new(theirs, cx.now().unix_ms, secret));
        ready.takes_gzip = self.config.compress && cx.ends(connection).is_some_and(|ends| ends.takes_compressed);
        cx.ready(connection, &ready.agent);
        // Two handshakes with one node may have passed at once: the one that was ready first makes room.
        if let Some(first) = first_with(cx, connection, &theirs.id) {
            cx.convict(first, Misbehavior::Duplicate);
        }
        self.meet(cx, connection, &ready);
        self.discover(cx, connection, &mut ready, theirs);
        self.ping_later(cx, connection);
        self.tell_sink(cx, connection, &mut ready);
        for envelope in early {
            self.on_flow(cx, connection, &mut ready, envelope)?;
        }
        Ok(Peer::Ready(ready))
    }

    /// What was due of the handshake did not come.
    pub(crate) fn on_greeting_late(&self, alarm: Alarm) -> Misbehavior {
        let limit = if alarm == Alarm::Ready { self.config.ready_timeout } else { self.config.version_timeout };
        Misbehavior::TimedOut(limit.as_secs())
    }
}

// The other peer that is ready with this id and IP address, if there is one.
fn first_with(cx: &Cx<'_>, connection: ConnectionId, id: &[u8; 16]) -> Option<ConnectionId> {
    let ip = cx.ends(connection)?.remote.ip();
    let is_it = |(other, peer): &(ConnectionId, &Peer)| {
        matches!(peer, Peer::Ready(ready) if ready.id == *id)
            && cx.ends(*other).is_some_and(|ends| ends.remote.ip() == ip)
    };
    cx.peers().find(is_it).map(|(first, _)| first)
}

impl Peer {
    /// The peer, once the handshake is complete.
    pub(crate) fn ready_mut(&mut self) -> Option<&mut Ready> {
        match self {
            Self::Ready(ready) => Some(ready),
            Self::Greeting(_) => None,
        }
    }
}

/// The peer behind a connection, once its handshake is complete.
pub(crate) fn ready_mut<'a, P>(
    cx: &'a mut polypeer_engine::Context<'_, P>,
    connection: ConnectionId,
) -> Option<&'a mut Ready>
where
    P: Protocol<Peer = Peer>,
{
    cx.peer_mut(connection)?.ready_mut()
}
