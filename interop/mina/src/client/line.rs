//! Carries bytes below the streams: a private network's cipher, multistream-select, Noise (Mina spec, sections 1.2, 1.4).

use super::PATIENCE;
use anyhow::{Context, Result, anyhow, bail, ensure};
use libp2p::PeerId;
use libp2p::identity::{Keypair, PublicKey};
use salsa20::XSalsa20;
use salsa20::cipher::{KeyIvInit, StreamCipher};
use snow::{Builder, HandshakeState, StatelessTransportState};
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

/// The first token of every negotiation.
pub(crate) const HEADER: &str = "/multistream/1.0.0";
/// What streams are carried by.
pub(crate) const MUXER: &str = "/coda/yamux/1.0.0";
/// The only cipher of the network.
pub(crate) const CIPHER: &str = "/noise";
const PATTERN: &str = "Noise_XX_25519_ChaChaPoly_SHA256";
const NONCE_BYTES: usize = 24;
/// The longest message of a handshake: keys, identity and whatever stands behind it.
const HANDSHAKE_BYTES_MAX: usize = 4096;
/// What fits into a Noise message beside its tag, and some less.
const CHUNK_BYTES: usize = 60_000;
const TAG_BYTES: usize = 16;

/// Who it is, and how it speaks.
#[derive(Clone, Debug)]
pub(crate) struct Manner {
    /// The private network's key.
    pub(crate) network_key: [u8; 32],
    /// The secret of the key that it is known by.
    pub(crate) seed: [u8; 32],
    /// Whether the nonce goes out byte by byte, and its last byte in one segment with what follows.
    pub(crate) drips: bool,
    /// What it proposes for a cipher and for a muxer, in order; all but the last are to be refused.
    pub(crate) ciphers: Vec<&'static str>,
    /// As `ciphers`.
    pub(crate) muxers: Vec<&'static str>,
    /// What stands behind its identity in the Noise payload.
    pub(crate) extension: Vec<u8>,
    /// What it says of itself instead of the truth.
    pub(crate) proof: Option<Vec<u8>>,
    /// Where it says that it listens.
    pub(crate) listens: Option<SocketAddr>,
}

impl Manner {
    /// One who keeps the rules.
    pub(crate) fn new(network_key: [u8; 32], seed: [u8; 32]) -> Self {
        let (ciphers, muxers) = (vec![CIPHER], vec![MUXER]);
        Self { network_key, seed, drips: false, ciphers, muxers, extension: Vec::new(), proof: None, listens: None }
    }

    /// Its key.
    pub(crate) fn keypair(&self) -> Result<Keypair> {
        Ok(Keypair::ed25519_from_bytes(self.seed)?)
    }
}

/// Half of a connection: what goes out.
pub(crate) struct Out {
    socket: TcpStream,
    stream: XSalsa20,
    noise: Option<Arc<StatelessTransportState>>,
    said: u64,
    // Said with what comes next, in one segment.
    held: Vec<u8>,
}

/// The other half.
pub(crate) struct In {
    socket: TcpStream,
    stream: XSalsa20,
    noise: Option<Arc<StatelessTransportState>>,
    heard: u64,
    plain: VecDeque<u8>,
}

/// A connection below its streams.
pub(crate) struct Line {
    pub(crate) out: Out,
    pub(crate) input: In,
    /// Who is at the other end, once it is proven.
    pub(crate) peer_id: Option<PeerId>,
}

impl Out {
    /// Says bytes that only the network's key hides.
    pub(crate) fn say_hidden(&mut self, bytes: &[u8]) -> Result<()> {
        let mut hidden = bytes.to_vec();
        self.stream.apply_keystream(&mut hidden);
        let mut out = std::mem::take(&mut self.held);
        out.extend_from_slice(&hidden);
        Ok(self.socket.write_all(&out)?)
    }

    /// Says bytes, sealed once Noise is done.
    pub(crate) fn say(&mut self, bytes: &[u8]) -> Result<()> {
        let Some(noise) = self.noise.clone() else { return self.say_hidden(bytes) };
        let mut out = Vec::with_capacity(bytes.len() + 64);
        for piece in bytes.chunks(CHUNK_BYTES) {
            let mut message = vec![0; piece.len() + TAG_BYTES];
            let length = noise.write_message(self.said, piece, &mut message)?;
            self.said += 1;
            out.extend_from_slice(&u16::try_from(length)?.to_be_bytes());
            out.extend_from_slice(message.get(..length).unwrap_or_default());
        }
        self.say_hidden(&out)
    }
}

