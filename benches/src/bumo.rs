//! Measures BUMO: decoding beside prost.

use crate::contest::{Case, Load, Side};
use crate::session::Session;
use crate::wire::Wire;
use anyhow::Result;

/// What a decoder that copies nothing must be of one that makes structs.
const FLOOR: f64 = 4.0;

const fn sides(ours: &'static str, theirs: &'static str) -> [Side; 2] {
    [
        Side { name: "wire", device: ours, wire: Wire::Bare, floor: None },
        Side { name: "prost", device: theirs, wire: Wire::Bare, floor: Some(FLOOR) },
    ]
}

pub(crate) fn run(session: &mut Session) -> Result<()> {
    let cases = [
        ("bumo decode vote", sides("bumo-vote", "prost-vote")),
        ("bumo decode ledgers=5", sides("bumo-ledgers", "prost-ledgers")),
        ("bumo decode transaction", sides("bumo-transaction", "prost-bumo-transaction")),
    ];
    for (name, sides) in cases {
        session.contest(&Case { name: name.to_owned(), load: Load::None, payload: 0 }, &sides)?;
    }
    Ok(())
}
