//! Reads the file: TOML, one section a network, every value with its line.

use super::{ConfigError, Origin};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};

/// A configuration's size in bytes: 100,000 accounts and room to spare.
const FILE_BYTES_MAX: u64 = 8 << 20;

/// What a file says.
#[derive(Debug, Default)]
pub(super) struct File {
    /// Its sections, the empty ones too, and where they begin.
    pub(super) sections: BTreeMap<String, Origin>,
    /// Its values.
    pub(super) lines: Vec<Line>,
}

/// One value.
#[derive(Debug)]
pub(super) struct Line {
    /// The section; `networks.NAME` for an own network.
    pub(super) section: String,
    /// The key.
    pub(super) key: String,
    /// The value.
    pub(super) value: toml::Value,
    /// Where it stands.
    pub(super) origin: Origin,
}

/// Reads a file.
pub(super) fn read(path: &Path) -> Result<File, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(ConfigError::TooLarge(path.to_owned()));
    }
    parse(path, &text)
}

/// Reads text that stands, or could stand, in this file.
pub(super) fn parse(path: &Path, text: &str) -> Result<File, ConfigError> {
    Reading { path, text, file: File::default() }.run()
}

struct Reading<'a> {
    path: &'a Path,
    text: &'a str,
    file: File,
}

impl<'a> Reading<'a> {
    fn run(mut self) -> Result<File, ConfigError> {
        let root = DeTable::parse(self.text).map_err(|error| self.syntax(&error))?;
        for (name, value) in root.get_ref().iter() {
            let at = name.span().start;
            match value.get_ref() {
                DeValue::Table(networks) if name.get_ref() == "networks" => {
                    for (name, value) in networks.iter() {
                        self.section(format!("networks.{}", name.get_ref()), name.span().start, value.get_ref())?;
                    }
                }
                value => self.section(name.get_ref().to_string(), at, value)?,
            }
        }
        Ok(self.file)
    }

    fn section(&mut self, section: String, at: usize, value: &DeValue<'a>) -> Result<(), ConfigError> {
        let DeValue::Table(table) = value else {
            let what = format!("`{section}` stands outside any section; put it under [node] or a network");
            return Err(ConfigError::Syntax { path: self.path.to_owned(), line: self.line(at), what });
        };
        for (key, value) in table.iter() {
            let origin = self.origin(key.span().start);
            let (section, key) = (section.clone(), key.get_ref().to_string());
            let value = self.plain(value.get_ref().clone(), value.span().start)?;
            self.file.lines.push(Line { section, key, value, origin });
        }
        let origin = self.origin(at);
        self.file.sections.insert(section, origin);
        Ok(())
    }

    // Takes the spans off a value.
    fn plain(&self, value: DeValue<'a>, at: usize) -> Result<toml::Value, ConfigError> {
        let fault = |what: &str| {
            let what = what.to_owned();
            ConfigError::Syntax { path: self.path.to_owned(), line: self.line(at), what }
        };
        Ok(match value {
            DeValue::String(text) => toml::Value::String(text.into_owned()),
            DeValue::Boolean(flag) => toml::Value::Boolean(flag),
            DeValue::Integer(number) => {
                let parsed = i64::from_str_radix(number.as_str(), number.radix());
                toml::Value::Integer(parsed.map_err(|_| fault("a number too large"))?)
            }
            DeValue::Float(number) => toml::Value::Float(number.as_str().parse().map_err(|_| fault("not a number"))?),
            DeValue::Datetime(datetime) => toml::Value::Datetime(datetime),
            DeValue::Array(items) => {
                let plain = |item: &toml::Spanned<DeValue<'a>>| self.plain(item.get_ref().clone(), item.span().start);
                toml::Value::Array(items.iter().map(plain).collect::<Result<_, _>>()?)
            }
            DeValue::Table(table) => {
                let mut plain = toml::Table::new();
                for (key, value) in table.iter() {
                    plain.insert(key.get_ref().to_string(), self.plain(value.get_ref().clone(), value.span().start)?);
                }
                toml::Value::Table(plain)
            }
        })
    }

    fn syntax(&self, error: &toml::de::Error) -> ConfigError {
        let line = self.line(error.span().map_or(0, |span| span.start));
        let what = error.message().lines().collect::<Vec<_>>().join(", ");
        ConfigError::Syntax { path: self.path.to_owned(), line, what }
    }

    fn origin(&self, at: usize) -> Origin {
        Origin::File(PathBuf::from(self.path), self.line(at))
    }

    fn line(&self, at: usize) -> usize {
        1 + self.text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count()
    }
}
