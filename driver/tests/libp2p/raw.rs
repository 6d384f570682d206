//! Speaks libp2p by hand, so that it can break its rules. Blocking, on a thread of its own. It shares no code with the
//! driver but the libraries for the ciphers.

use crate::toy::{LIMIT, MUXER, NAMES, frame as toy_frame};
use ed25519_dalek::{Signer, SigningKey};
use salsa20::XSalsa20;
use salsa20::cipher::{KeyIvInit, StreamCipher};
use snow::resolvers::{DefaultResolver, FallbackResolver, RingResolver};
use snow::{Builder, HandshakeState, TransportState};
use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};

pub(crate) const DATA: u8 = 0;
pub(crate) const WINDOW: u8 = 1;
pub(crate) const PING: u8 = 2;
pub(crate) const GO_AWAY: u8 = 3;
pub(crate) const SYN: u16 = 1;
pub(crate) const ACK: u16 = 2;
pub(crate) const FIN: u16 = 4;
pub(crate) const RST: u16 = 8;
pub(crate) const WINDOW_BYTES: u32 = 256 << 10;
const HEADER: &str = "/multistream/1.0.0";

/// Who it is, and how it speaks.
#[derive(Clone)]
pub(crate) struct Manner {
    pub(crate) network_key: [u8; 32],
    pub(crate) seed: u8,
    /// What it says of itself instead of the truth.
    pub(crate) payload: Option<Vec<u8>>,
    /// What it proposes for a cipher and for a muxer, in order; the last one is to be taken.
    pub(crate) ciphers: Vec<&'static str>,
    pub(crate) muxers: Vec<&'static str>,
    /// How many bytes it writes at a time.
    pub(crate) piece: usize,
}

impl Default for Manner {
    fn default() -> Self {
        let (ciphers, muxers) = (vec!["/noise"], vec![MUXER]);
        Self { network_key: [42; 32], seed: 77, payload: None, ciphers, muxers, piece: usize::MAX }
    }
}

/// A frame of yamux that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Came {
    pub(crate) kind: u8,
    pub(crate) flags: u16,
    pub(crate) stream: u32,
    pub(crate) length: u32,
    pub(crate) body: Vec<u8>,
}

pub(crate) struct Raw {
    pub(crate) socket: TcpStream,
    ours: XSalsa20,
    theirs: XSalsa20,
    noise: Option<TransportState>,
    // Opened, and not taken apart.
    plain: Vec<u8>,
    // What came on streams.
    heard: BTreeMap<u32, Vec<u8>>,
    piece: usize,
}

/// A payload that proves what it says: identity and signature over the key for Noise.
pub(crate) fn payload(seed: u8, noise_public: &[u8]) -> Vec<u8> {
    let key = SigningKey::from_bytes(&[seed; 32]);
    let signature = key.sign(&[b"noise-libp2p-static-key:", noise_public].concat()).to_bytes();
    [&[0x0a, 0x24, 8, 1, 0x12, 0x20][..], key.verifying_key().as_bytes(), &[0x12, 0x40], &signature].concat()
}

/// Where the Noise key of every raw peer is public.
pub(crate) fn noise_public() -> Vec<u8> {
    use snow::params::DHChoice;
    use snow::resolvers::CryptoResolver;
    let mut curve = DefaultResolver.resolve_dh(&DHChoice::Curve25519).expect("a curve");
    curve.set(&[9; 32]);
    curve.pubkey().to_vec()
}

pub(crate) fn token(text: &str) -> Vec<u8> {
    assert!(text.len() < 127);
    [&[text.len() as u8 + 1], text.as_bytes(), b"\n"].concat()
}

pub(crate) fn frame(kind: u8, flags: u16, stream: u32, length: u32, body: &[u8]) -> Vec<u8> {
    [&[0, kind][..], &flags.to_be_bytes(), &stream.to_be_bytes(), &length.to_be_bytes(), body].concat()
}

pub(crate) fn data(flags: u16, stream: u32, body: &[u8]) -> Vec<u8> {
    frame(DATA, flags, stream, body.len() as u32, body)
}

