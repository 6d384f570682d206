//! WebSocket (RFC 6455) by hand, both roles, as far as a judge of BUMO needs it.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// The key that a real node was recorded with, and the answer to it.
const KEY: (&str, &str) = ("72cvI2/FOlRL8jydxmVHww==", "c+UsBICPxYXLAVxibT9YCKr0YuQ=");
/// The same for whoever does not look at the answer.
#[allow(dead_code, reason = "only the floods need it")]
pub(crate) const UPGRADE_REQUEST: &str = "GET / HTTP/1.1\r\nConnection: Upgrade\r\nHost: localhost\r\n\
     Sec-WebSocket-Key: 72cvI2/FOlRL8jydxmVHww==\r\nSec-WebSocket-Version: 13\r\nUpgrade: websocket\r\n\r\n";
/// What masks our frames: any will do.
const MASK: [u8; 4] = [0x12, 0x34, 0x56, 0x78];
/// How long an upgrade may take.
const UPGRADE: Duration = Duration::from_secs(20);

/// A frame that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    Whole { opcode: u8, payload: Vec<u8> },
    Broken,
    End,
}

/// One end.
pub(crate) struct Socket {
    stream: TcpStream,
    bytes: Vec<u8>,
    has_dialled: bool,
}

impl Socket {
    /// Connects and upgrades with the headers of the original.
    pub(crate) fn dial(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the node listens");
        let mut socket = Self { stream, bytes: Vec::new(), has_dialled: true };
        let head = format!(
            "GET / HTTP/1.1\r\nConnection: Upgrade\r\nHost: {address}\r\nSec-WebSocket-Key: {}\r\n\
             Sec-WebSocket-Version: 13\r\nUpgrade: websocket\r\nUser-Agent: WebSocket++/0.6.0\r\n\r\n",
            KEY.0
        );
        socket.raw(head.as_bytes());
        let answer = socket.head();
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        assert_eq!(header(&answer, "sec-websocket-accept").as_deref(), Some(KEY.1), "{answer}");
        assert!(header(&answer, "upgrade").is_some_and(|it| it.eq_ignore_ascii_case("websocket")), "{answer}");
        assert_eq!(header(&answer, "sec-websocket-protocol"), None);
        assert_eq!(header(&answer, "sec-websocket-extensions"), None);
        socket
    }

    /// Takes the next connection and answers its upgrade.
    pub(crate) fn accept(listener: &TcpListener) -> Self {
        listener.set_nonblocking(true).expect("a listener");
        let deadline = Instant::now() + UPGRADE;
        let stream = loop {
            match listener.accept() {
                Ok((stream, _)) => break stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => panic!("{error}"),
            }
            assert!(Instant::now() < deadline, "nobody dialled");
            std::thread::sleep(Duration::from_millis(5));
        };
        stream.set_nonblocking(false).expect("a stream");
        let mut socket = Self { stream, bytes: Vec::new(), has_dialled: false };
        let asked = socket.head();
        assert!(asked.starts_with("GET / HTTP/1.1\r\n"), "{asked}");
        assert_eq!(header(&asked, "sec-websocket-version").as_deref(), Some("13"), "{asked}");
        assert_eq!(header(&asked, "sec-websocket-protocol"), None);
        assert_eq!(header(&asked, "sec-websocket-extensions"), None);
        let key = header(&asked, "sec-websocket-key").expect("a key");
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nSec-WebSocket-Accept: {}\r\n\
             Server: WebSocket++/0.6.0\r\nUpgrade: websocket\r\n\r\n",
            accept_of(&key)
        );
        socket.raw(answer.as_bytes());
        socket
    }

    fn head(&mut self) -> String {
        let deadline = Instant::now() + UPGRADE;
        loop {
            if let Some(end) = self.bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                let rest = self.bytes.split_off(end + 4);
                return String::from_utf8(std::mem::replace(&mut self.bytes, rest)).expect("text");
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(self.more(left).is_some_and(|is_more| is_more), "no head of HTTP came");
        }
    }

    /// Bytes as they are.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        // It may have closed already; what it said before tells.
        let _ = self.stream.write_all(bytes);
    }

    /// A whole frame.
    pub(crate) fn say(&mut self, opcode: u8, payload: &[u8]) {
        let frame = frame(0x80 | opcode, self.has_dialled, payload);
        self.raw(&frame);
    }

    /// A part of a message, the first with its opcode.
    pub(crate) fn say_part(&mut self, opcode: u8, is_last: bool, payload: &[u8]) {
        let frame = frame(u8::from(is_last) << 7 | opcode, self.has_dialled, payload);
        self.raw(&frame);
    }

    /// The next frame; nothing when none comes in time.
    pub(crate) fn hear(&mut self, within: Duration) -> Option<Frame> {
        let deadline = Instant::now() + within;
        loop {
            if let Some(frame) = self.take() {
                return Some(frame);
            }
            match self.more(deadline.saturating_duration_since(Instant::now())) {
                None => return None,
                Some(false) => return Some(Frame::End),
                Some(true) => {}
            }
        }
    }

    // Whether bytes came; nothing when the time is up.
    fn more(&mut self, within: Duration) -> Option<bool> {
        let within = within.max(Duration::from_millis(1));
        self.stream.set_read_timeout(Some(within)).expect("a timeout");
        let mut bytes = [0; 65_536];
        match self.stream.read(&mut bytes) {
            Ok(0) => Some(false),
            Ok(count) => {
                self.bytes.extend_from_slice(&bytes[..count]);
                Some(true)
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => None,
            Err(_) => Some(false),
        }
    }

    fn take(&mut self) -> Option<Frame> {
        let (first, second) = (*self.bytes.first()?, *self.bytes.get(1)?);
        let (length, mut at) = match second & 0x7f {
            126 => (usize::from(u16::from_be_bytes(self.bytes.get(2..4)?.try_into().expect("two"))), 4),
            127 => (u64::from_be_bytes(self.bytes.get(2..10)?.try_into().expect("eight")) as usize, 10),
            short => (usize::from(short), 2),
        };
        let is_masked = second & 0x80 != 0;
        let mask: [u8; 4] = if is_masked { self.bytes.get(at..at + 4)?.try_into().expect("four") } else { [0; 4] };
        at += usize::from(is_masked) * 4;
        let payload = self.bytes.get(at..at + length)?;
        let payload = payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        self.bytes.drain(..at + length);
        // Only who dialled masks; one frame for each message, and no reserved bits.
        let is_right = is_masked != self.has_dialled && first & 0xf0 == 0x80;
        Some(if is_right { Frame::Whole { opcode: first & 0x0f, payload } } else { Frame::Broken })
    }
}

