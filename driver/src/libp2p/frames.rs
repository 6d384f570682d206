//! Reads the heads of yamux's frames as they pass: twelve bytes, and for data so many more.

/// Version, kind, two bytes of flags, four of the stream, four of a length.
pub(super) const HEAD_BYTES: usize = 12;
/// A frame of data; its length is that of what follows.
pub(super) const DATA: u8 = 0;
/// The word that a connection ends; its length is why.
pub(super) const GO_AWAY: u8 = 3;
/// This opens the stream.
pub(super) const SYN: u16 = 1;
/// Whoever sends this writes no more on the stream.
pub(super) const FIN: u16 = 4;
/// This breaks the stream off.
pub(super) const RST: u16 = 8;

/// One head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) kind: u8,
    pub(super) flags: u16,
    pub(super) stream: u32,
    pub(super) length: u32,
}

/// How far a direction's frames have come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Heads {
    head: [u8; HEAD_BYTES],
    got: usize,
    body_left: usize,
}

impl Heads {
    /// Whether what comes next is a frame's data.
    pub(super) fn is_in_body(&self) -> bool {
        self.body_left > 0
    }

    /// Whether nothing of a frame has come that is not whole.
    pub(super) fn is_between(&self) -> bool {
        self.got == 0 && self.body_left == 0
    }

    /// How many bytes there are until a head is whole, or a frame is over.
    pub(super) fn left(&self) -> usize {
        if self.is_in_body() { self.body_left } else { HEAD_BYTES - self.got }
    }

    /// Takes the next bytes, no more than are left. The head that is whole with them.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Option<Head> {
        if self.is_in_body() {
            self.body_left -= bytes.len();
            return None;
        }
        self.head[self.got..self.got + bytes.len()].copy_from_slice(bytes);
        self.got += bytes.len();
        if self.got < HEAD_BYTES {
            return None;
        }
        self.got = 0;
        let [_, kind, f0, f1, s0, s1, s2, s3, l0, l1, l2, l3] = self.head;
        let (flags, stream) = (u16::from_be_bytes([f0, f1]), u32::from_be_bytes([s0, s1, s2, s3]));
        let head = Head { kind, flags, stream, length: u32::from_be_bytes([l0, l1, l2, l3]) };
        if kind == DATA {
            self.body_left = head.length as usize;
        }
        Some(head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_found_however_frames_are_cut() {
        let said = const_hex::decode(
            "00000001000000010000000a6162636465666768696a0002000100000000000000070000000400000001\
                                      00000000000300000000000000000001",
        )
        .expect("hex");
        let known = [(DATA, SYN, 1, 10), (2, SYN, 0, 7), (DATA, FIN, 1, 0), (GO_AWAY, 0, 0, 1)];
        for piece in [1, 5, 12, said.len()] {
            let (mut heads, mut found) = (Heads::default(), Vec::new());
            for mut piece in said.chunks(piece) {
                while !piece.is_empty() {
                    let (now, later) = piece.split_at(heads.left().min(piece.len()));
                    piece = later;
                    found.extend(heads.take(now).map(|head| (head.kind, head.flags, head.stream, head.length)));
                }
            }
            assert_eq!(found, known);
        }
    }
}