impl Raw {
    /// A connection on which both nonces were said.
    pub(crate) fn begin(mut socket: TcpStream, manner: &Manner) -> io::Result<Self> {
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(LIMIT))?;
        socket.set_write_timeout(Some(LIMIT))?;
        let nonce = [manner.seed; 24];
        for piece in nonce.chunks(manner.piece.min(24)) {
            socket.write_all(piece)?;
        }
        let mut theirs = [0; 24];
        socket.read_exact(&mut theirs)?;
        let stream = |nonce: &[u8; 24]| XSalsa20::new((&manner.network_key).into(), nonce.into());
        let (ours, theirs) = (stream(&nonce), stream(&theirs));
        let (noise, plain, heard) = Default::default();
        Ok(Self { socket, ours, theirs, noise, plain, heard, piece: manner.piece })
    }

    /// A connection that stands, or why it does not.
    pub(crate) fn try_connect(address: SocketAddr, manner: &Manner) -> io::Result<Self> {
        let mut raw = Self::begin(TcpStream::connect(address)?, manner)?;
        raw.propose(&manner.ciphers)?;
        raw.prove(manner, true)?;
        raw.propose(&manner.muxers)?;
        Ok(raw)
    }

    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address, &Manner::default()).expect("a connection")
    }

    /// A connection that the node made, or why it does not stand.
    pub(crate) fn try_accept(listener: &TcpListener, manner: &Manner) -> io::Result<Self> {
        let mut raw = Self::begin(listener.accept()?.0, manner)?;
        raw.take(manner.ciphers[0])?;
        raw.prove(manner, false)?;
        raw.take(manner.muxers[0])?;
        Ok(raw)
    }

    pub(crate) fn say_hidden(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut hidden = bytes.to_vec();
        self.ours.apply_keystream(&mut hidden);
        for piece in hidden.chunks(self.piece.min(hidden.len().max(1))) {
            self.socket.write_all(piece)?;
        }
        Ok(())
    }

    fn hear_hidden(&mut self, count: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        self.socket.read_exact(&mut bytes)?;
        self.theirs.apply_keystream(&mut bytes);
        Ok(bytes)
    }

    /// Says something: sealed, once Noise is done.
    pub(crate) fn try_say(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(noise) = &mut self.noise else { return self.say_hidden(bytes) };
        let mut out = Vec::new();
        for piece in bytes.chunks(60_000) {
            let mut message = vec![0; piece.len() + 16];
            let length = noise.write_message(piece, &mut message).map_err(io::Error::other)?;
            out.extend_from_slice(&(length as u16).to_be_bytes());
            out.extend_from_slice(&message[..length]);
        }
        self.say_hidden(&out)
    }

    /// Says sealed messages with nothing in them.
    pub(crate) fn try_say_empty(&mut self, count: usize) -> io::Result<()> {
        let noise = self.noise.as_mut().ok_or(ErrorKind::NotConnected)?;
        let mut out = Vec::new();
        for _ in 0..count {
            let mut message = [0; 16];
            noise.write_message(b"", &mut message).map_err(io::Error::other)?;
            out.extend_from_slice(&[0, 16]);
            out.extend_from_slice(&message);
        }
        self.say_hidden(&out)
    }

    pub(crate) fn say(&mut self, bytes: &[u8]) {
        self.try_say(bytes).expect("it reads");
    }

    fn message(&mut self) -> io::Result<Vec<u8>> {
        let length = self.hear_hidden(2)?;
        self.hear_hidden(usize::from(u16::from_be_bytes([length[0], length[1]])))
    }

    /// The next bytes, opened.
    pub(crate) fn hear(&mut self, count: usize) -> io::Result<Vec<u8>> {
        if self.noise.is_none() {
            return self.hear_hidden(count);
        }
        while self.plain.len() < count {
            let message = self.message()?;
            let mut plain = vec![0; message.len()];
            let noise = self.noise.as_mut().ok_or(ErrorKind::NotConnected)?;
            let length = noise.read_message(&message, &mut plain).map_err(io::Error::other)?;
            self.plain.extend_from_slice(&plain[..length]);
        }
        Ok(self.plain.drain(..count).collect())
    }

    pub(crate) fn hear_token(&mut self) -> io::Result<String> {
        let length = self.hear(1)?[0];
        let text = self.hear(length.into())?;
        Ok(String::from_utf8_lossy(&text[..text.len() - 1]).into_owned())
    }

    fn propose(&mut self, names: &[&str]) -> io::Result<()> {
        for (at, name) in names.iter().enumerate() {
            let header = if at == 0 { token(HEADER) } else { vec![] };
            self.try_say(&[header, token(name)].concat())?;
            let mut answer = self.hear_token()?;
            if at == 0 && answer == HEADER {
                answer = self.hear_token()?;
            }
            let wanted = if at + 1 == names.len() { *name } else { "na" };
            if answer != wanted {
                return Err(io::Error::other(answer));
            }
        }
        Ok(())
    }

    fn take(&mut self, name: &str) -> io::Result<()> {
        let (header, wanted) = (self.hear_token()?, self.hear_token()?);
        assert_eq!((&header[..], &wanted[..]), (HEADER, name));
        self.try_say(&[token(HEADER), token(name)].concat())
    }

    fn prove(&mut self, manner: &Manner, has_dialled: bool) -> io::Result<()> {
        let resolver = FallbackResolver::new(Box::new(RingResolver), Box::new(DefaultResolver));
        let params = "Noise_XX_25519_ChaChaPoly_SHA256".parse().expect("a pattern");
        let builder = Builder::with_resolver(params, Box::new(resolver)).local_private_key(&[9; 32]).expect("a key");
        let built = if has_dialled { builder.build_initiator() } else { builder.build_responder() };
        let mut noise = built.expect("a handshake");
        let own = manner.payload.clone().unwrap_or_else(|| payload(manner.seed, &noise_public()));
        let says = |raw: &mut Self, noise: &mut HandshakeState, payload: &[u8]| {
            let mut message = vec![0; 4096];
            let length = noise.write_message(payload, &mut message).expect("its turn");
            raw.say_hidden(&[&(length as u16).to_be_bytes(), &message[..length]].concat())
        };
        if has_dialled {
            says(self, &mut noise, b"")?;
        }
        let message = self.message()?;
        noise.read_message(&message, &mut [0; 4096]).map_err(io::Error::other)?;
        says(self, &mut noise, &own)?;
        if !has_dialled {
            let message = self.message()?;
            noise.read_message(&message, &mut [0; 4096]).map_err(io::Error::other)?;
        }
        self.noise = Some(noise.into_transport_mode().expect("done"));
        Ok(())
    }

    /// The next frame, whatever it is; nothing at the end.
    pub(crate) fn next(&mut self) -> Option<Came> {
        let head = self.hear(12).ok()?;
        let number = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (kind, flags) = (head[1], u16::from_be_bytes([head[2], head[3]]));
        let (stream, length) = (number(4), number(8));
        let body = if kind == DATA { self.hear(length as usize).ok()? } else { vec![] };
        Some(Came { kind, flags, stream, length, body })
    }

    /// The next frame that is no ping, and no more room for us.
    pub(crate) fn receive(&mut self) -> Option<Came> {
        loop {
            let came = self.next()?;
            if came.kind != PING && (came.kind != WINDOW || came.flags & !ACK != 0) {
                return Some(came);
            }
        }
    }

    /// Opens a stream and agrees on what it is for.
    pub(crate) fn open(&mut self, stream: u32) {
        self.try_open(stream).expect("it is taken");
    }

    pub(crate) fn try_open(&mut self, stream: u32) -> Option<()> {
        let asked = [token(HEADER), token(NAMES[0])].concat();
        self.try_say(&data(SYN, stream, &asked)).ok()?;
        self.until_heard(stream, asked.len())?;
        let answer: Vec<u8> = self.heard.get_mut(&stream)?.drain(..asked.len()).collect();
        (answer == asked).then_some(())
    }

    // Hears until so much has come on a stream.
    fn until_heard(&mut self, stream: u32, count: usize) -> Option<()> {
        while self.heard.entry(stream).or_default().len() < count {
            let came = self.receive()?;
            if came.kind == DATA {
                self.heard.entry(came.stream).or_default().extend_from_slice(&came.body);
            }
            if came.kind == GO_AWAY || came.stream == stream && came.flags & RST != 0 {
                return None;
            }
        }
        Some(())
    }

    /// Says a frame of the toy's on a stream.
    pub(crate) fn tell(&mut self, stream: u32, letter: u8, payload: &[u8]) {
        self.say(&data(0, stream, &toy_frame(letter, payload)));
    }

    /// The next frame of the toy's on a stream.
    pub(crate) fn told(&mut self, stream: u32) -> Option<(u8, Vec<u8>)> {
        self.until_heard(stream, 5)?;
        let head = &self.heard[&stream];
        let length = 4 + u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        self.until_heard(stream, length)?;
        let frame: Vec<u8> = self.heard.get_mut(&stream)?.drain(..length).collect();
        Some((frame[4], frame[5..].to_vec()))
    }

    /// Both: it is said back.
    pub(crate) fn ask(&mut self, stream: u32, payload: &[u8]) {
        self.tell(stream, b'e', payload);
        assert_eq!(self.told(stream), Some((b'e', payload.to_vec())));
    }

    /// Waits for the end. Whether it was in order: GO_AWAY, or the socket closed.
    pub(crate) fn closed(&mut self) -> bool {
        loop {
            match self.next() {
                Some(came) if came.kind == GO_AWAY => return true,
                Some(_) => {}
                None => return self.socket.read(&mut [0; 64]).is_ok(),
            }
        }
    }

    /// Ends it without a word.
    pub(crate) fn reset(self) {
        let socket = socket2::Socket::from(self.socket);
        let _ = socket.set_linger(Some(std::time::Duration::ZERO));
    }

    /// Says that it says no more.
    pub(crate) fn shut_down(&self) {
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    /// Says things until the node does not take them any more. Bytes said.
    pub(crate) fn flood(&mut self, pieces: impl Iterator<Item = Vec<u8>>) -> usize {
        let reader = self.socket.try_clone().expect("a descriptor");
        let reading = std::thread::spawn(move || {
            let (mut reader, mut sink) = (reader, vec![0; 64 << 10]);
            while matches!(reader.read(&mut sink), Ok(1..)) {}
        });
        let mut said = 0;
        for piece in pieces {
            if self.try_say(&piece).is_err() {
                break;
            }
            said += piece.len();
        }
        let _ = self.socket.shutdown(Shutdown::Both);
        reading.join().expect("it reads");
        said
    }
}

/// Does something that blocks, while the node goes on.
pub(crate) async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("no panic")
}
