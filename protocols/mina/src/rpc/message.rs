//! Reads and writes the messages of a stream: handshake, heartbeat, question, answer (Mina spec, section 5.1).
//!
//! | message | bytes behind the length |
//! |---|---|
//! | handshake | a list of numbers: `RPC` as a number, then the versions |
//! | heartbeat | `00` |
//! | question | `01`, tag, version, id, the payload with its length |
//! | answer | `02`, id, `00`, the payload with its length |
//! | error | `02`, id, `01`, [`RpcError`] |

use super::cut::HEAD_BYTES;
use crate::binprot::{BinprotError, Reader, Writer};
use alloc::vec::Vec;
use bytes::Bytes;

/// The first number of a handshake: the letters of `RPC`.
const MAGIC: i64 = 4_411_474;
/// The one version that everybody speaks.
const VERSION: i64 = 1;
/// Versions that a handshake may list.
const VERSIONS_MAX: usize = 16;
/// The longest tag of section 5.3 has 51 bytes.
pub const TAG_BYTES_MAX: usize = 128;
/// How much of what a peer says went wrong is read.
const TEXT_BYTES_MAX: usize = 4 << 10;
/// Parts of an s-expression that are walked over.
const SEXP_PARTS_MAX: usize = 1 << 10;
/// The name of the constructor `Version` as `bin_prot` hashes it, which stands before the version in an error.
const VERSION_NAME: [u8; 4] = [0xf1, 0x1d, 0x86, 0x94];

/// One message but the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Still there.
    Heartbeat,
    /// A question.
    Query(Query<'a>),
    /// What came of one.
    Reply(Reply<'a>),
}

/// A question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query<'a> {
    /// The method's name.
    pub tag: &'a [u8],
    /// The method's version.
    pub version: i64,
    /// By which the answer names it: chosen by who asks.
    pub id: u64,
    /// What is asked.
    pub payload: &'a [u8],
}

/// What came of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply<'a> {
    /// Which.
    pub id: u64,
    /// The answer, or what went wrong.
    pub result: Result<&'a [u8], RpcError<'a>>,
}

/// What can go wrong with a question. Texts are for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RpcError<'a> {
    /// It does not decode.
    BadBytes(&'a [u8]),
    /// The connection is gone.
    Closed,
    /// The answer could not be written.
    Write(&'a [u8]),
    /// The one who should answer failed.
    Uncaught(&'a [u8]),
    /// There is no such method here.
    Unimplemented {
        /// The method's name.
        tag: &'a [u8],
        /// Its version.
        version: i64,
    },
    /// An answer to no question.
    UnknownId(u64),
}

/// The beginning of a reply whose payload comes in pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LongReply {
    /// Which.
    pub id: u64,
    /// Where in the first piece the payload begins.
    pub payload_at: usize,
    /// How long it is in all.
    pub payload_bytes: u64,
}

/// The handshake, as a frame.
pub fn handshake() -> Bytes {
    framed(|writer| {
        writer.nat0(2);
        writer.int(MAGIC);
        writer.int(VERSION);
    })
}

/// A heartbeat, as a frame.
pub fn heartbeat() -> Bytes {
    framed(|writer| writer.byte(0))
}

/// Whether a frame is the handshake of someone who speaks our version.
pub fn is_handshake(frame: &[u8]) -> bool {
    let read = || {
        let mut reader = Reader::new(frame.get(HEAD_BYTES..).unwrap_or_default());
        let count = reader.count(VERSIONS_MAX)?;
        let numbers: Vec<i64> = (0..count).map(|_| reader.int()).collect::<Result<_, BinprotError>>()?;
        reader.end()?;
        Ok::<_, BinprotError>(numbers)
    };
    let numbers = read().unwrap_or_default();
    matches!(numbers.split_first(), Some((&MAGIC, versions)) if versions.contains(&VERSION))
}

impl<'a> Message<'a> {
    /// Reads one from a frame.
    pub fn decode(frame: &'a [u8]) -> Result<Self, BinprotError> {
        Self::read(frame.get(HEAD_BYTES..).unwrap_or_default())
    }

    /// Reads one without its length in front.
    pub fn read(message: &'a [u8]) -> Result<Self, BinprotError> {
        let mut reader = Reader::new(message);
        let message = match reader.byte()? {
            0 => Self::Heartbeat,
            1 => Self::Query(Query {
                tag: reader.string(TAG_BYTES_MAX)?,
                version: reader.int()?,
                id: reader.int()?.cast_unsigned(),
                payload: reader.string(usize::MAX)?,
            }),
            2 => {
                let id = reader.int()?.cast_unsigned();
                let result = match reader.byte()? {
                    0 => Ok(reader.string(usize::MAX)?),
                    1 => Err(RpcError::read(&mut reader)?),
                    _ => return Err(BinprotError::Constructor),
                };
                Self::Reply(Reply { id, result })
            }
            _ => return Err(BinprotError::Constructor),
        };
        reader.end()?;
        Ok(message)
    }

    /// Writes one as a frame.
    pub fn encode(&self) -> Bytes {
        match self {
            Self::Heartbeat => heartbeat(),
            Self::Query(query) => query.encode(),
            Self::Reply(reply) => match reply.result {
                Ok(payload) => answer(reply.id, &[], payload),
                Err(error) => framed(|writer| {
                    reply_head(writer, reply.id, 1);
                    error.write(writer);
                }),
            },
        }
    }
}

impl Query<'_> {
    /// Writes it as a frame.
    pub fn encode(&self) -> Bytes {
        framed(|writer| {
            writer.byte(1);
            writer.string(self.tag);
            writer.int(self.version);
            writer.int(self.id.cast_signed());
            writer.string(self.payload);
        })
    }
}

