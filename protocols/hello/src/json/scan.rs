//! Walks a whole line once: is it JSON, how deep, and is a key there twice.

use super::{DEPTH_MAX, Text};
use alloc::vec::Vec;

/// The one entry of a message, checked: its key, and where its value begins.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The whole line.
    pub line: &'a str,
    /// The key, which names the method.
    pub key: Text<'a>,
    /// Where the value begins in the line.
    pub value_at: usize,
}

/// Why a line is refused, with the message's key where one was read.
#[derive(Clone, Copy, Debug)]
pub enum Fault<'a> {
    /// Not JSON, not UTF-8, or not an object.
    NotAnObject,
    /// An object without an entry.
    Empty,
    /// An object with more than one entry, under different keys.
    Crowded,
    /// The key is there twice, in the message itself or in its payload.
    Duplicate(Text<'a>),
    /// Nested deeper than [`DEPTH_MAX`]. What comes after was not read.
    TooDeep(Option<Text<'a>>),
}

/// Checks a line. White space around the object, a `\r\n` for one, is no fault.
pub fn check(line: &[u8]) -> Result<Entry<'_>, Fault<'_>> {
    let line = core::str::from_utf8(line).map_err(|_| Fault::NotAnObject)?;
    let mut scanner = Scanner::new(line);
    scanner.skip_space();
    if scanner.peek() != Some(b'{') {
        return Err(Fault::NotAnObject);
    }
    match scanner.document() {
        Ok(()) => scanner.verdict(),
        Err(Stop::NotJson) => Err(Fault::NotAnObject),
        Err(Stop::TooDeep) => Err(Fault::TooDeep(scanner.first)),
    }
}

enum Stop {
    NotJson,
    TooDeep,
}

/// Keys of a payload that are compared each with each; more are sorted.
const KEYS_COMPARED: usize = 16;

struct Scanner<'a> {
    line: &'a str,
    at: usize,
    depth: u32,
    // One bit a level, the innermost lowest: set for an object.
    objects: u32,
    first: Option<Text<'a>>,
    value_at: usize,
    entries: usize,
    is_repeated: bool,
    // Where the payload's keys begin: no more than a quarter of the line's bytes, however many there are.
    payload_keys: Vec<u32>,
}

impl<'a> Scanner<'a> {
    fn new(line: &'a str) -> Self {
        Self {
            line,
            at: 0,
            depth: 0,
            objects: 0,
            first: None,
            value_at: 0,
            entries: 0,
            is_repeated: false,
            payload_keys: Vec::new(),
        }
    }

    fn verdict(mut self) -> Result<Entry<'a>, Fault<'a>> {
        let key = self.first.ok_or(Fault::Empty)?;
        if self.is_repeated {
            return Err(Fault::Duplicate(key));
        }
        if self.entries > 1 {
            return Err(Fault::Crowded);
        }
        if self.has_payload_key_twice() {
            return Err(Fault::Duplicate(key));
        }
        Ok(Entry { line: self.line, key, value_at: self.value_at })
    }

    // One turn of the outer loop takes one value, or the opening of one.
    fn document(&mut self) -> Result<(), Stop> {
        loop {
            self.skip_space();
            let is_whole = match self.peek().ok_or(Stop::NotJson)? {
                b'{' => !self.open(true)?,
                b'[' => !self.open(false)?,
                b'"' => self.string().map(|_| true)?,
                b'-' | b'0'..=b'9' => self.number().map(|()| true)?,
                b't' => self.literal("true").map(|()| true)?,
                b'f' => self.literal("false").map(|()| true)?,
                b'n' => self.literal("null").map(|()| true)?,
                _ => return Err(Stop::NotJson),
            };
            if is_whole && self.close()? {
                self.skip_space();
                return if self.at == self.line.len() { Ok(()) } else { Err(Stop::NotJson) };
            }
        }
    }

    // Opens an array or an object. Whether a value comes next; an empty one is whole already.
    fn open(&mut self, is_object: bool) -> Result<bool, Stop> {
        self.at += 1;
        self.skip_space();
        // An empty one is as deep as a full one.
        if self.depth == DEPTH_MAX {
            return Err(Stop::TooDeep);
        }
        if self.peek() == Some(if is_object { b'}' } else { b']' }) {
            self.at += 1;
            return Ok(false);
        }
        self.depth += 1;
        self.objects = self.objects << 1 | u32::from(is_object);
        if is_object {
            self.key()?;
        }
        Ok(true)
    }

    // After a value: what ends with it, or what comes next. Whether the document is whole.
    fn close(&mut self) -> Result<bool, Stop> {
        while self.depth > 0 {
            self.skip_space();
            let is_object = self.objects & 1 == 1;
            match self.peek() {
                Some(b',') => {
                    self.at += 1;
                    if is_object {
                        self.skip_space();
                        self.key()?;
                    }
                    return Ok(false);
                }
                Some(b'}') if is_object => {}
                Some(b']') if !is_object => {}
                _ => return Err(Stop::NotJson),
            }
            self.at += 1;
            self.depth -= 1;
            self.objects >>= 1;
        }
        Ok(true)
    }

