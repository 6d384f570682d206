//! Measures H2: one connection, framed messages a second.

use crate::contest::{Case, Load, Side};
use crate::session::Session;
use crate::wire::Wire;
use anyhow::Result;

/// A small message, and a large one for the bytes a second.
const PAYLOADS: [usize; 2] = [256, 64 << 10];

/// From the socket through the engine's step to the protocol's handler, and nothing behind it; ours with all of AnYa
/// and a ledger behind it stands among the others.
const SIDES: [Side; 5] = [
    Side { name: "engine", device: "engine", wire: Wire::Bare, floor: None },
    Side { name: "tokio Framed", device: "framed", wire: Wire::Bare, floor: Some(1.2) },
    Side { name: "pea2pea", device: "pea", wire: Wire::Bare, floor: None },
    Side { name: "raw loopback", device: "raw", wire: Wire::Bare, floor: None },
    Side { name: "AnYa and ledger", device: "anya", wire: Wire::Anya, floor: None },
];

const FRAMERS: [Side; 2] = [
    Side { name: "AnYa framer", device: "anya-framer", wire: Wire::Bare, floor: None },
    Side { name: "length-delimited codec", device: "delimited-framer", wire: Wire::Bare, floor: None },
];

pub(crate) fn run(session: &mut Session) -> Result<()> {
    for payload in PAYLOADS {
        let name = format!("h2 payload_bytes={payload}");
        session.contest(&Case { name, load: Load::Stream, payload }, &SIDES)?;
    }
    let name = "h2 framer alone payload_bytes=256".to_owned();
    session.contest(&Case { name, load: Load::None, payload: 256 }, &FRAMERS)
}
