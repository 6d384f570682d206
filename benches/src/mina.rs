//! Measures Mina: decoding beside binprot.

use crate::contest::{Case, Load, Side};
use crate::session::Session;
use crate::wire::Wire;
use anyhow::Result;

/// What a decoder that copies nothing must be of one that makes structs, although it checks what the other does not.
const FLOOR: f64 = 2.0;

const fn sides(ours: &'static str, theirs: &'static str) -> [Side; 2] {
    [
        Side { name: "wire", device: ours, wire: Wire::Bare, floor: None },
        Side { name: "binprot", device: theirs, wire: Wire::Bare, floor: Some(FLOOR) },
    ]
}

pub(crate) fn run(session: &mut Session) -> Result<()> {
    let cases = [
        ("mina decode header", sides("mina-header", "binprot-header")),
        ("mina decode block", sides("mina-block", "binprot-block")),
    ];
    for (name, sides) in cases {
        session.contest(&Case { name: name.to_owned(), load: Load::None, payload: 0 }, &sides)?;
    }
    Ok(())
}
