//! Cuts a stream of questions and answers into messages, and long ones into pieces (Mina spec, sections 5.1 and 5.2).
//!
//! What a message may have depends on what is under way. Before the handshake it is a few bytes, then a question's size,
//! and only where we asked for something large the size of that. A staged ledger has hundreds of MiB and comes in
//! pieces of one MiB, the eight bytes of its length in the first; everything else comes whole.

use crate::streams::TOO_LONG;
use bytes::BytesMut;
use polypeer_engine::{BadFrame, Framed, Framer, Phase};

/// Nothing but a handshake may come.
pub const EARLY: Phase = Phase(0);
/// Questions, heartbeats, and errors in answer to ours.
pub const QUESTIONS: Phase = Phase(1);
/// A list of hashes or addresses is asked for.
pub const LISTS: Phase = Phase(2);
/// A piece of a ledger is asked for.
pub const LEDGERS: Phase = Phase(3);
/// Blocks are asked for.
pub const BLOCKS: Phase = Phase(4);
/// A staged ledger is asked for; it comes in pieces.
pub const STAGED: Phase = Phase(5);

/// The handshake has seven bytes, a later version's a few more.
pub const EARLY_BYTES_MAX: usize = 64;
/// The longest question: twenty hashes, or a consensus state with its hash, of some 700 bytes; and its tag.
pub const QUESTION_BYTES_MAX: usize = 4 << 10;
/// Menus, transition knowledge (290 hashes), chain proofs and 200 peers, each below 32 KiB; today's nodes read as much.
pub const LIST_BYTES_MAX: usize = 64 << 10;
/// 64 accounts; today's nodes read 200 kB.
pub const LEDGER_BYTES_MAX: usize = 256 << 10;
/// As many blocks as are asked for at once, each as large as one may be gossiped (section 4.4).
pub const BLOCKS_BYTES_MAX: usize = 32 << 20;
/// A staged ledger: what today's nodes read; 59 MB were seen.
pub const STAGED_BYTES_MAX: usize = 400 << 20;
/// One piece of it.
pub const PIECE_BYTES: usize = 1 << 20;

/// Bytes of a length.
pub(super) const HEAD_BYTES: usize = 8;

/// Cuts one direction of one stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cut {
    // The handshake came: what is behind it in the same segment is judged as what follows.
    is_greeted: bool,
    // Bytes of a long message that are still to come.
    left: usize,
}

impl Cut {
    // How many bytes the next frame has, once that is known; and whether more of the same message follow.
    fn end(&self, phase: Phase, bytes: &[u8]) -> Result<Option<(usize, usize)>, u8> {
        if self.left > 0 {
            let end = self.left.min(PIECE_BYTES);
            return Ok(Some((end, self.left - end)));
        }
        let Some(length) = bytes.first_chunk::<HEAD_BYTES>() else { return Ok(None) };
        let most = self.most(phase);
        match usize::try_from(u64::from_le_bytes(*length)) {
            Ok(length) if length <= most => {
                let whole = HEAD_BYTES + length;
                let end = if phase == STAGED { whole.min(PIECE_BYTES) } else { whole };
                Ok(Some((end, whole - end)))
            }
            _ => Err(TOO_LONG),
        }
    }

    fn most(&self, phase: Phase) -> usize {
        match phase {
            EARLY if !self.is_greeted => EARLY_BYTES_MAX,
            LISTS => LIST_BYTES_MAX,
            LEDGERS => LEDGER_BYTES_MAX,
            BLOCKS => BLOCKS_BYTES_MAX,
            STAGED => STAGED_BYTES_MAX,
            _ => QUESTION_BYTES_MAX,
        }
    }
}

impl Framer for Cut {
    fn next(&mut self, phase: Phase, buffer: &mut BytesMut) -> Framed {
        match self.end(phase, buffer) {
            Ok(Some((end, left))) if end <= buffer.len() => {
                self.is_greeted = true;
                self.left = left;
                Framed::Frame(buffer.split_to(end).freeze())
            }
            Ok(_) => Framed::More,
            Err(reason) => Framed::Bad(BadFrame { reason, ..BadFrame::of_host(reason) }),
        }
    }

    fn whole(&self, phase: Phase, bytes: &[u8]) -> Option<usize> {
        match self.end(phase, bytes) {
            Ok(Some((end, 0))) if self.is_greeted && self.left == 0 && end <= bytes.len() => Some(end),
            _ => None,
        }
    }
}
