//! Holds one section: its keys, their values, and where each value came from.

use super::{ConfigError, Key, Value, nearest};
use crate::networks::Preset;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Where a value came from, the weakest first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Nobody said otherwise.
    Default,
    /// The network's preset.
    Preset,
    /// A line of the file.
    File(PathBuf, usize),
    /// An environment variable.
    Environment(String),
    /// A flag.
    CommandLine(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Preset => f.write_str("preset"),
            Self::File(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::CommandLine(flag) => write!(f, "command line {flag}"),
        }
    }
}

/// A value and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The value.
    pub value: Value,
    /// Where it came from.
    pub origin: Origin,
}

/// One section.
#[derive(Clone, Debug)]
pub struct Section {
    /// Its name as the file has it.
    pub name: String,
    /// Its keys, in the order that people read them.
    pub keys: Vec<&'static Key>,
    settings: BTreeMap<&'static str, Setting>,
}

impl Section {
    /// A section with these keys, at their defaults.
    pub(super) fn new(name: String, keys: &[&'static [Key]]) -> Self {
        let keys: Vec<&'static Key> = keys.iter().copied().flatten().collect();
        let default = |key: &&'static Key| {
            let value = key.kind.parse(key.default?).expect("a test parses every default");
            Some((key.name, Setting { value, origin: Origin::Default }))
        };
        let settings = keys.iter().filter_map(default).collect();
        Self { name, keys, settings }
    }

    pub(super) fn preset(&mut self, preset: &Preset) {
        for (key, text) in preset.values {
            self.set_text(key, text, Origin::Preset).expect("a test parses every preset");
        }
    }

    /// Sets a value that the file has, unless a stronger layer has spoken.
    pub(super) fn set(&mut self, key: &str, value: toml::Value, origin: Origin) -> Result<(), ConfigError> {
        let known = self.known(key, &origin)?;
        let checked = known.kind.check(value);
        self.put(known, checked, origin)
    }

    /// Sets a value that is text.
    pub(super) fn set_text(&mut self, key: &str, text: &str, origin: Origin) -> Result<(), ConfigError> {
        let known = self.known(key, &origin)?;
        let checked = known.kind.parse(text);
        self.put(known, checked, origin)
    }

    fn known(&self, key: &str, origin: &Origin) -> Result<&'static Key, ConfigError> {
        self.keys.iter().copied().find(|known| known.name == key).ok_or_else(|| ConfigError::UnknownKey {
            origin: origin.clone(),
            section: self.name.clone(),
            key: key.to_owned(),
            hint: nearest(key, self.keys.iter().map(|key| key.name)),
        })
    }

    fn put(&mut self, key: &'static Key, value: Result<Value, String>, origin: Origin) -> Result<(), ConfigError> {
        let value = value.map_err(|what| ConfigError::Wrong {
            origin: origin.clone(),
            section: self.name.clone(),
            key: key.name.to_owned(),
            what,
        })?;
        self.settings.insert(key.name, Setting { value, origin });
        Ok(())
    }

    /// A key's value and origin; nothing when it is unset.
    pub fn get(&self, key: &str) -> Option<&Setting> {
        debug_assert!(self.keys.iter().any(|known| known.name == key), "no key {key} in [{}]", self.name);
        self.settings.get(key)
    }

    /// Says that a key's value cannot be used, and where it stands.
    pub fn wrong(&self, key: &str, what: impl fmt::Display) -> ConfigError {
        let origin = self.get(key).map_or(Origin::Default, |setting| setting.origin.clone());
        ConfigError::Wrong { origin, section: self.name.clone(), key: key.to_owned(), what: what.to_string() }
    }

    /// Whether a flag is set.
    pub fn flag(&self, key: &str) -> bool {
        matches!(self.get(key), Some(Setting { value: Value::Flag(true), .. }))
    }

    /// A number; 0 when it is unset.
    pub fn count(&self, key: &str) -> u64 {
        match self.get(key) {
            Some(Setting { value: Value::Count(number), .. }) => *number,
            _ => 0,
        }
    }

    /// A number that fits 32 bits, as its key's range says; the largest one otherwise.
    pub fn count_u32(&self, key: &str) -> u32 {
        u32::try_from(self.count(key)).unwrap_or(u32::MAX)
    }

    /// A number of bytes or of things in memory; the largest one where it does not fit.
    pub fn size(&self, key: &str) -> usize {
        usize::try_from(self.count(key)).unwrap_or(usize::MAX)
    }

    /// A time; nothing when it is unset.
    pub fn span(&self, key: &str) -> Duration {
        match self.get(key) {
            Some(Setting { value: Value::Span(span), .. }) => *span,
            _ => Duration::ZERO,
        }
    }

    /// A text; nothing when it is unset.
    pub fn text(&self, key: &str) -> Option<&str> {
        match self.get(key) {
            Some(Setting { value: Value::Text(text), .. }) => Some(text),
            _ => None,
        }
    }

    /// A list; empty when it is unset.
    pub fn list(&self, key: &str) -> &[String] {
        match self.get(key) {
            Some(Setting { value: Value::List(items), .. }) => items,
            _ => &[],
        }
    }

    /// Initial balances; nothing when they are unset.
    pub fn accounts(&self, key: &str) -> Option<&BTreeMap<String, u64>> {
        match self.get(key) {
            Some(Setting { value: Value::Accounts(accounts), .. }) => Some(accounts),
            _ => None,
        }
    }
}
