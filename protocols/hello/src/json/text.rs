//! Holds a string as it stands in the line, escapes and all.

use alloc::borrow::Cow;
use alloc::string::String;

/// What stands between two quotes of a line that was checked.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    raw: &'a str,
    is_escaped: bool,
}

impl<'a> Text<'a> {
    /// The text between two quotes; `is_escaped` says whether a backslash is in it.
    pub(super) const fn new(raw: &'a str, is_escaped: bool) -> Self {
        Self { raw, is_escaped }
    }

    /// What it says, escapes resolved. Copies only what has an escape in it.
    pub fn resolved(&self) -> Cow<'a, str> {
        if !self.is_escaped {
            return Cow::Borrowed(self.raw);
        }
        // Resolving never makes a text longer.
        let mut resolved = String::with_capacity(self.raw.len());
        resolved.extend(self.chars());
        Cow::Owned(resolved)
    }

    /// Whether it says this, escapes resolved.
    pub fn says(&self, what: &str) -> bool {
        if self.is_escaped { self.chars().eq(what.chars()) } else { self.raw == what }
    }

    /// Orders by what the texts say.
    pub fn compare(&self, other: &Self) -> core::cmp::Ordering {
        if self.is_escaped || other.is_escaped { self.chars().cmp(other.chars()) } else { self.raw.cmp(other.raw) }
    }

    /// Its characters, escapes resolved.
    pub fn chars(&self) -> Chars<'a> {
        Chars { rest: self.raw }
    }
}

/// The characters of a [`Text`].
#[derive(Clone, Debug)]
pub struct Chars<'a> {
    rest: &'a str,
}

impl Iterator for Chars<'_> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let first = chars.next()?;
        self.rest = chars.as_str();
        if first == '\\' { self.escape() } else { Some(first) }
    }
}

impl Chars<'_> {
    fn escape(&mut self) -> Option<char> {
        let (kind, rest) = self.rest.split_at_checked(1)?;
        self.rest = rest;
        Some(match kind {
            "b" => '\u{8}',
            "f" => '\u{c}',
            "n" => '\n',
            "r" => '\r',
            "t" => '\t',
            "u" => {
                let unit = self.unit()?;
                match unit {
                    0xd800..0xdc00 => {
                        // The check has seen to it that the other half follows.
                        self.rest = self.rest.strip_prefix("\\u")?;
                        let low = self.unit()?;
                        let code = 0x1_0000 + ((u32::from(unit) & 0x3ff) << 10) + (u32::from(low) & 0x3ff);
                        char::from_u32(code)?
                    }
                    _ => char::from_u32(u32::from(unit))?,
                }
            }
            other => other.chars().next()?,
        })
    }

    fn unit(&mut self) -> Option<u16> {
        let (digits, rest) = self.rest.split_at_checked(4)?;
        self.rest = rest;
        u16::from_str_radix(digits, 16).ok()
    }
}
