//! Reads a map of autonomous systems: a prefix and a number a line.
//!
//! ```text
//! # comments and empty lines are skipped
//! 1.1.1.0/24 13335
//! 2606:4700::/32 AS13335
//! ```

use polypeer_engine::{AS_PREFIXES_MAX, AsMap, AsPrefix};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// A line: the longest prefix, a number, and a comment.
const LINE_BYTES_MAX: u64 = 1024;

/// Why a map cannot be used.
#[derive(Debug, Error)]
pub enum AsMapError {
    /// It cannot be read.
    #[error("cannot read the map of autonomous systems {0}: {1}")]
    Unreadable(PathBuf, std::io::Error),
    /// A line is not a prefix and a number.
    #[error("{path}:{line}: {what}")]
    Line {
        /// The file.
        path: PathBuf,
        /// Where, from 1.
        line: usize,
        /// What is wrong.
        what: &'static str,
    },
}

/// Reads a map. It has at most 2,000,000 prefixes; the longest that covers an address decides.
pub fn read(path: &Path) -> Result<AsMap, AsMapError> {
    let file = File::open(path).map_err(|error| AsMapError::Unreadable(path.to_owned(), error))?;
    parse(path, BufReader::new(file))
}

/// Reads what stands, or could stand, in the file `path`.
pub fn parse(path: &Path, mut file: impl BufRead) -> Result<AsMap, AsMapError> {
    let unreadable = |error| AsMapError::Unreadable(path.to_owned(), error);
    let mut prefixes = Vec::new();
    let mut text = Vec::new();
    for line in 1.. {
        text.clear();
        if (&mut file).take(LINE_BYTES_MAX).read_until(b'\n', &mut text).map_err(unreadable)? == 0 {
            break;
        }
        let wrong = |what| AsMapError::Line { path: path.to_owned(), line, what };
        let is_cut = text.len() as u64 == LINE_BYTES_MAX && !text.ends_with(b"\n");
        let words = std::str::from_utf8(&text).ok().filter(|_| !is_cut);
        let words = words.ok_or_else(|| wrong("a line is text of less than 1,024 bytes"))?;
        let words: Vec<&str> = words.split('#').next().unwrap_or_default().split_whitespace().collect();
        match words[..] {
            [] => continue,
            [prefix, number] => prefixes.push(entry(prefix, number).map_err(wrong)?),
            _ => return Err(wrong("a line is `PREFIX NUMBER`, such as `1.1.1.0/24 13335`")),
        }
        if prefixes.len() > AS_PREFIXES_MAX {
            return Err(wrong("a map has at most 2,000,000 prefixes"));
        }
    }
    Ok(AsMap::new(prefixes))
}

fn entry(prefix: &str, number: &str) -> Result<AsPrefix, &'static str> {
    let (ip, bits) = prefix.split_once('/').ok_or("a prefix is `ADDRESS/BITS`")?;
    let ip: IpAddr = ip.parse().map_err(|_| "the prefix has no IP address")?;
    let bits: u8 = bits.parse().map_err(|_| "the prefix has no number of bits")?;
    if bits > if ip.is_ipv4() { 32 } else { 128 } {
        return Err("a prefix has at most 32 bits for IPv4, 128 for IPv6");
    }
    let number = number.strip_prefix("AS").unwrap_or(number);
    let number = number.parse().map_err(|_| "the number of a system is below 2^32")?;
    Ok(AsPrefix { ip, bits, number })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<AsMap, AsMapError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        read(file.path())
    }

    #[test]
    fn a_map_is_prefixes_and_numbers() {
        let map = read_text("# a comment\n\n1.0.0.0/8 1\n1.2.0.0/16 AS2 # another\n2a00::/16\t3").unwrap();
        for (ip, number) in [("1.1.1.1", Some(1)), ("1.2.3.4", Some(2)), ("2a00::1", Some(3)), ("9.9.9.9", None)] {
            assert_eq!(map.number(ip.parse().unwrap()), number, "{ip}");
        }
        assert!(read_text("").unwrap().is_empty());
    }

    #[test]
    fn a_wrong_line_is_named() {
        let long = format!("1.0.0.0/8 {}", "1".repeat(2_000));
        for line in ["1.0.0.0/8", "1.0.0.0 1", "1.0.0/8 1", "1.0.0.0/33 1", "::/129 1", "::/8 x", "a b c", &long] {
            let error = read_text(&format!("1.0.0.0/8 1\n{line}\n")).unwrap_err().to_string();
            assert!(error.contains(":2: "), "{line}: {error}");
        }
    }
}
