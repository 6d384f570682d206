//! Cuts a connection's bytes into lines.

use bytes::{Bytes, BytesMut};
use polypeer_engine::{BadFrame, Framed, Framer, Phase};

/// Bytes of a line until the handshake is complete, `\n` included: room for a HELLO, not for memory.
pub const GREETING_LINE_BYTES_MAX: usize = 1024;
/// The phase from the end of the handshake on.
pub const OPEN: Phase = Phase(1);

/// The framer of one connection.
///
/// A line is at most as long as its phase allows. As many bytes without a `\n` cannot become one that is, so no more
/// are ever waited for.
#[derive(Clone, Debug)]
pub struct Lines {
    line_bytes_max: usize,
    // Bytes of the buffer that are known to hold no line end.
    searched: usize,
    is_broken: bool,
}

impl Lines {
    /// The framer's own reason for refusing bytes: a line longer than its phase allows.
    pub const TOO_LONG: u8 = 0;

    /// A framer for lines of at most `line_bytes_max` bytes once the handshake is complete.
    pub fn new(line_bytes_max: usize) -> Self {
        Self { line_bytes_max, searched: 0, is_broken: false }
    }
}

impl Framer for Lines {
    fn next(&mut self, phase: Phase, buffer: &mut BytesMut) -> Framed {
        if self.is_broken {
            buffer.clear();
            return Framed::More;
        }
        let max = if phase >= OPEN { self.line_bytes_max } else { GREETING_LINE_BYTES_MAX };
        let within = buffer.len().min(max);
        if let Some(at) = buffer.get(self.searched..within).and_then(line_end) {
            let line = buffer.split_to(self.searched + at + 1);
            self.searched = 0;
            return Framed::Frame(line.freeze());
        }
        if within < max {
            self.searched = within;
            return Framed::More;
        }
        self.is_broken = true;
        buffer.clear();
        Framed::Bad(BadFrame { head: Bytes::new(), reason: Self::TOO_LONG, fatal: true })
    }
}

// Where the first `\n` is. Whole blocks first, in a form that the compiler makes wide.
fn line_end(bytes: &[u8]) -> Option<usize> {
    const BLOCK: usize = 64;
    let mut at = 0;
    for block in bytes.chunks_exact(BLOCK) {
        if block.iter().fold(false, |found, byte| found | (*byte == b'\n')) {
            break;
        }
        at += BLOCK;
    }
    bytes[at..].iter().position(|byte| *byte == b'\n').map(|found| at + found)
}
