//! Speaks HTTP/2 by hand, so that it can break its rules. Blocking, on a thread of its own.

use crate::toy::{LIMIT, PATH, message};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const CONTINUATION: u8 = 9;
/// Reasons.
pub(crate) const INTERNAL_ERROR: u32 = 2;
pub(crate) const CANCEL: u32 = 8;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
const ACK: u8 = 1;
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub(crate) const WINDOW_UPDATE: u8 = 8;
const FRAME_BYTES_MAX: usize = 16 << 10;

/// What came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Came {
    pub(crate) kind: u8,
    pub(crate) stream: u32,
    pub(crate) body: Vec<u8>,
}

/// A frame's bytes.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u32).to_be_bytes();
    let mut out = vec![length[1], length[2], length[3], kind, flags];
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(body);
    out
}

/// The headers of a call, each as a literal that no table keeps.
pub(crate) fn headers(path: &str) -> Vec<u8> {
    literals(&[
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "127.0.0.1"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ])
}

fn literals(pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in pairs {
        out.push(0);
        for text in [name, value] {
            out.push(text.len() as u8);
            out.extend_from_slice(text.as_bytes());
        }
    }
    out
}

/// A connection with the call on stream 1.
pub(crate) struct Raw(pub(crate) TcpStream);

impl Raw {
    /// A connection, and nothing asked on it.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("it accepts");
        stream.set_nodelay(true).expect("a socket");
        stream.set_read_timeout(Some(LIMIT)).expect("a socket");
        stream.set_write_timeout(Some(LIMIT)).expect("a socket");
        let mut raw = Self(stream);
        raw.send(PREFACE);
        raw.send(&frame(SETTINGS, 0, 0, b""));
        raw.send(&frame(SETTINGS, ACK, 0, b""));
        raw
    }

    /// A call that was answered.
    pub(crate) fn call(address: SocketAddr) -> Self {
        let mut raw = Self::connect(address);
        raw.send(&frame(HEADERS, END_HEADERS, 1, &headers(PATH)));
        while raw.receive().expect("an answer").kind != HEADERS {}
        raw
    }

    /// A call that the node made, answered.
    pub(crate) fn answer(listener: &std::net::TcpListener) -> Self {
        let (stream, _) = listener.accept().expect("it dials");
        stream.set_read_timeout(Some(LIMIT)).expect("a socket");
        let mut raw = Self(stream);
        raw.0.read_exact(&mut [0; PREFACE.len()]).expect("a preface");
        raw.send(&frame(SETTINGS, 0, 0, b""));
        raw.send(&frame(SETTINGS, ACK, 0, b""));
        while raw.receive().expect("a request").kind != HEADERS {}
        // 0x88 stands for `:status: 200`.
        let mut headers = vec![0x88];
        headers.extend_from_slice(&literals(&[("content-type", "application/grpc")]));
        raw.send(&frame(HEADERS, END_HEADERS, 1, &headers));
        raw
    }

    /// A call, when the node is there and answers.
    pub(crate) fn try_call(address: SocketAddr) -> Option<Self> {
        let mut raw = Self(TcpStream::connect(address).ok()?);
        raw.0.set_read_timeout(Some(LIMIT)).ok()?;
        let request = frame(HEADERS, END_HEADERS, 1, &headers(PATH));
        raw.0.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, b""), &request].concat()).ok()?;
        while raw.receive()?.kind != HEADERS {}
        Some(raw)
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).expect("it reads");
    }

    /// Lets the node send so many bytes more than the 64 KiB that it may at first.
    pub(crate) fn widen(&mut self, bytes: u32) {
        self.send(
            &[frame(WINDOW_UPDATE, 0, 0, &bytes.to_be_bytes()), frame(WINDOW_UPDATE, 0, 1, &bytes.to_be_bytes())]
                .concat(),
        );
    }

    pub(crate) fn message(&mut self, letter: u8, payload: &[u8]) {
        let whole = message(letter, payload);
        let frames: Vec<_> = whole.chunks(FRAME_BYTES_MAX).map(|part| frame(DATA, 0, 1, part)).collect();
        self.send(&frames.concat());
    }

    /// Receives messages of so many bytes in all, prefixes included.
    pub(crate) fn expect_bytes(&mut self, mut bytes: usize) {
        while bytes > 0 {
            let came = self.receive().expect("the call stands");
            bytes -= if came.kind == DATA { came.body.len() } else { 0 };
        }
    }

    /// The next frame; nothing at the end, however it ended.
    pub(crate) fn receive(&mut self) -> Option<Came> {
        let mut head = [0; 9];
        match self.0.read_exact(&mut head) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("the node is silent");
            }
            read => read.ok()?,
        }
        let mut body = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        self.0.read_exact(&mut body).ok()?;
        Some(Came { kind: head[3], stream: u32::from_be_bytes([head[5], head[6], head[7], head[8]]), body })
    }

    pub(crate) fn read_to_end(&mut self) -> Vec<Came> {
        std::iter::from_fn(|| self.receive()).collect()
    }

    /// Sends piece after piece until the node has closed. How many bytes it took.
    pub(crate) fn flood(&mut self, pieces: impl Iterator<Item = Vec<u8>>) -> usize {
        // What comes back is read, so that the node is never kept from writing it.
        let mut back = self.0.try_clone().expect("a socket");
        let reading = std::thread::spawn(move || {
            let mut sink = [0; 64 << 10];
            while matches!(back.read(&mut sink), Ok(1..)) {}
        });
        let sent = pieces.map_while(|piece| self.0.write_all(&piece).is_ok().then_some(piece.len())).sum();
        // Nothing more comes, so the reading ends too.
        let _ = self.0.shutdown(std::net::Shutdown::Both);
        reading.join().expect("it reads");
        sent
    }

    pub(crate) fn reset(self) {
        socket2::SockRef::from(&self.0).set_linger(Some(std::time::Duration::ZERO)).expect("a socket");
    }
}
