//! Opens connections: one struct for each message that is awaited, consumed by it (AnYa spec, section 4).
//!
//! ```text
//!   dialler                         acceptor
//!   AwaitAccepted ── connect ─────► AwaitConnect      5 s from the TCP connection, both ways
//!        │        ◄─ connection_accepted ─┘
//!        ▼                                ▼
//!      open                             open          equal from here on
//! ```

use crate::config::ConnectForm;
use crate::misbehavior::Misbehavior;
use crate::wire::{self, DecodeAddress, Kind};
use crate::{Anya, Cx};
use polypeer_engine::kit::chain::ChainFormat;
use polypeer_engine::{Address, Close, ConnectionId, Overflow};

/// The acceptor waits for `connect`.
#[derive(Debug)]
pub struct AwaitConnect;

/// The dialler waits for `connection_accepted`.
#[derive(Debug)]
pub struct AwaitAccepted;

/// The handshake is done.
#[derive(Debug)]
pub(crate) struct Greeted {
    /// The address that the peer calls its own. A claim.
    pub claimed: Address,
}

impl AwaitAccepted {
    /// Greets the acceptor.
    pub(crate) fn greet<F: ChainFormat>(anya: &Anya<F>, cx: &mut Cx<'_, F>, connection: ConnectionId) -> Self {
        let receiver = cx.ends(connection).map(|ends| ends.dialled.unwrap_or(ends.remote));
        if let Some(own) = own_address(cx, connection) {
            let receiver = receiver.filter(|_| anya.config.connect_form == ConnectForm::TwoAddresses);
            cx.send(connection, wire::connect(receiver, own), Overflow::Close);
        }
        Self
    }

    /// The acceptor agreed.
    pub(crate) fn accepted(self, payload: &[u8]) -> Result<Greeted, Misbehavior> {
        let claimed = wire::decode_address(payload).map_err(|why| fault(why, Kind::ConnectionAccepted))?;
        Ok(Greeted { claimed })
    }
}

impl AwaitConnect {
    /// The dialler greets. Nothing when this node met itself; then the connection is closed already.
    pub(crate) fn connect<F: ChainFormat>(
        self,
        cx: &mut Cx<'_, F>,
        connection: ConnectionId,
        payload: &[u8],
    ) -> Result<Option<Greeted>, Misbehavior> {
        let claimed = wire::decode_connect(payload).map_err(|why| fault(why, Kind::Connect))?;
        let Some(own) = own_address(cx, connection) else { return Ok(None) };
        if claimed == own {
            meet_self(cx, connection, own);
            return Ok(None);
        }
        cx.send(connection, wire::frame(Kind::ConnectionAccepted, &wire::address(own)), Overflow::Close);
        Ok(Some(Greeted { claimed }))
    }
}

/// The address that this node gives for itself on a connection (section 3).
pub(crate) fn own_address<F: ChainFormat>(cx: &Cx<'_, F>, connection: ConnectionId) -> Option<Address> {
    let local = cx.ends(connection)?.local;
    let config = cx.config();
    let listening = config.listen.filter(|listen| listen.port() != 0);
    Some(config.external.unwrap_or_else(|| listening.map_or(local, |listen| Address::new(local.ip(), listen.port()))))
}

// Closes without a word, and sees to it that neither the address that we gave nor those that led here are dialled again.
fn meet_self<F: ChainFormat>(cx: &mut Cx<'_, F>, connection: ConnectionId, own: Address) {
    cx.met_self(own);
    cx.met_self_over(connection);
    cx.close(connection, Close::Now, "met itself");
}

fn fault(why: DecodeAddress, kind: Kind) -> Misbehavior {
    match why {
        DecodeAddress::Payload => Misbehavior::GreetingPayload(kind),
        DecodeAddress::Address => Misbehavior::GreetingAddress(kind),
    }
}
