//! Measures H1: relay fan-out, unique deliveries a second from one hub to 32 peers.

use crate::contest::{Case, Load, Side};
use crate::session::Session;
use crate::wire::Wire;
use anyhow::Result;

/// Peers that receive.
const PEERS: usize = 32;

const SIDES: &[Side] = &[
    Side { name: "AnYa", device: "anya", wire: Wire::Anya, floor: None },
    Side { name: "pea2pea", device: "pea", wire: Wire::Bare, floor: None },
    #[cfg(feature = "gossipsub")]
    Side { name: "gossipsub", device: "gossip", wire: Wire::Gossip, floor: Some(10.0) },
];

pub(crate) fn run(session: &mut Session) -> Result<()> {
    if cfg!(not(feature = "gossipsub")) {
        session.remark("H1 without gossipsub: build with --features gossipsub for it.".to_owned());
    }
    let name = format!("h1 peers={PEERS} payload_bytes=256");
    session.contest(&Case { name, load: Load::Fan { peers: PEERS }, payload: 256 }, SIDES)
}
