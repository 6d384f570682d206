//! Makes a proof canonical that is not.
//!
//! A value holds the proof of the ledger before as bytes, which its proposer chose and a quorum then agreed on. The
//! original reads them in any form and checks what it would have written; whoever took the canonical form only could be
//! put off the chain by one primary (BUMO spec, sections 0 and 7.9).

use super::field::text;
use super::loose::{Fields, Value};
use super::pbft::commits;
use super::proto::{Field as _, Writer};
use super::{DEPTH_MAX, WireError};
use alloc::vec::Vec;
use bytes::Bytes;

/// The canonical bytes of a proof in any form; these themselves, if they are canonical.
pub fn canonical_proof(proof: &Bytes) -> Result<Bytes, WireError> {
    if commits(proof).all(|commit| commit.is_ok()) {
        return Ok(proof.clone());
    }
    let mut writer = Writer::with_capacity(proof.len());
    rewrite(&PROOF, proof, DEPTH_MAX, &mut writer)?;
    Ok(writer.finish())
}

/// The fields of a message, by ascending number.
type Table = [(u8, Shape)];

#[derive(Clone, Copy)]
enum Shape {
    Number,
    Enum,
    Text,
    Bytes,
    One(&'static Table),
    List(&'static Table),
}

use Shape::{Bytes as Raw, Enum, List, Number, One, Text};

static PROOF: [(u8, Shape); 1] = [(1, List(&ENVELOPE))];
static ENVELOPE: [(u8, Shape); 2] = [(1, One(&PBFT)), (2, One(&SIGNATURE))];
static SIGNATURE: [(u8, Shape); 2] = [(1, Text), (2, Raw)];
static PBFT: [(u8, Shape); 9] = [
    (1, Number),
    (2, Enum),
    (3, One(&PRE_PREPARE)),
    (4, One(&VOTE)),
    (5, One(&VOTE)),
    (6, One(&VIEW_CHANGE)),
    (7, One(&NEW_VIEW)),
    (8, One(&RAW_VIEW_CHANGE)),
    (9, Number),
];
static PRE_PREPARE: [(u8, Shape); 5] = [(1, Number), (2, Number), (3, Number), (4, Raw), (5, Raw)];
static VOTE: [(u8, Shape); 4] = [(1, Number), (2, Number), (3, Number), (4, Raw)];
static VIEW_CHANGE: [(u8, Shape); 4] = [(1, Number), (2, Number), (3, Raw), (4, Number)];
static NEW_VIEW: [(u8, Shape); 5] = [(1, Number), (2, Number), (3, Number), (4, List(&ENVELOPE)), (5, One(&ENVELOPE))];
static RAW_VIEW_CHANGE: [(u8, Shape); 2] = [(1, One(&ENVELOPE)), (2, One(&PREPARED_SET))];
static PREPARED_SET: [(u8, Shape); 2] = [(1, One(&ENVELOPE)), (2, List(&ENVELOPE))];

// The last of a number, text or bytes counts; a message that comes more than once is all of them one behind the other. What
// is unknown, or of another form than it has, is left out.
fn rewrite(table: &Table, message: &[u8], depth: u32, writer: &mut Writer) -> Result<(), WireError> {
    for (number, shape) in table {
        let (mut last, mut bytes, mut parts) = (0, &[][..], None::<Vec<u8>>);
        let mut fields = Fields::of(message);
        while let Some((found, value)) = fields.next()? {
            match (shape, value) {
                _ if found != u32::from(*number) => {}
                (Number | Enum, Value::Varint(value)) => last = value as i64,
                (Text, Value::Bytes(value)) => bytes = text(value)?.as_bytes(),
                (Raw, Value::Bytes(value)) => bytes = value,
                (One(_), Value::Bytes(value)) => parts.get_or_insert_default().extend_from_slice(value),
                (List(inner), Value::Bytes(value)) => nested(*number, inner, value, depth, writer)?,
                _ => {}
            }
        }
        match shape {
            Number => last.put(writer, *number),
            Enum => (last as i32).put(writer, *number),
            Text | Raw => bytes.put(writer, *number),
            One(inner) => parts.map_or(Ok(()), |parts| nested(*number, inner, &parts, depth, writer))?,
            List(_) => {}
        }
    }
    Ok(())
}

fn nested(number: u8, table: &Table, message: &[u8], depth: u32, writer: &mut Writer) -> Result<(), WireError> {
    let depth = depth.checked_sub(1).ok_or(WireError::TooDeep)?;
    let mut inner = Writer::with_capacity(message.len());
    rewrite(table, message, depth, &mut inner)?;
    writer.delimited(number, &inner.finish());
    Ok(())
}
