//! Opens connections: says and hears all that comes before the first stream.
//!
//! ```text
//!   both ──── nonce ────────────────────────────────►  at once
//!   dialler ── header, /noise ──────────────────────►
//!           ◄─ header, /noise ───────────────────────
//!           ── Noise: three messages, to and fro ───►
//!           ── header, the muxer's name, sealed ────►  unless both offered it in Noise
//!           ◄─ header, the muxer's name, sealed ─────
//! ```

use super::Rules;
use super::muxer::Muxer;
use super::noise::{Handshake, NoiseError, Proven};
use super::pnet::{Keystream, NONCE_BYTES};
use super::sealed::{LENGTH_BYTES, Seal};
use super::select::{Answering, Asking, SelectError};
use super::wire::Wire;
use crate::host::Door;
use crate::opening::Opening;
use crate::stream::Stream;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use polypeer_engine::{Ends, Protocol};
use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::time::Duration;
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The only way in which identities are proven.
const SECURITY: &str = "/noise";
/// What is read at one time.
const READ_BYTES: usize = 512;

/// Why no connection came to stand.
#[derive(Debug, Error)]
pub(crate) enum OpenError {
    /// The socket is broken, or was closed.
    #[error("{0}")]
    Socket(#[from] io::Error),
    /// Something took too long.
    #[error("the peer took too long")]
    TooSlow,
    /// More came than anyone needs to say so far.
    #[error("too much before a muxer is agreed on")]
    TooMuch,
    /// There is no agreement, perhaps because the peer has another network's key.
    #[error("{0}")]
    Select(#[from] SelectError),
    /// The peer has not proven who it is.
    #[error("{0}")]
    Noise(#[from] NoiseError),
    /// There is no place for it.
    #[error("no place for a connection whose handshake is not done")]
    NoPlace,
}

/// Opens a connection on a socket that we dialled. It, and the peer's id.
pub(crate) async fn dial(rules: &Rc<Rules>, stream: TcpStream) -> Result<(Muxer, Bytes), OpenError> {
    let mut talk = Talk::begin(rules, stream).await?;
    within(rules, ask(&mut talk, SECURITY)).await?;
    let (seals, proven) = within(rules, talk.prove_as_dialler(rules)).await?;
    let mut talk = Sealed { talk, ours: seals.0, theirs: seals.1, plain: BytesMut::new() };
    if !(rules.net.offers_muxer_early && proven.offers_muxer) {
        within(rules, ask(&mut talk, rules.net.muxer)).await?;
    }
    Ok((talk.finish(rules, true), Bytes::copy_from_slice(&proven.id)))
}

/// Waits for a connection on a socket that was accepted, and hands it to the host.
pub(crate) async fn welcome<P: Protocol>(
    door: &Rc<Door<P>>,
    opening: &Opening,
    rules: &Rc<Rules>,
    stream: TcpStream,
    ends: Ends,
) -> Result<(), OpenError> {
    let (talk, identity) = answer(rules, stream).await?;
    let Ok(pending) = opening.pend(door, ends.remote) else {
        door.enter(|host| host.totals.calls_refused += 1);
        return Err(OpenError::NoPlace);
    };
    let muxer = talk.finish(rules, false);
    door.enter(|host| {
        let id = host.accepted();
        let ends = Ends { identity: Some(identity), ..ends };
        host.adopt(id, Stream::Libp2p(Box::new(muxer)), ends, Some(pending));
    });
    Ok(())
}

/// Answers whoever dialled, up to the muxer.
pub(super) async fn answer(rules: &Rc<Rules>, stream: TcpStream) -> Result<(Sealed, Bytes), OpenError> {
    let mut talk = Talk::begin(rules, stream).await?;
    within(rules, answer_to(&mut talk, SECURITY)).await?;
    let (seals, proven) = within(rules, talk.prove_as_listener(rules)).await?;
    let mut talk = Sealed { talk, ours: seals.0, theirs: seals.1, plain: BytesMut::new() };
    if !(rules.net.offers_muxer_early && proven.offers_muxer) {
        within(rules, answer_to(&mut talk, rules.net.muxer)).await?;
    }
    Ok((talk, Bytes::copy_from_slice(&proven.id)))
}

async fn within<T>(rules: &Rules, work: impl Future<Output = Result<T, OpenError>>) -> Result<T, OpenError> {
    in_time(rules.net.select_time_max, work).await
}

async fn in_time<T>(most: Duration, work: impl Future<Output = Result<T, OpenError>>) -> Result<T, OpenError> {
    timeout(most, work).await.unwrap_or(Err(OpenError::TooSlow))
}

/// What an agreement is reached over.
trait Hearing {
    async fn say(&mut self, bytes: BytesMut) -> Result<(), OpenError>;

    /// Waits for more.
    async fn hear(&mut self) -> Result<(), OpenError>;

    /// What has come and was not taken apart.
    fn heard(&mut self) -> &mut BytesMut;
}

async fn ask(talk: &mut impl Hearing, name: &str) -> Result<(), OpenError> {
    let mut out = BytesMut::new();
    let mut asking = Asking::begin(name, &mut out);
    talk.say(out).await?;
    while !asking.take(name, talk.heard())? {
        talk.hear().await?;
    }
    Ok(())
}

async fn answer_to(talk: &mut impl Hearing, name: &str) -> Result<(), OpenError> {
    let mut answering = Answering::default();
    loop {
        let mut out = BytesMut::new();
        let agreed = answering.take(talk.heard(), &mut out, |text| (text == name.as_bytes()).then_some(()))?;
        if !out.is_empty() {
            talk.say(out).await?;
        }
        if agreed.is_some() {
            return Ok(());
        }
        talk.hear().await?;
    }
}

/// A socket on which both nonces were said.
struct Talk {
    stream: TcpStream,
    ours: Keystream,
    theirs: Keystream,
    // Uncovered, and not taken apart.
    heard: BytesMut,
    left: usize,
}

impl Talk {
    async fn begin(rules: &Rules, mut stream: TcpStream) -> Result<Self, OpenError> {
        let key = &rules.net.network_key;
        let nonce = rules.nonce()?;
        stream.write_all(&nonce).await?;
        let ours = Keystream::new(key, &nonce);
        let mut theirs = [0; NONCE_BYTES];
        in_time(rules.net.nonce_time_max, async {
            stream.read_exact(&mut theirs).await?;
            Ok(())
        })
        .await?;
        let theirs = Keystream::new(key, &theirs);
        Ok(Self { stream, ours, theirs, heard: BytesMut::new(), left: rules.net.early_bytes_max })
    }

    // The next message of Noise, without its length.
    async fn message(&mut self) -> Result<BytesMut, OpenError> {
        loop {
            if let Some(length) = self.heard.first_chunk::<LENGTH_BYTES>() {
                let length = usize::from(u16::from_be_bytes(*length));
                if self.heard.len() >= LENGTH_BYTES + length {
                    self.heard.advance(LENGTH_BYTES);
                    return Ok(self.heard.split_to(length));
                }
            }
            self.hear().await?;
        }
    }

    async fn prove_as_dialler(&mut self, rules: &Rules) -> Result<((Seal, Seal), Proven), OpenError> {
        let mut handshake = Handshake::new(&rules.credentials, true, rules.ephemeral())?;
        let mut out = BytesMut::new();
        handshake.say(b"", &mut out)?;
        self.say(out).await?;
        let payload = handshake.hear(&self.message().await?)?;
        let proven = handshake.judge(&rules.credentials, &payload, rules.net.muxer)?;
        let mut out = BytesMut::new();
        handshake.say(rules.credentials.payload(), &mut out)?;
        self.say(out).await?;
        Ok((handshake.finish()?, proven))
    }

    async fn prove_as_listener(&mut self, rules: &Rules) -> Result<((Seal, Seal), Proven), OpenError> {
        let mut handshake = Handshake::new(&rules.credentials, false, rules.ephemeral())?;
        handshake.hear(&self.message().await?)?;
        let mut out = BytesMut::new();
        handshake.say(rules.credentials.payload(), &mut out)?;
        self.say(out).await?;
        let payload = handshake.hear(&self.message().await?)?;
        let proven = handshake.judge(&rules.credentials, &payload, rules.net.muxer)?;
        Ok((handshake.finish()?, proven))
    }
}

impl Hearing for Talk {
    async fn say(&mut self, mut bytes: BytesMut) -> Result<(), OpenError> {
        self.ours.apply(&mut bytes);
        Ok(self.stream.write_all(&bytes).await?)
    }

    async fn hear(&mut self) -> Result<(), OpenError> {
        if self.left == 0 {
            return Err(OpenError::TooMuch);
        }
        let before = self.heard.len();
        let most = self.left.min(READ_BYTES);
        self.heard.reserve(most);
        let count = self.stream.read_buf(&mut (&mut self.heard).limit(most)).await?;
        if count == 0 {
            return Err(OpenError::Socket(ErrorKind::UnexpectedEof.into()));
        }
        self.left -= count;
        self.theirs.apply(&mut self.heard[before..]);
        Ok(())
    }

    fn heard(&mut self) -> &mut BytesMut {
        &mut self.heard
    }
}

/// A socket on which both ends have proven who they are.
pub(super) struct Sealed {
    talk: Talk,
    ours: Seal,
    theirs: Seal,
    // Opened, and not taken apart.
    plain: BytesMut,
}

impl Hearing for Sealed {
    async fn say(&mut self, mut bytes: BytesMut) -> Result<(), OpenError> {
        let tag = self.ours.seal(&mut bytes).ok_or(NoiseError::Handshake)?;
        let mut out = BytesMut::new();
        // Some dozen bytes.
        out.put_u16((bytes.len() + tag.len()) as u16);
        out.extend_from_slice(&bytes);
        out.extend_from_slice(&tag);
        self.talk.say(out).await
    }

    async fn hear(&mut self) -> Result<(), OpenError> {
        let mut message = self.talk.message().await?;
        let length = self.theirs.open(&mut message).ok_or(NoiseError::Handshake)?;
        self.plain.extend_from_slice(&message[..length]);
        Ok(())
    }

    fn heard(&mut self) -> &mut BytesMut {
        &mut self.plain
    }
}

impl Sealed {
    /// Begins to multiplex.
    pub(super) fn finish(self, rules: &Rc<Rules>, has_dialled: bool) -> Muxer {
        let Self { talk, ours, theirs, plain } = self;
        let Talk { stream, ours: our_stream, theirs: their_stream, heard, .. } = talk;
        let wire = Wire::new(stream, rules.clone(), (our_stream, ours), (their_stream, theirs), &plain, &heard);
        Muxer::new(wire, rules.clone(), has_dialled)
    }
}