    fn key(&mut self) -> Result<(), Stop> {
        let begin = self.at;
        if self.peek() != Some(b'"') {
            return Err(Stop::NotJson);
        }
        let key = self.string()?;
        self.skip_space();
        if self.peek() != Some(b':') {
            return Err(Stop::NotJson);
        }
        self.at += 1;
        match self.depth {
            1 => self.entry(key),
            // Of the payload itself: an object that lies deeper is nobody's business.
            2 if self.entries == 1 => self.payload_keys.push(begin as u32),
            _ => {}
        }
        Ok(())
    }

    fn entry(&mut self, key: Text<'a>) {
        self.entries += 1;
        match self.first {
            None => {
                self.first = Some(key);
                self.value_at = self.at;
            }
            Some(first) => self.is_repeated |= first.compare(&key).is_eq(),
        }
    }

    fn has_payload_key_twice(&mut self) -> bool {
        let mut keys = core::mem::take(&mut self.payload_keys);
        if keys.len() <= KEYS_COMPARED {
            let is_twice = |at: usize| keys[..at].iter().any(|other| self.same_key(*other, keys[at]));
            return (1..keys.len()).any(is_twice);
        }
        keys.sort_unstable_by(|a, b| self.key_at(*a).compare(&self.key_at(*b)));
        keys.windows(2).any(|pair| self.same_key(pair[0], pair[1]))
    }

    fn same_key(&self, a: u32, b: u32) -> bool {
        self.key_at(a).compare(&self.key_at(b)).is_eq()
    }

    // The key that begins at this quote. It was read before, so it ends.
    fn key_at(&self, begin: u32) -> Text<'a> {
        let mut scanner = Scanner::new(self.line);
        scanner.at = begin as usize;
        scanner.string().unwrap_or(Text::new("", false))
    }

    fn string(&mut self) -> Result<Text<'a>, Stop> {
        self.at += 1;
        let begin = self.at;
        let mut is_escaped = false;
        loop {
            self.at += plain_run(&self.line.as_bytes()[self.at..]);
            match self.peek() {
                Some(b'"') => {
                    let text = Text::new(&self.line[begin..self.at], is_escaped);
                    self.at += 1;
                    return Ok(text);
                }
                Some(b'\\') => {
                    is_escaped = true;
                    self.escape()?;
                }
                _ => return Err(Stop::NotJson),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Stop> {
        self.at += 2;
        match self.line.as_bytes().get(self.at - 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(()),
            Some(b'u') => match self.unit()? {
                // A high half needs its low half, which cannot stand alone.
                0xd800..0xdc00 => {
                    if self.line.as_bytes().get(self.at..self.at + 2) != Some(b"\\u") {
                        return Err(Stop::NotJson);
                    }
                    self.at += 2;
                    if (0xdc00..0xe000).contains(&self.unit()?) { Ok(()) } else { Err(Stop::NotJson) }
                }
                0xdc00..0xe000 => Err(Stop::NotJson),
                _ => Ok(()),
            },
            _ => Err(Stop::NotJson),
        }
    }

    fn unit(&mut self) -> Result<u32, Stop> {
        let digits = self.line.as_bytes().get(self.at..self.at + 4).ok_or(Stop::NotJson)?;
        self.at += 4;
        digits.iter().try_fold(0, |unit, digit| {
            let value = char::from(*digit).to_digit(16).ok_or(Stop::NotJson)?;
            Ok(unit << 4 | value)
        })
    }

    fn number(&mut self) -> Result<(), Stop> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Stop> {
        let rest = &self.line.as_bytes()[self.at..];
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        if count > 0 { Ok(()) } else { Err(Stop::NotJson) }
    }

    fn literal(&mut self, word: &str) -> Result<(), Stop> {
        let is_there = self.line.as_bytes()[self.at..].starts_with(word.as_bytes());
        self.at += word.len();
        if is_there { Ok(()) } else { Err(Stop::NotJson) }
    }

    fn peek(&self) -> Option<u8> {
        self.line.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }
}

/// How many bytes from the front are neither a quote nor a backslash nor a control character. Eight at a time: most
/// bytes of this network stand in strings of hex digits.
pub(super) fn plain_run(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const TOPS: u64 = 0x8080_8080_8080_8080;
    // The top bit of each zero byte; a byte above a zero one may be marked too, never one below the first.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & TOPS;
    let mut run = 0;
    for chunk in bytes.chunks_exact(8) {
        let word = u64::from_le_bytes(chunk.try_into().unwrap_or([0; 8]));
        let quotes = zeros(word ^ (ONES * u64::from(b'"')));
        let escapes = zeros(word ^ (ONES * u64::from(b'\\')));
        let controls = word.wrapping_sub(ONES * 0x20) & !word & TOPS;
        let stops = quotes | escapes | controls;
        if stops != 0 {
            return run + (stops.trailing_zeros() / 8) as usize;
        }
        run += 8;
    }
    run + bytes[run..].iter().take_while(|byte| !matches!(byte, b'"' | b'\\' | 0..0x20)).count()
}
