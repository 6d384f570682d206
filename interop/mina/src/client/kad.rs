//! Asks by Kademlia (Mina spec, section 2.3).

use super::PATIENCE;
use super::peer::Stream;
use super::protobuf::{all, bytes, fields, framed, number, one, read_varint};
use anyhow::{Context, Result, ensure};

pub(crate) const ADD_PROVIDER: u64 = 2;
pub(crate) const GET_PROVIDERS: u64 = 3;
pub(crate) const FIND_NODE: u64 = 4;

/// An answer: its type, who is nearer, who provides.
pub(crate) struct Answer {
    pub(crate) kind: u64,
    /// Ids, each with how many addresses it has.
    pub(crate) closer: Vec<(Vec<u8>, usize)>,
    pub(crate) providers: usize,
}

/// A question, as a frame.
pub(crate) fn question(kind: u64, key: &[u8]) -> Vec<u8> {
    framed(&[number(1, kind), bytes(2, key)].concat())
}

/// Asks, and reads the answer.
pub(crate) fn ask(stream: &Stream, question: &[u8]) -> Result<Answer> {
    stream.say(question)?;
    let frame = stream.take(PATIENCE, |heard| {
        let (length, rest) = read_varint(heard)?;
        Some(heard.len() - rest.len() + usize::try_from(length).ok()?)
    })?;
    let (_, message) = read_varint(&frame).context("a frame has a length")?;
    let parts = fields(message)?;
    let closer = all(&parts, 8).map(|peer| {
        let peer = fields(peer.bytes())?;
        let id = one(&peer, 1).context("a peer has an id")?.bytes().to_vec();
        ensure!(id.len() == 38, "an id of {} bytes", id.len());
        Ok((id, all(&peer, 2).count()))
    });
    let closer = closer.collect::<Result<Vec<_>>>()?;
    let kind = one(&parts, 1).map_or(0, super::protobuf::Value::number);
    Ok(Answer { kind, closer, providers: all(&parts, 9).count() })
}