impl In {
    fn hear_hidden(&mut self, count: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        self.socket.read_exact(&mut bytes)?;
        self.stream.apply_keystream(&mut bytes);
        Ok(bytes)
    }

    /// The next bytes, opened.
    pub(crate) fn hear(&mut self, count: usize) -> Result<Vec<u8>> {
        let Some(noise) = self.noise.clone() else { return self.hear_hidden(count) };
        while self.plain.len() < count {
            let message = self.message()?;
            let mut plain = vec![0; message.len()];
            let length = noise.read_message(self.heard, &message, &mut plain)?;
            self.heard += 1;
            self.plain.extend(plain.get(..length).unwrap_or_default());
        }
        Ok(self.plain.drain(..count).collect())
    }

    fn message(&mut self) -> Result<Vec<u8>> {
        let length = self.hear_hidden(2)?;
        self.hear_hidden(usize::from(u16::from_be_bytes([length[0], length[1]])))
    }

    fn token(&mut self) -> Result<String> {
        let length = usize::from(self.hear(1)?[0]);
        ensure!((1..128).contains(&length), "{length} is no length of a token");
        let text = self.hear(length)?;
        Ok(String::from_utf8_lossy(text.strip_suffix(b"\n").context("a token ends with a new line")?).into_owned())
    }

    /// No read ends by time any more: a thread waits there.
    pub(crate) fn wait_for_ever(&self) -> Result<()> {
        Ok(self.socket.set_read_timeout(None)?)
    }

    /// Reads to the end, whatever comes. An error when it does not end in time.
    pub(crate) fn drain(&mut self) -> Result<()> {
        let mut bytes = [0; 4096];
        loop {
            match self.socket.read(&mut bytes) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                    bail!("it does not close")
                }
                // Reset: it is over.
                Err(_) => return Ok(()),
            }
        }
    }
}

