//! Agrees on what is spoken: multistream-select 1.0.0, from either side, on a connection and on each of its streams.
//!
//! ```text
//!   asking  ── header, name ──► answering        both at once: nobody waits for the other's header
//!           ◄─ header, name ───                  agreed
//!           ◄─ header, na ─────                  refused; another name may be proposed
//! ```
//!
//! A token is a varint, so many bytes of text, and a line feed that the varint counts. Names need not begin with a slash.

use bytes::{Buf, BytesMut};
use thiserror::Error;

const HEADER: &[u8] = b"/multistream/1.0.0";
const NOT_AVAILABLE: &[u8] = b"na";
/// A token's text, with its line feed.
const TOKEN_BYTES_MAX: usize = 256;
/// Names that may be proposed and refused in one agreement. Stock nodes come with a handful.
const REFUSED_MAX: usize = 16;

/// Why there is no agreement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum SelectError {
    /// A token is longer than any name.
    #[error("a token of multistream-select is too long")]
    TooLong,
    /// These bytes are no token.
    #[error("no token of multistream-select")]
    NoToken,
    /// Something else than the header came first.
    #[error("not multistream-select 1.0.0")]
    NoHeader,
    /// Nothing that was proposed is known here, again and again.
    #[error("too many proposals")]
    TooMany,
    /// What came is neither the name that we proposed nor a refusal.
    #[error("an answer to something else")]
    Unasked,
    /// Our name is not known there.
    #[error("refused")]
    Refused,
}

/// Whoever proposes.
#[derive(Debug, Default)]
pub(super) struct Asking {
    has_header: bool,
}

impl Asking {
    /// Says the header and the one name that is proposed.
    pub(super) fn begin(name: &str, out: &mut BytesMut) -> Self {
        put(HEADER, out);
        put(name.as_bytes(), out);
        Self::default()
    }

    /// Takes the answer off the front of `input`; what is left belongs to what was agreed on. Whether that is so yet.
    pub(super) fn take(&mut self, name: &str, input: &mut BytesMut) -> Result<bool, SelectError> {
        while let Some(text) = token(input)? {
            match &text[..] {
                HEADER if !self.has_header => self.has_header = true,
                _ if !self.has_header => return Err(SelectError::NoHeader),
                text if text == name.as_bytes() => return Ok(true),
                NOT_AVAILABLE => return Err(SelectError::Refused),
                _ => return Err(SelectError::Unasked),
            }
        }
        Ok(false)
    }
}

/// Whoever is asked.
#[derive(Debug, Default)]
pub(super) struct Answering {
    has_header: bool,
    refused: usize,
}