/// An answer as a frame: what stands before the payload in one piece with it, so that the payload is copied once.
pub(super) fn answer(id: u64, before: &[u8], payload: &[u8]) -> Bytes {
    let mut writer = Writer::with_capacity(HEAD_BYTES + 24 + before.len() + payload.len());
    // Fixed-size numbers would do, but the length in front is of what follows in its shortest form.
    let mut head = Writer::with_capacity(24);
    reply_head(&mut head, id, 0);
    head.nat0((before.len() + payload.len()) as u64);
    let head = head.finish();
    writer.raw(&((head.len() + before.len() + payload.len()) as u64).to_le_bytes());
    writer.raw(&head);
    writer.raw(before);
    writer.raw(payload);
    writer.finish()
}

/// Reads the beginning of a reply of which only the first piece is there. `whole` is how long the message is.
pub(super) fn long_reply(piece: &[u8], whole: usize) -> Result<LongReply, BinprotError> {
    let message = piece.get(HEAD_BYTES..).unwrap_or_default();
    let mut reader = Reader::new(message);
    if reader.byte()? != 2 {
        return Err(BinprotError::Length);
    }
    let id = reader.int()?.cast_unsigned();
    if reader.byte()? != 0 {
        return Err(BinprotError::Length);
    }
    let payload_bytes = reader.nat0()?;
    let payload_at = piece.len() - reader.rest().len();
    let is_right = usize::try_from(payload_bytes).is_ok_and(|bytes| payload_at.checked_add(bytes) == Some(whole));
    if is_right { Ok(LongReply { id, payload_at, payload_bytes }) } else { Err(BinprotError::Length) }
}

impl<'a> RpcError<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, BinprotError> {
        Ok(match reader.byte()? {
            0 => Self::BadBytes(read_sexp(reader)?),
            1 => Self::Closed,
            2 => Self::Write(read_sexp(reader)?),
            3 => Self::Uncaught(read_sexp(reader)?),
            4 => {
                let tag = reader.string(TAG_BYTES_MAX)?;
                // Nodes in OCaml name the constructor; others leave it out.
                if reader.rest().starts_with(&VERSION_NAME) {
                    reader.bytes(VERSION_NAME.len())?;
                }
                Self::Unimplemented { tag, version: reader.int()? }
            }
            5 => Self::UnknownId(reader.int()?.cast_unsigned()),
            _ => return Err(BinprotError::Constructor),
        })
    }

    fn write(&self, writer: &mut Writer) {
        match self {
            Self::BadBytes(text) => write_text(writer, 0, text),
            Self::Closed => writer.byte(1),
            Self::Write(text) => write_text(writer, 2, text),
            Self::Uncaught(text) => write_text(writer, 3, text),
            Self::Unimplemented { tag, version } => {
                writer.byte(4);
                writer.string(tag);
                writer.raw(&VERSION_NAME);
                writer.int(*version);
            }
            Self::UnknownId(id) => {
                writer.byte(5);
                writer.int(id.cast_signed());
            }
        }
    }
}

// An s-expression: `00` and a string, or `01` and a list of them. Its first string says most.
fn read_sexp<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], BinprotError> {
    let (mut open, mut parts, mut first) = (1_usize, 0, None);
    while open > 0 {
        parts += 1;
        if parts > SEXP_PARTS_MAX {
            return Err(BinprotError::TooMany);
        }
        open -= 1;
        match reader.byte()? {
            0 => {
                let text = reader.string(TEXT_BYTES_MAX)?;
                first.get_or_insert(text);
            }
            1 => open += reader.count(SEXP_PARTS_MAX)?,
            _ => return Err(BinprotError::Constructor),
        }
    }
    Ok(first.unwrap_or_default())
}

// An error with an s-expression of one string.
fn write_text(writer: &mut Writer, number: u8, text: &[u8]) {
    writer.byte(number);
    writer.byte(0);
    writer.string(text.get(..TEXT_BYTES_MAX).unwrap_or(text));
}

fn reply_head(writer: &mut Writer, id: u64, result: u8) {
    writer.byte(2);
    writer.int(id.cast_signed());
    writer.byte(result);
}

// A short message behind its length.
fn framed(write: impl FnOnce(&mut Writer)) -> Bytes {
    let mut message = Writer::with_capacity(64);
    write(&mut message);
    let message = message.finish();
    let mut frame = Writer::with_capacity(HEAD_BYTES + message.len());
    frame.raw(&(message.len() as u64).to_le_bytes());
    frame.raw(&message);
    frame.finish()
}
