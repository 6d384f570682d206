//! Speaks WebSocket by hand, so that it can break its rules. Blocking, on a thread of its own.

use crate::toy::{LIMIT, message};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

/// First bytes of frames: the last one of a message, and a kind.
pub(crate) const FIN: u8 = 0x80;
pub(crate) const MORE: u8 = 0;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 0x88;
pub(crate) const PING: u8 = 0x89;
pub(crate) const PONG: u8 = 0x8a;
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
/// The key of RFC 6455, section 1.3, and what it is answered with.
const ASKED: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPTED: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// What came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Came {
    pub(crate) first: u8,
    pub(crate) body: Vec<u8>,
}

/// A frame's header: its first byte, its length in the shortest form, a key or none.
pub(crate) fn header(first: u8, length: u64, key: Option<[u8; 4]>) -> Vec<u8> {
    let masked = if key.is_some() { 0x80 } else { 0 };
    let mut out = vec![first];
    match length {
        0..126 => out.push(masked | length as u8),
        126..65_536 => {
            out.push(masked | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            out.push(masked | 127);
            out.extend_from_slice(&length.to_be_bytes());
        }
    }
    out.extend(key.into_iter().flatten());
    out
}

/// A frame's bytes, as a client sends it.
pub(crate) fn masked(first: u8, body: &[u8]) -> Vec<u8> {
    let mut out = header(first, body.len() as u64, Some(KEY));
    out.extend(body.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
    out
}

/// A frame's bytes, as a server sends it.
pub(crate) fn plain(first: u8, body: &[u8]) -> Vec<u8> {
    [header(first, body.len() as u64, None), body.to_vec()].concat()
}

/// A request for a WebSocket.
pub(crate) fn request(key: &str) -> String {
    format!(
        "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: {key}\r\n\r\n"
    )
}

/// A connection, from either end.
pub(crate) struct Raw {
    pub(crate) socket: TcpStream,
    // Whether we dialled.
    is_client: bool,
}

impl Raw {
    fn new(socket: TcpStream, is_client: bool) -> Self {
        socket.set_nodelay(true).expect("a socket");
        socket.set_read_timeout(Some(LIMIT)).expect("a socket");
        socket.set_write_timeout(Some(LIMIT)).expect("a socket");
        Self { socket, is_client }
    }

    /// A connection, and nothing asked on it.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::new(TcpStream::connect(address).expect("it accepts"), true)
    }

    /// A WebSocket, when the node is there and wants one.
    pub(crate) fn try_open(address: SocketAddr) -> Option<Self> {
        let mut raw = Self::new(TcpStream::connect(address).ok()?, true);
        raw.socket.write_all(request(ASKED).as_bytes()).ok()?;
        let head = raw.head()?;
        head.starts_with("HTTP/1.1 101 ").then_some(())?;
        assert!(head.contains(ACCEPTED), "{head}");
        Some(raw)
    }

    pub(crate) fn open(address: SocketAddr) -> Self {
        Self::try_open(address).expect("it upgrades")
    }

    /// A WebSocket that the node asked for.
    pub(crate) fn accept(listener: &TcpListener) -> Self {
        let (mut raw, accepted) = Self::asked(listener);
        raw.send(&granted(&accepted));
        raw
    }

    /// One that it waits for, and what the answer must hold.
    pub(crate) fn asked(listener: &TcpListener) -> (Self, String) {
        let (socket, _) = listener.accept().expect("it dials");
        let mut raw = Self::new(socket, false);
        let head = raw.head().expect("a request");
        let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).expect("a key");
        let accepted = tokio_tungstenite::tungstenite::handshake::derive_accept_key(key.as_bytes());
        (raw, accepted)
    }

    /// A head of HTTP's; nothing when it does not come to its end.
    pub(crate) fn head(&mut self) -> Option<String> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.socket.read_exact(&mut byte).ok()?;
            head.push(byte[0]);
        }
        String::from_utf8(head).ok()
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).expect("it reads");
    }

    /// Bytes of a frame, masked when they must be.
    pub(crate) fn frame(&self, first: u8, body: &[u8]) -> Vec<u8> {
        if self.is_client { masked(first, body) } else { plain(first, body) }
    }

    pub(crate) fn send_frame(&mut self, first: u8, body: &[u8]) {
        let frame = self.frame(first, body);
        self.send(&frame);
    }

    pub(crate) fn message(&mut self, letter: u8, payload: &[u8]) {
        self.send_frame(FIN | BINARY, &[&[letter], payload].concat());
    }

    /// The next frame; nothing at the end, however it ended.
    pub(crate) fn receive(&mut self) -> Option<Came> {
        let [first, length] = self.read()?;
        assert_eq!(length & 0x80 != 0, !self.is_client, "masked by who dialled, and by nobody else");
        let length = match length & 0x7f {
            126 => u16::from_be_bytes(self.read()?).into(),
            127 => u64::from_be_bytes(self.read()?) as usize,
            length => length.into(),
        };
        let key: Option<[u8; 4]> = if self.is_client { None } else { Some(self.read()?) };
        let mut body = vec![0; length];
        self.socket.read_exact(&mut body).ok()?;
        if let Some(key) = key {
            body.iter_mut().zip(key.iter().cycle()).for_each(|(byte, key)| *byte ^= key);
        }
        Some(Came { first, body })
    }

    fn read<const N: usize>(&mut self) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        match self.socket.read_exact(&mut bytes) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("the node is silent");
            }
            read => read.ok()?,
        }
        Some(bytes)
    }

    /// That this message comes.
    pub(crate) fn expect(&mut self, letter: u8, payload: &[u8]) {
        let came = self.receive().expect("it stands");
        assert_eq!((came.first, came.body.len()), (FIN | BINARY, 1 + payload.len()));
        assert!(came.body[0] == letter && came.body[1..] == *payload, "another message");
    }

    pub(crate) fn ask(&mut self, letter: u8, payload: &[u8]) {
        self.message(letter, payload);
        self.expect(letter, payload);
    }

    /// What the node's CLOSE says; the end follows it. What comes before is dropped.
    pub(crate) fn closed(&mut self) -> Vec<u8> {
        let said = loop {
            let came = self.receive().expect("a CLOSE");
            if came.first == CLOSE {
                break came.body;
            }
        };
        assert_eq!(self.receive(), None, "nothing follows CLOSE");
        said
    }

    /// The same of whoever waits for our part before it goes.
    pub(crate) fn closed_in_order(&mut self) -> Vec<u8> {
        let said = loop {
            let came = self.receive().expect("a CLOSE");
            if came.first == CLOSE {
                break came.body;
            }
        };
        self.send_frame(CLOSE, &said);
        assert_eq!(self.receive(), None, "nothing follows CLOSE");
        said
    }

    /// Sends piece after piece until the node has closed. How many bytes it took.
    pub(crate) fn flood(&mut self, pieces: impl Iterator<Item = Vec<u8>>) -> usize {
        // What comes back is read, so that the node is never kept from writing it.
        let mut back = self.socket.try_clone().expect("a socket");
        let reading = std::thread::spawn(move || {
            let mut sink = [0; 64 << 10];
            while matches!(back.read(&mut sink), Ok(1..)) {}
        });
        let sent = pieces.map_while(|piece| self.socket.write_all(&piece).is_ok().then_some(piece.len())).sum();
        // Nothing more comes, so the reading ends too.
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
        reading.join().expect("it reads");
        sent
    }

    pub(crate) fn reset(self) {
        socket2::SockRef::from(&self.socket).set_linger(Some(std::time::Duration::ZERO)).expect("a socket");
    }
}

/// The answer to a request.
pub(crate) fn granted(accepted: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {accepted}\r\n\r\n"
    )
    .into_bytes()
}

/// Runs what blocks.
pub(crate) async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("no panic")
}

/// The frame that the toy hears when a peer sends this.
pub(crate) fn heard(letter: u8, payload: &[u8]) -> bytes::Bytes {
    message(letter, payload)
}
