//! Opens and makes `KaspadMessage`s: one payload and two ids (Kaspa spec, section 2.1).

use super::frames::{GZIP, IDENTITY, PREFIX_BYTES, SYNCING_BYTES_MAX};
use super::gzip;
use super::proto::{Fields, Writer};
use super::{Kind, WireError};
use alloc::vec::Vec;
use bytes::Bytes;
use polypeer_engine::Frame;

const RESPONSE_ID: u32 = 101;
const REQUEST_ID: u32 = 102;
/// Both ids with their keys, and the payload's key and length, at their longest.
const OVERHEAD_BYTES: usize = 7 + 7 + 2 + 5;

/// One message as it travels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// What the payload is.
    pub kind: Kind,
    /// The payload's own bytes: a slice of the frame's buffer, or of what it inflated to. Who keeps a few of them for
    /// long copies them.
    pub body: Bytes,
    /// On a request: the caller's route id; 0 when no id is wanted back.
    pub request_id: u32,
    /// On a reply: the request's id; 0 when it is none.
    pub response_id: u32,
}

/// Opens a frame as [`super::Frames`] cuts it, of a peer in its last phase.
pub fn unpack(frame: Frame<'_>) -> Result<Envelope, WireError> {
    unpack_within(frame, SYNCING_BYTES_MAX)
}

/// Opens a frame as [`super::Frames`] cuts it. What is compressed inflates to `payload_bytes_max` bytes at most and to
/// no more than its kind has: the phase that limits what comes limits what becomes of it too
/// ([`super::Frames::payload_bytes_max`]).
///
/// The last payload set counts, and one kind twice is the two joined: what protobuf says of a oneof. Nothing of the
/// payload is looked at.
pub fn unpack_within(frame: Frame<'_>, payload_bytes_max: usize) -> Result<Envelope, WireError> {
    let (prefix, payload) = frame.bytes().split_first_chunk::<PREFIX_BYTES>().ok_or(WireError::Prefix)?;
    let [flag, length @ ..] = *prefix;
    if u32::from_be_bytes(length) as usize != payload.len() {
        return Err(WireError::Prefix);
    }
    match flag {
        IDENTITY => open(payload, |body| frame.after(PREFIX_BYTES).share().slice_ref(body)),
        GZIP => {
            let inflated = gzip::inflate(payload, payload_bytes_max)?;
            open(&inflated, |body| inflated.slice_ref(body))
        }
        _ => Err(WireError::Prefix),
    }
}

// `share` makes a slice of the message an owned one.
fn open(message: &[u8], share: impl Fn(&[u8]) -> Bytes) -> Result<Envelope, WireError> {
    let (mut request_id, mut response_id) = (0, 0);
    let mut payload = None;
    let mut joined = Vec::new();
    let mut fields = Fields::of(message);
    while let Some((number, value)) = fields.next()? {
        match (number, Kind::from_number(number)) {
            (RESPONSE_ID, _) => response_id = value.u32()?,
            (REQUEST_ID, _) => request_id = value.u32()?,
            (_, Some(kind)) => {
                let body = value.bytes()?;
                match payload.replace((kind, body)) {
                    Some((earlier, before)) if earlier == kind => join(&mut joined, before, body),
                    _ => joined.clear(),
                }
            }
            _ => {}
        }
    }
    let (kind, body) = payload.ok_or(WireError::NoPayload)?;
    let body = if joined.is_empty() { share(body) } else { joined.into() };
    if body.len() > kind.bytes_max() {
        return Err(WireError::KindTooLarge);
    }
    Ok(Envelope { kind, body, request_id, response_id })
}

// Grows by what came: `before` is in `joined` already unless it is the first.
fn join(joined: &mut Vec<u8>, before: &[u8], body: &[u8]) {
    if joined.is_empty() {
        joined.extend_from_slice(before);
    }
    joined.extend_from_slice(body);
}

/// A whole frame, not compressed, byte for byte as kaspad would write it.
pub fn pack(kind: Kind, body: &[u8], request_id: u32, response_id: u32) -> Bytes {
    let mut writer = Writer::with_capacity(PREFIX_BYTES + OVERHEAD_BYTES + body.len());
    writer.raw(&[0; PREFIX_BYTES]);
    write(&mut writer, kind, body, request_id, response_id);
    finish(writer.finish(), IDENTITY)
}

/// A whole frame, gzip of what [`pack`] has. Worth doing once for all peers that it goes to.
pub fn pack_gzip(kind: Kind, body: &[u8], request_id: u32, response_id: u32) -> Bytes {
    let mut writer = Writer::with_capacity(OVERHEAD_BYTES + body.len());
    write(&mut writer, kind, body, request_id, response_id);
    let mut frame = alloc::vec![0; PREFIX_BYTES];
    gzip::deflate(&writer.finish(), &mut frame);
    finish(frame, GZIP)
}

fn write(writer: &mut Writer, kind: Kind, body: &[u8], request_id: u32, response_id: u32) {
    writer.message(kind.number(), body);
    writer.number(RESPONSE_ID, response_id);
    writer.number(REQUEST_ID, request_id);
}

// Fills in the prefix that was left empty.
fn finish(mut frame: Vec<u8>, flag: u8) -> Bytes {
    let length = frame.len().saturating_sub(PREFIX_BYTES) as u32;
    if let Some(prefix) = frame.first_chunk_mut::<PREFIX_BYTES>() {
        let [a, b, c, d] = length.to_be_bytes();
        *prefix = [flag, a, b, c, d];
    }
    frame.into()
}
