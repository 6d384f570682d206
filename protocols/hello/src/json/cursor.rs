//! Reads values out of a line that was checked, one after another.

use super::scan::{Entry, plain_run};
use super::{INTEGER_MAX, Text};

/// A place in a line that [`super::check`] has passed. Each reader gives nothing when the value there has another
/// form; the cursor is of no more use then.
#[derive(Clone, Debug)]
pub struct Cursor<'a> {
    line: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    /// The beginning of the entry's value.
    pub fn new(entry: &Entry<'a>) -> Self {
        Self { line: entry.line, at: entry.value_at }
    }

    /// Steps into an object; [`Cursor::key`] then gives its keys.
    pub fn object(&mut self) -> Option<()> {
        self.take(b'{')
    }

    /// The next key of the object, and the cursor before its value; nothing at the object's end, which is passed.
    pub fn key(&mut self) -> Option<Text<'a>> {
        if self.take(b'}').is_some() {
            return None;
        }
        let _ = self.take(b',');
        let key = self.text()?;
        self.take(b':')?;
        Some(key)
    }

    /// Steps into an array; [`Cursor::has_item`] then goes from item to item.
    pub fn array(&mut self) -> Option<()> {
        self.take(b'[')
    }

    /// Whether there is another item of the array, with the cursor before it; the array's end is passed.
    pub fn has_item(&mut self) -> bool {
        if self.take(b']').is_some() {
            return false;
        }
        let _ = self.take(b',');
        true
    }

    /// A string.
    pub fn text(&mut self) -> Option<Text<'a>> {
        self.take(b'"')?;
        let begin = self.at;
        let mut is_escaped = false;
        loop {
            self.at += plain_run(self.line.as_bytes().get(self.at..)?);
            if *self.line.as_bytes().get(self.at)? == b'"' {
                break;
            }
            is_escaped = true;
            self.at += 2;
        }
        self.at += 1;
        Some(Text::new(&self.line[begin..self.at - 1], is_escaped))
    }

    /// An integer from 0 to [`INTEGER_MAX`], in plain digits: no sign, fraction or exponent.
    pub fn integer(&mut self) -> Option<u64> {
        self.skip_space();
        let rest = self.line.as_bytes().get(self.at..)?;
        // The largest has 16 digits, and the check has refused leading zeros: more digits are too many.
        let digits = rest.iter().take(17).take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 || digits > 16 || matches!(rest.get(digits), Some(b'.' | b'e' | b'E')) {
            return None;
        }
        self.at += digits;
        let number = rest[..digits].iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0'));
        (number <= INTEGER_MAX).then_some(number)
    }

    /// `null`.
    pub fn null(&mut self) -> Option<()> {
        self.take(b'n')?;
        self.at += "ull".len();
        Some(())
    }

    /// Passes over one value, whatever it is.
    pub fn skip(&mut self) -> Option<()> {
        let mut depth = 0_u32;
        loop {
            self.skip_space();
            match *self.line.as_bytes().get(self.at)? {
                b'"' => {
                    self.text()?;
                }
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' => {
                    depth = depth.checked_sub(1)?;
                    self.at += 1;
                }
                b',' | b':' => {
                    self.at += 1;
                    continue;
                }
                _ => self.skip_word(),
            }
            if depth == 0 {
                return Some(());
            }
        }
    }

    // A number or a literal: up to what can follow one.
    fn skip_word(&mut self) {
        let ends = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r');
        let rest = &self.line.as_bytes()[self.at..];
        self.at += rest.iter().position(ends).unwrap_or(rest.len());
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        self.skip_space();
        if self.line.as_bytes().get(self.at) != Some(&byte) {
            return None;
        }
        self.at += 1;
        Some(())
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.line.as_bytes().get(self.at) {
            self.at += 1;
        }
    }
}