/// A frame with this first byte.
pub(crate) fn frame(first: u8, is_masked: bool, payload: &[u8]) -> Vec<u8> {
    let bit = u8::from(is_masked) << 7;
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..126 => bytes.push(bit | length as u8),
        length @ 126..65_536 => {
            bytes.push(bit | 126);
            bytes.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            bytes.push(bit | 127);
            bytes.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    let mask = if is_masked { MASK } else { [0; 4] };
    if is_masked {
        bytes.extend_from_slice(&mask);
    }
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// The messages in the bytes of a recorded side: those that are whole.
pub(crate) fn recorded(bytes: &[u8], has_dialled: bool) -> Vec<Vec<u8>> {
    let head = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let stream = TcpStream::connect(listener.local_addr().expect("an address")).expect("loopback");
    let mut socket = Socket { stream, bytes: bytes[head..].to_vec(), has_dialled: !has_dialled };
    let mut all = Vec::new();
    while let Some(frame) = socket.take() {
        let Frame::Whole { opcode: 2, payload } = frame else { panic!("the original sends no {frame:?}") };
        all.push(payload);
    }
    all
}

fn header(head: &str, name: &str) -> Option<String> {
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
}

fn accept_of(key: &str) -> String {
    base64(&sha1(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11").as_bytes()))
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let padded = [three, &[0, 0]].concat();
        let number = u32::from(padded[0]) << 16 | u32::from(padded[1]) << 8 | u32::from(padded[2]);
        for place in 0..4 {
            let digit = DIGITS[(number >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= three.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

// FIPS 180-4; only for the handshake's answer.
fn sha1(bytes: &[u8]) -> [u8; 20] {
    let mut state: [u32; 5] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    let mut padded = bytes.to_vec();
    padded.push(0x80);
    while padded.len() % 64 != 56 {
        padded.push(0);
    }
    padded.extend_from_slice(&(bytes.len() as u64 * 8).to_be_bytes());
    for block in padded.chunks(64) {
        let mut words: Vec<u32> =
            block.chunks(4).map(|four| u32::from_be_bytes(four.try_into().expect("four"))).collect();
        for at in 16..80 {
            words.push((words[at - 3] ^ words[at - 8] ^ words[at - 14] ^ words[at - 16]).rotate_left(1));
        }
        let [mut a, mut b, mut c, mut d, mut e] = state;
        for (at, word) in words.iter().enumerate() {
            let (mixed, constant) = match at {
                0..20 => (b & c | !b & d, 0x5a82_7999),
                20..40 => (b ^ c ^ d, 0x6ed9_eba1),
                40..60 => (b & c | b & d | c & d, 0x8f1b_bcdc),
                _ => (b ^ c ^ d, 0xca62_c1d6_u32),
            };
            let sum = a.rotate_left(5).wrapping_add(mixed).wrapping_add(e).wrapping_add(constant).wrapping_add(*word);
            (e, d, c, b, a) = (d, c, b.rotate_left(30), a, sum);
        }
        for (part, more) in state.iter_mut().zip([a, b, c, d, e]) {
            *part = part.wrapping_add(more);
        }
    }
    let mut digest = [0; 20];
    digest.chunks_mut(4).zip(state).for_each(|(four, word)| four.copy_from_slice(&word.to_be_bytes()));
    digest
}

/// That its own hash is right: the pair that was recorded.
pub(crate) fn accepts_as_recorded() {
    assert_eq!(accept_of(KEY.0), KEY.1);
}