impl Answering {
    /// Takes proposals off the front of `input`, and says what is to be said. What was agreed on, once something is:
    /// the first name for which `find` has something. What is left of the input belongs to it.
    pub(super) fn take<T>(
        &mut self,
        input: &mut BytesMut,
        out: &mut BytesMut,
        find: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<Option<T>, SelectError> {
        while let Some(text) = token(input)? {
            if !self.has_header {
                if text != HEADER {
                    return Err(SelectError::NoHeader);
                }
                self.has_header = true;
                put(HEADER, out);
                continue;
            }
            if let Some(found) = find(&text) {
                put(&text, out);
                return Ok(Some(found));
            }
            self.refused += 1;
            if self.refused > REFUSED_MAX {
                return Err(SelectError::TooMany);
            }
            put(NOT_AVAILABLE, out);
        }
        Ok(None)
    }
}

// Takes a token's text off the front, when the whole token is there.
fn token(input: &mut BytesMut) -> Result<Option<BytesMut>, SelectError> {
    let (length, header) = match input[..] {
        [length @ 0..0x80, ..] => (usize::from(length), 1),
        [_, 0, ..] => return Err(SelectError::NoToken),
        [low, high @ 0..0x80, ..] => (usize::from(low & 0x7f) | usize::from(high) << 7, 2),
        [] | [_] => return Ok(None),
        _ => return Err(SelectError::TooLong),
    };
    if length == 0 {
        return Err(SelectError::NoToken);
    }
    if length > TOKEN_BYTES_MAX {
        return Err(SelectError::TooLong);
    }
    if input.len() < header + length {
        return Ok(None);
    }
    input.advance(header);
    let mut text = input.split_to(length);
    if text.last() != Some(&b'\n') {
        return Err(SelectError::NoToken);
    }
    text.truncate(length - 1);
    Ok(Some(text))
}

fn put(text: &[u8], out: &mut BytesMut) {
    let length = text.len() + 1;
    if length < 0x80 {
        out.extend_from_slice(&[length as u8]);
    } else {
        out.extend_from_slice(&[0x80 | length as u8, (length >> 7) as u8]);
    }
    out.extend_from_slice(text);
    out.extend_from_slice(b"\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 2] = ["/ipfs/ping/1.0.0", "coda/rpcs/0.0.1"];

    fn tokens(texts: &[&str]) -> BytesMut {
        let mut out = BytesMut::new();
        texts.iter().for_each(|text| put(text.as_bytes(), &mut out));
        out
    }

    fn find(text: &[u8]) -> Option<usize> {
        NAMES.iter().position(|name| name.as_bytes() == text)
    }

    // Answers what comes in pieces of this length.
    fn answer(said: &[u8], piece: usize) -> (Result<Option<usize>, SelectError>, BytesMut, BytesMut) {
        let (mut answering, mut input, mut out) = (Answering::default(), BytesMut::new(), BytesMut::new());
        let mut pieces = said.chunks(piece);
        while let Some(piece) = pieces.next() {
            input.extend_from_slice(piece);
            match answering.take(&mut input, &mut out, find) {
                Ok(None) => {}
                end => {
                    pieces.for_each(|piece| input.extend_from_slice(piece));
                    return (end, out, input);
                }
            }
        }
        (Ok(None), out, input)
    }

    #[test]
    fn what_is_known_is_agreed_on_and_what_is_not_is_refused_however_it_is_cut() {
        let mut said = tokens(&["/multistream/1.0.0", "/libp2p/simultaneous-connect", "ls", "coda/rpcs/0.0.1"]);
        said.extend_from_slice(b"then data");
        for piece in [1, 3, 19, said.len()] {
            let (end, out, rest) = answer(&said, piece);
            assert_eq!(end, Ok(Some(1)));
            assert_eq!(out, tokens(&["/multistream/1.0.0", "na", "na", "coda/rpcs/0.0.1"]));
            assert_eq!(rest, b"then data"[..]);
        }
    }

    #[test]
    fn what_is_no_token_ends_it() {
        let long = "x".repeat(256);
        let told = |said: &[u8]| answer(said, said.len()).0;
        assert_eq!(told(&tokens(&[NAMES[1]])), Err(SelectError::NoHeader));
        assert_eq!(told(&tokens(&["/multistream/1.0.0", &long])), Err(SelectError::TooLong));
        assert_eq!(told(&tokens(&["/multistream/1.0.0", &long[..255]])), Ok(None), "the longest is refused politely");
        for said in [&b"\0"[..], b"\x80\0", b"\x01x", b"\x05/noi\0", b"\x81\0"] {
            assert_eq!(told(said), Err(SelectError::NoToken), "{said:?}");
        }
        for said in [&b"\xff\x7f"[..], b"\x80\x80", b"\xff\xff\xff\xff\xff\xff"] {
            assert_eq!(told(said), Err(SelectError::TooLong), "{said:?}");
        }
        let mut many = vec!["/multistream/1.0.0"];
        many.extend(["/unknown"; REFUSED_MAX]);
        assert_eq!(told(&tokens(&many)), Ok(None));
        many.push("/unknown");
        assert_eq!(told(&tokens(&many)), Err(SelectError::TooMany));
    }

    #[test]
    fn who_asks_hears_yes_no_or_nonsense() {
        let name = NAMES[1];
        let hear = |texts: &[&str]| {
            let mut out = BytesMut::new();
            let mut asking = Asking::begin(name, &mut out);
            assert_eq!(out, tokens(&["/multistream/1.0.0", name]));
            let mut heard = tokens(texts);
            heard.extend_from_slice(b"d");
            asking.take(name, &mut heard).inspect(|is_agreed| assert!(!is_agreed || heard == b"d"[..]))
        };
        assert_eq!(hear(&["/multistream/1.0.0", name]), Ok(true));
        assert_eq!(hear(&["/multistream/1.0.0"]), Ok(false));
        assert_eq!(hear(&["/multistream/1.0.0", "na"]), Err(SelectError::Refused));
        assert_eq!(hear(&["/multistream/1.0.0", "/else"]), Err(SelectError::Unasked));
        assert_eq!(hear(&["/multistream/1.0.0", "/multistream/1.0.0"]), Err(SelectError::Unasked));
        assert_eq!(hear(&["na"]), Err(SelectError::NoHeader));
    }
}
