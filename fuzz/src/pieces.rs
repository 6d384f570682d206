//! Feeds a framer the same bytes in different pieces: the frames must be the same.

use bytes::BytesMut;
use polypeer_engine::{Framed, Framer, Phase};

/// Takes an input apart: flags, how many frames come before the phase opens, the sizes of pieces, and the stream.
pub fn head(input: &[u8]) -> (u8, usize, &[u8], &[u8]) {
    let [flags, opened, count, rest @ ..] = input else { return (0, 0, &[], input) };
    let (sizes, stream) = rest.split_at(rest.len().min(usize::from(count % 16)));
    (*flags, usize::from(*opened), sizes, stream)
}

/// Frames, and what was refused, in order.
#[derive(Debug, PartialEq, Eq)]
pub struct Cut {
    /// What the framer gave, but for [`Framed::More`].
    pub given: Vec<Framed>,
    /// Whether a refusal ended the stream.
    pub is_fatal: bool,
}

/// Cuts `stream`, arriving in pieces of these sizes in turn; from the `opened`th thing given on, in the open phase.
pub fn cut<F: Framer>(mut framer: F, stream: &[u8], sizes: &[u8], opened: usize, open: Phase) -> Cut {
    let (mut buffer, mut rest) = (BytesMut::new(), stream);
    let mut cut = Cut { given: Vec::new(), is_fatal: false };
    let mut sizes = sizes.iter().map(|size| usize::from(*size) + 1).chain(std::iter::repeat(usize::MAX));
    while !rest.is_empty() && !cut.is_fatal {
        let (piece, left) = rest.split_at(rest.len().min(sizes.next().unwrap_or(usize::MAX)));
        buffer.extend_from_slice(piece);
        rest = left;
        loop {
            let before = buffer.len();
            let phase = if cut.given.len() >= opened { open } else { Phase(0) };
            match framer.next(phase, &mut buffer) {
                Framed::More => break,
                Framed::Bad(bad) => {
                    cut.is_fatal = bad.fatal;
                    cut.given.push(Framed::Bad(bad));
                }
                frame @ Framed::Frame(_) => {
                    assert!(buffer.len() < before, "a frame was given and no byte taken");
                    cut.given.push(frame);
                }
            }
            assert!(buffer.len() <= before, "a framer never grows the buffer");
            if cut.is_fatal {
                break;
            }
        }
    }
    cut
}