impl Line {
    /// A connection on which both nonces were said.
    pub(crate) fn begin(mut socket: TcpStream, manner: &Manner) -> Result<Self> {
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce)?;
        let mut held = Vec::new();
        if manner.drips {
            let (last, first) = nonce.split_last().context("a nonce is not empty")?;
            for byte in first {
                socket.write_all(&[*byte])?;
            }
            held.push(*last);
        } else {
            socket.write_all(&nonce)?;
        }
        let stream = |nonce: &[u8; NONCE_BYTES]| XSalsa20::new((&manner.network_key).into(), nonce.into());
        let mut out = Out { socket: socket.try_clone()?, stream: stream(&nonce), noise: None, said: 0, held };
        if manner.drips {
            // In one segment with the end of the nonce, before theirs is read.
            out.say_hidden(&token(HEADER))?;
        }
        let mut theirs = [0; NONCE_BYTES];
        socket.read_exact(&mut theirs)?;
        let input = In { socket, stream: stream(&theirs), noise: None, heard: 0, plain: VecDeque::new() };
        Ok(Self { out, input, peer_id: None })
    }

    /// A connection to a node that stands, or why it does not.
    pub(crate) fn dial(address: SocketAddr, manner: &Manner) -> Result<Self> {
        let mut line = Self::begin(TcpStream::connect(address)?, manner)?;
        line.propose(&manner.ciphers, manner.drips)?;
        line.prove(manner, true)?;
        if manner.extension.is_empty() {
            line.propose(&manner.muxers, false)?;
        }
        Ok(line)
    }

    /// A connection that a node makes.
    pub(crate) fn accept(listener: &TcpListener, manner: &Manner) -> Result<Self> {
        let mut line = Self::begin(accept(listener)?, manner)?;
        line.take(CIPHER)?;
        line.prove(manner, false)?;
        line.take(MUXER)?;
        Ok(line)
    }

    /// Proposes names; all but the last are refused, and the last is taken.
    pub(crate) fn propose(&mut self, names: &[&str], header_is_said: bool) -> Result<()> {
        for (at, name) in names.iter().enumerate() {
            let header = if at == 0 && !header_is_said { token(HEADER) } else { Vec::new() };
            self.out.say(&[header, token(name)].concat())?;
            let mut answer = self.input.token()?;
            if at == 0 && answer == HEADER {
                answer = self.input.token()?;
            }
            let wanted = if at + 1 == names.len() { *name } else { "na" };
            ensure!(answer == wanted, "`{name}` is answered `{answer}`, and not `{wanted}`");
        }
        Ok(())
    }

    fn take(&mut self, name: &str) -> Result<()> {
        ensure!(self.input.token()? == HEADER, "a negotiation begins with its header");
        self.out.say(&token(HEADER))?;
        loop {
            let proposed = self.input.token()?;
            if proposed == name {
                return self.out.say(&token(name));
            }
            self.out.say(&token("na"))?;
        }
    }

    fn prove(&mut self, manner: &Manner, is_dialer: bool) -> Result<()> {
        let params = || PATTERN.parse().map_err(|_| anyhow!("no such pattern"));
        let keys = Builder::new(params()?).generate_keypair()?;
        let builder = Builder::new(params()?).local_private_key(&keys.private)?;
        let mut noise = if is_dialer { builder.build_initiator()? } else { builder.build_responder()? };
        let mut own = match &manner.proof {
            Some(proof) => proof.clone(),
            None => proof(&manner.keypair()?, &keys.public)?,
        };
        own.extend_from_slice(&manner.extension);
        let (mut theirs, mut is_ours, empty) = (Vec::new(), is_dialer, [].to_vec());
        // The dialer's first message is a key and nothing else.
        for payload in [&empty, &own, &own] {
            if is_ours {
                self.say_handshake(&mut noise, payload)?;
            } else {
                theirs = self.hear_handshake(&mut noise)?;
            }
            is_ours = !is_ours;
        }
        let remote = noise.get_remote_static().context("its key")?.to_vec();
        self.peer_id = Some(proven(&theirs, &remote)?);
        let noise = Arc::new(noise.into_stateless_transport_mode()?);
        (self.out.noise, self.input.noise) = (Some(Arc::clone(&noise)), Some(noise));
        Ok(())
    }

    fn say_handshake(&mut self, noise: &mut HandshakeState, payload: &[u8]) -> Result<()> {
        let mut message = vec![0; HANDSHAKE_BYTES_MAX];
        let length = noise.write_message(payload, &mut message)?;
        message.truncate(length);
        self.out.say_hidden(&[&u16::try_from(length)?.to_be_bytes()[..], &message].concat())
    }

    fn hear_handshake(&mut self, noise: &mut HandshakeState) -> Result<Vec<u8>> {
        let message = self.input.message()?;
        let mut payload = vec![0; HANDSHAKE_BYTES_MAX];
        let length = noise.read_message(&message, &mut payload)?;
        payload.truncate(length);
        Ok(payload)
    }
}

/// Takes whoever dials, in time.
pub(crate) fn accept(listener: &TcpListener) -> Result<TcpStream> {
    listener.set_nonblocking(true)?;
    let until = std::time::Instant::now() + PATIENCE;
    loop {
        match listener.accept() {
            Ok((socket, _)) => {
                socket.set_nonblocking(false)?;
                return Ok(socket);
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                ensure!(std::time::Instant::now() < until, "nobody dials");
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// A token of multistream-select. All of ours are shorter than a length of one byte can say.
pub(crate) fn token(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len() + 1).unwrap_or(u8::MAX);
    [&[length], text.as_bytes(), b"\n"].concat()
}

/// What proves that whoever holds this Noise key is who it says: the key in protobuf, and a signature.
pub(crate) fn proof(keypair: &Keypair, noise_key: &[u8]) -> Result<Vec<u8>> {
    let signature = keypair.sign(&[b"noise-libp2p-static-key:", noise_key].concat())?;
    let key = keypair.public().encode_protobuf();
    ensure!((key.len(), signature.len()) == (36, 64), "a key of another kind");
    Ok([&[0x0a, 36][..], &key, &[0x12, 64], &signature].concat())
}

fn proven(payload: &[u8], noise_key: &[u8]) -> Result<PeerId> {
    let key = payload.get(2..38).context("a node says its key first")?;
    let signature = payload.get(40..104).context("and then its signature")?;
    let public = PublicKey::try_decode_protobuf(key)?;
    let is_its = public.verify(&[b"noise-libp2p-static-key:", noise_key].concat(), signature);
    ensure!(is_its, "a node's signature is wrong");
    Ok(public.to_peer_id())
}
