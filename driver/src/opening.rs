//! Opens connections of a network whose transport has a handshake of its own, within limits: nobody holds a socket for
//! long without one, and no address holds many.

use crate::host::Door;
use crate::identity::Identity;
use crate::network::StartError;
use crate::places::{Place, Places};
use crate::stream::Stream;
use crate::tls::Tls;
use crate::{grpc, libp2p, websocket};
use polypeer_engine::{Address, Ends, P2pConfig, Phase, Protocol, Transport};
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Sockets that were accepted and on which no transport stands yet: about 32 KiB each.
const OPENING_MAX: usize = 256;
/// Of them, those of one IP address.
const OPENING_PER_IP_MAX: usize = 16;

/// What a network must know of its transport's handshakes, and those that are on their way.
#[derive(Clone, Debug)]
pub(crate) struct Opening {
    carrier: Carrier,
    time_max: Duration,
    pending_below: Phase,
    spares_loopback: bool,
    opening: Places,
    pending: Places,
}

/// What carries frames over a socket.
#[derive(Clone, Debug)]
enum Carrier {
    Grpc(grpc::Rules),
    WebSocket(Rc<websocket::Rules>),
    Libp2p(Rc<libp2p::Rules>),
}

/// Why there is no place for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoPlace {
    /// This node goes down.
    Draining,
    /// Too many handshakes are not done.
    Full,
}

impl Opening {
    /// Nothing for a network whose transport is TCP alone.
    pub(crate) fn new(
        transport: Transport,
        config: &P2pConfig,
        tls: Option<Tls>,
        identity: Option<&Identity>,
    ) -> Result<Option<Self>, StartError> {
        let (carrier, time_max, pending_below, pending_max, pending_per_ip_max) = match transport {
            Transport::Tcp => return Ok(None),
            Transport::Grpc { path, open_time_max, pending_below, pending_max, pending_per_ip_max } => {
                let rules = grpc::Rules::new(path);
                (Carrier::Grpc(rules), open_time_max, pending_below, pending_max, pending_per_ip_max)
            }
            Transport::WebSocket {
                message_bytes_max,
                early_bytes_max,
                open_time_max,
                pending_below,
                pending_max,
                pending_per_ip_max,
            } => {
                let rules = websocket::Rules::new(message_bytes_max, early_bytes_max, tls);
                (Carrier::WebSocket(rules), open_time_max, pending_below, pending_max, pending_per_ip_max)
            }
            Transport::Libp2p(net) => {
                let rules = libp2p::Rules::new(net, identity.ok_or(StartError::NoIdentity)?)?;
                (Carrier::Libp2p(rules), net.open_time_max, net.pending_below, net.pending_max, net.pending_per_ip_max)
            }
        };
        Ok(Some(Self {
            carrier,
            time_max,
            pending_below,
            spares_loopback: config.spare_loopback,
            opening: Places::new(OPENING_MAX, OPENING_PER_IP_MAX),
            pending: Places::new(pending_max, pending_per_ip_max),
        }))
    }

    /// How long whoever is dialled may take to accept, where the transport has an opinion.
    pub(crate) fn connect_time_max(&self) -> Option<Duration> {
        matches!(self.carrier, Carrier::WebSocket(_)).then_some(self.time_max)
    }

    /// A place for a socket on which a transport is to be opened.
    pub(crate) fn place(&self, remote: Address) -> Option<Place> {
        self.opening.take(self.counted(remote))
    }

    /// A place among the connections whose handshake is not done.
    pub(crate) fn pend<P: Protocol>(&self, door: &Door<P>, remote: Address) -> Result<Place, NoPlace> {
        if door.enter(|host| host.is_draining) != Some(false) {
            return Err(NoPlace::Draining);
        }
        self.pending.take(self.counted(remote)).ok_or(NoPlace::Full)
    }

    /// Whether a connection in this phase still is a pending one.
    pub(crate) fn is_pending(&self, phase: Phase) -> bool {
        phase < self.pending_below
    }

    /// Opens the transport on a socket that we dialled: what stands then, and what its ends are. Nothing when the peer
    /// does not want to.
    pub(crate) async fn dial(&self, stream: TcpStream, address: Address, ends: Ends) -> Option<(Stream, Ends)> {
        let dialled = async {
            match &self.carrier {
                Carrier::Grpc(rules) => {
                    let call = grpc::dial(rules, stream, address).await?;
                    // Whoever does not take gzip refuses a call that announces it.
                    Some((Stream::Grpc(Box::new(call)), Ends { takes_compressed: true, ..ends }))
                }
                Carrier::WebSocket(rules) => {
                    let socket = websocket::dial(rules, stream, address).await.ok()?;
                    Some((Stream::WebSocket(Box::new(socket)), ends))
                }
                Carrier::Libp2p(rules) => {
                    let (muxer, identity) = libp2p::dial(rules, stream).await.ok()?;
                    Some((Stream::Libp2p(Box::new(muxer)), Ends { identity: Some(identity), ..ends }))
                }
            }
        };
        timeout(self.time_max, dialled).await.ok()?
    }

    fn counted(&self, remote: Address) -> Option<IpAddr> {
        (!self.spares_loopback || !remote.is_loopback()).then(|| remote.ip())
    }
}

/// Waits until the transport stands on a socket that was accepted, and hands it to the host.
pub(crate) async fn accept<P: Protocol>(
    door: Rc<Door<P>>,
    opening: Opening,
    stream: TcpStream,
    ends: Ends,
    place: Place,
) {
    let welcomed = async {
        match &opening.carrier {
            Carrier::Grpc(rules) => grpc::welcome(&door, &opening, rules, stream, ends).await.is_ok(),
            Carrier::WebSocket(rules) => websocket::welcome(&door, &opening, rules, stream, ends).await.is_ok(),
            Carrier::Libp2p(rules) => libp2p::welcome(&door, &opening, rules, stream, ends).await.is_ok(),
        }
    };
    let is_open = timeout(opening.time_max, welcomed).await.unwrap_or(false);
    drop(place);
    if !is_open {
        door.enter(|host| host.totals.calls_failed += 1);
    }
}
