//! Asks and answers over `coda/rpcs/0.0.1` (Mina spec, sections 5.1 to 5.3).

use super::PATIENCE;
use super::binprot::{Reader, int, nat0, string};
use super::peer::{Peer, RPC, Stream};
use anyhow::{Context, Result, bail, ensure};
use std::sync::Arc;
use std::time::Duration;

/// The letters of `RPC` as a number, and the version that everybody speaks.
pub(crate) const HANDSHAKE: [u8; 15] = [7, 0, 0, 0, 0, 0, 0, 0, 2, 0xfd, 0x52, 0x50, 0x43, 0, 1];
/// Still there.
pub(crate) const HEARTBEAT: [u8; 9] = [1, 0, 0, 0, 0, 0, 0, 0, 0];
/// Asks for nothing more.
pub(crate) const UNIT: [u8; 1] = [0];
/// What stands before the version of a method that there is not, as bin_prot hashes the constructor's name: the name of
/// the constructor is `Version`.
pub(crate) const VERSION_NAME: [u8; 4] = [0xf1, 0x1d, 0x86, 0x94];
/// Messages that are no answer and come before one: heartbeats.
const OTHERS_MAX: usize = 64;

/// What someone answers: by tag and payload. Nothing is an error 4.
pub(crate) type Answers = Arc<dyn Fn(&str, &[u8]) -> Option<Vec<u8>> + Send + Sync>;

/// What came of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The answer.
    Value(Vec<u8>),
    /// An error: its number, and what stands behind it.
    Error(u8, Vec<u8>),
}

impl Answer {
    /// The answer, or an error that says which was none.
    pub(crate) fn value(self) -> Result<Vec<u8>> {
        match self {
            Self::Value(value) => Ok(value),
            Self::Error(number, rest) => bail!("error {number}: {}", String::from_utf8_lossy(&rest)),
        }
    }
}

/// A message behind its length.
pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u64).to_le_bytes()[..], message].concat()
}

/// A question, as a frame.
pub(crate) fn query(tag: &str, version: i64, id: i64, payload: &[u8]) -> Vec<u8> {
    framed(&[&[1][..], &string(tag.as_bytes()), &int(version), &int(id), &string(payload)].concat())
}

/// A stream for questions, on which both have shaken hands.
pub(crate) struct Line {
    pub(crate) stream: Stream,
}

impl Line {
    /// Opens one.
    pub(crate) fn open(peer: &Peer) -> Result<Self> {
        let stream = peer.open(RPC)?;
        stream.say(&HANDSHAKE)?;
        let line = Self { stream };
        ensure!(line.message(PATIENCE)? == HANDSHAKE[8..], "the node's first message is no handshake");
        Ok(line)
    }

    /// The next message.
    pub(crate) fn message(&self, limit: Duration) -> Result<Vec<u8>> {
        let frame = self.stream.take(limit, |heard| {
            let length = u64::from_le_bytes(*heard.first_chunk()?);
            usize::try_from(length).ok().map(|length| length.saturating_add(8))
        })?;
        Ok(frame.get(8..).unwrap_or_default().to_vec())
    }

    /// The next answer and its id.
    pub(crate) fn answer(&self) -> Result<(i64, Answer)> {
        for _ in 0..OTHERS_MAX {
            let message = self.message(PATIENCE)?;
            if message == UNIT {
                continue;
            }
            let mut reader = Reader(&message);
            ensure!(reader.byte()? == 2, "the node asks on a stream of ours");
            let id = reader.int()?;
            if reader.byte()? == 1 {
                return Ok((id, Answer::Error(reader.byte()?, reader.0.to_vec())));
            }
            let value = reader.string()?.to_vec();
            reader.end()?;
            return Ok((id, Answer::Value(value)));
        }
        bail!("nothing but heartbeats")
    }

    /// Asks, and waits for the answer.
    pub(crate) fn ask(&self, tag: &str, version: i64, id: i64, payload: &[u8]) -> Result<Answer> {
        self.stream.say(&query(tag, version, id, payload))?;
        let (answered, answer) = self.answer().with_context(|| format!("{tag} {version}"))?;
        ensure!(answered == id, "{tag} is answered under another id");
        Ok(answer)
    }
}

/// Asks on a fresh stream, which then ends, as the reference node does.
pub(crate) fn ask(peer: &Peer, tag: &str, version: i64, payload: &[u8]) -> Result<Answer> {
    let line = Line::open(peer)?;
    let answer = line.ask(tag, version, 7, payload)?;
    line.stream.finish()?;
    Ok(answer)
}

/// Methods with their versions, as a menu lists them.
pub(crate) fn menu(payload: &[u8]) -> Result<Vec<(String, i64)>> {
    let mut reader = Reader(payload);
    let count = reader.nat0()?;
    let entry = |reader: &mut Reader<'_>| Ok((String::from_utf8(reader.string()?.to_vec())?, reader.int()?));
    let menu = (0..count).map(|_| entry(&mut reader)).collect::<Result<Vec<_>>>()?;
    reader.end()?;
    Ok(menu)
}

/// How far the answering of one stream has come.
#[derive(Default)]
pub(crate) struct Served {
    has_greeted: bool,
}

impl Served {
    /// Answers what came; what is not whole stays.
    pub(crate) fn serve(&mut self, heard: &mut Vec<u8>, answers: &Answers) -> Result<Vec<Vec<u8>>> {
        let mut said = Vec::new();
        if !self.has_greeted {
            said.push(HANDSHAKE.to_vec());
            self.has_greeted = true;
        }
        while let Some(head) = heard.first_chunk() {
            let end = usize::try_from(u64::from_le_bytes(*head))?.saturating_add(8);
            if end > heard.len() {
                break;
            }
            let frame: Vec<u8> = heard.drain(..end).collect();
            let mut reader = Reader(&frame[8..]);
            if reader.byte()? != 1 {
                // A handshake or a heartbeat.
                continue;
            }
            let tag = reader.string()?;
            let (version, id) = (reader.int()?, reader.int()?);
            let answer = answers(&String::from_utf8_lossy(tag), reader.string()?);
            said.push(framed(&match answer {
                Some(value) => [&[2][..], &int(id), &[0], &nat0(value.len()), &value].concat(),
                None => [&[2][..], &int(id), &[1, 4], &string(tag), &VERSION_NAME, &int(version)].concat(),
            }));
        }
        Ok(said)
    }
}
