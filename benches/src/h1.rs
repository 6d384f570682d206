//! Measures H1: relay fan-out, unique deliveries a second from one hub to 32 peers.

use crate::contest::{Case, Side};
use crate::session::Session;
use crate::wire::Wire;
use anyhow::Result;

/// Peers that receive.
const PEERS: usize = 32;

const SIDES: [Side; 1] = [Side { name: "pea2pea", device: "pea", wire: Wire::Bare, floor: None }];

pub(crate) fn run(session: &mut Session) -> Result<()> {
    let name = format!("h1 peers={PEERS} payload_bytes=256");
    session.contest(&Case { name, load: "fan", job: "hub", payload: 256, peers: PEERS }, &SIDES)
}
