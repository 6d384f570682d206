//! Describes one key of the configuration: its name, what values it takes, what it means.

use polypeer_engine::Target;
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// Named peers of one network: as many as the dialer keeps.
const TARGETS_MAX: usize = 1024;
/// Accounts of an own network's genesis: enough for any test, 4 MiB of genesis root input at most.
const ACCOUNTS_MAX: usize = 100_000;
/// A day, the longest that a timer may be set to.
const DURATION_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// One key of a section.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name, as the file has it; `-` and `_` are the same on the command line.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// Its default, written like an environment variable's value; nothing when it is unset.
    pub default: Option<&'static str>,
    /// What follows from it, one line.
    pub doc: &'static str,
}

/// What a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Flag,
    /// A whole number in a range, both ends included.
    Count(u64, u64),
    /// A time such as `"10s"` or `"500ms"`, more than nothing, at most a day.
    Span,
    /// An IP address and port.
    Socket,
    /// An IP address and port, or `"none"`.
    Listen,
    /// A list of `HOST:PORT`.
    Targets,
    /// A list of networks' names.
    Names,
    /// The path of a file or folder.
    Path,
    /// One of a few words.
    Choice(&'static [&'static str]),
    /// Text of at most so many bytes.
    Text(usize),
    /// A proof-of-work target in compact form, 8 hex digits.
    Compact,
    /// Initial balances: a table from key (64 hex digits) to balance, or a list of `KEY:BALANCE`.
    Accounts,
}

/// A value that fits its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Of [`Kind::Flag`].
    Flag(bool),
    /// Of [`Kind::Count`].
    Count(u64),
    /// Of [`Kind::Span`].
    Span(Duration),
    /// Of every kind that is one text.
    Text(String),
    /// Of every kind that is a list.
    List(Vec<String>),
    /// Of [`Kind::Accounts`].
    Accounts(BTreeMap<String, u64>),
}

impl Kind {
    /// Reads a value as the command line, the environment and the defaults have it.
    pub fn parse(self, text: &str) -> Result<Value, String> {
        match self {
            Self::Flag | Self::Count(..) => match text.trim().parse::<toml::Value>() {
                Ok(value) => self.check(value),
                Err(_) => Err(self.expected(text)),
            },
            Self::Targets | Self::Names | Self::Accounts if !text.trim_start().starts_with(['[', '{']) => {
                let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
                self.check(toml::Value::Array(items.map(toml::Value::from).collect()))
            }
            Self::Targets | Self::Names | Self::Accounts => match text.trim().parse::<toml::Value>() {
                Ok(value) => self.check(value),
                Err(_) => Err(self.expected(text)),
            },
            _ => self.check(toml::Value::from(text)),
        }
    }

    /// Checks a value as the file has it.
    pub fn check(self, value: toml::Value) -> Result<Value, String> {
        let shown = || self.expected(&value.to_string());
        match (self, &value) {
            (Self::Flag, toml::Value::Boolean(flag)) => Ok(Value::Flag(*flag)),
            (Self::Count(min, max), toml::Value::Integer(number)) => match u64::try_from(*number) {
                Ok(number) if (min..=max).contains(&number) => Ok(Value::Count(number)),
                _ => Err(shown()),
            },
            (Self::Compact, toml::Value::Integer(number)) => match u32::try_from(*number) {
                Ok(number) => Ok(Value::Text(format!("{number:08x}"))),
                Err(_) => Err(shown()),
            },
            (Self::Span, toml::Value::String(text)) => self.span(text).ok_or_else(shown).map(Value::Span),
            (Self::Targets | Self::Names, toml::Value::Array(items)) => self.list(items),
            (Self::Accounts, _) => self.accounts(&value),
            (_, toml::Value::String(text)) if self.fits(text) => Ok(Value::Text(text.clone())),
            _ => Err(shown()),
        }
    }

    fn span(self, text: &str) -> Option<Duration> {
        humantime::parse_duration(text).ok().filter(|span| !span.is_zero() && *span <= DURATION_MAX)
    }

    fn fits(self, text: &str) -> bool {
        match self {
            Self::Socket => text.parse::<SocketAddr>().is_ok(),
            Self::Listen => text == "none" || text.parse::<SocketAddr>().is_ok(),
            Self::Path => !text.is_empty(),
            Self::Choice(words) => words.contains(&text),
            Self::Text(max) => text.len() <= max,
            Self::Compact => text.len() == 8 && u32::from_str_radix(text, 16).is_ok(),
            _ => false,
        }
    }

    fn list(self, items: &[toml::Value]) -> Result<Value, String> {
        if items.len() > TARGETS_MAX {
            return Err(format!("at most {TARGETS_MAX} entries"));
        }
        let read = |item: &toml::Value| match item.as_str() {
            Some(text) if self == Self::Names && !text.is_empty() => Ok(text.to_owned()),
            Some(text) if self == Self::Targets && target(text).is_some() => Ok(text.to_owned()),
            _ => Err(self.expected(&item.to_string())),
        };
        items.iter().map(read).collect::<Result<_, _>>().map(Value::List)
    }

    fn accounts(self, value: &toml::Value) -> Result<Value, String> {
        let pairs: Vec<(String, Option<u64>)> = match value {
            toml::Value::Table(table) => table.iter().map(|(key, value)| (key.clone(), whole(Some(value)))).collect(),
            toml::Value::Array(items) => items.iter().map(account).collect(),
            _ => return Err(self.expected(&value.to_string())),
        };
        let mut accounts = BTreeMap::new();
        for (key, balance) in pairs {
            let Some(balance) = balance.filter(|_| is_key(&key)) else { return Err(self.expected(&key)) };
            if accounts.insert(key.to_ascii_lowercase(), balance).is_some() {
                return Err(format!("the account {key} is there twice"));
            }
        }
        if accounts.len() > ACCOUNTS_MAX {
            return Err(format!("at most {ACCOUNTS_MAX} accounts"));
        }
        Ok(Value::Accounts(accounts))
    }

    fn expected(self, got: &str) -> String {
        format!("expected {self}, got {got}")
    }
}

fn account(item: &toml::Value) -> (String, Option<u64>) {
    match item {
        toml::Value::Table(table) => {
            let key = table.get("key").and_then(toml::Value::as_str).unwrap_or_default();
            (key.to_owned(), whole(table.get("balance")))
        }
        toml::Value::String(text) => match text.split_once(':') {
            Some((key, balance)) => (key.trim().to_owned(), balance.trim().parse().ok()),
            None => (text.clone(), None),
        },
        other => (other.to_string(), None),
    }
}

fn whole(value: Option<&toml::Value>) -> Option<u64> {
    u64::try_from(value?.as_integer()?).ok()
}

fn is_key(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Reads `HOST:PORT`, an address or a name; nothing when it is neither.
pub fn target(text: &str) -> Option<Target> {
    if let Ok(address) = text.parse() {
        return Some(Target::Address(address));
    }
    let (name, port) = text.rsplit_once(':')?;
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.' || byte == b'_';
    let port = port.parse().ok().filter(|port| *port != 0)?;
    // 253 is the longest host name that DNS has. All digits and dots is an address that did not parse.
    let is_host = !name.is_empty() && name.len() <= 253 && name.bytes().all(is_name);
    let is_number = name.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    (is_host && !is_number).then(|| Target::Name(name.to_owned(), port))
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("true or false"),
            Self::Count(min, u64::MAX) => write!(f, "a whole number from {min} up"),
            Self::Count(min, max) => write!(f, "a whole number from {min} to {max}"),
            Self::Span => f.write_str("a time such as \"10s\" or \"500ms\", at most a day"),
            Self::Socket => f.write_str("an address such as \"127.0.0.1:7330\""),
            Self::Listen => f.write_str("an address such as \"0.0.0.0:7333\", or \"none\""),
            Self::Targets => f.write_str("a list of \"HOST:PORT\""),
            Self::Names => f.write_str("a list of networks' names"),
            Self::Path => f.write_str("a path"),
            Self::Choice(words) => write!(f, "one of {}", words.join(", ")),
            Self::Text(max) => write!(f, "text of at most {max} bytes"),
            Self::Compact => f.write_str("8 hex digits such as \"2000ffff\""),
            Self::Accounts => f.write_str("a table from key (64 hex digits) to balance"),
        }
    }
}

impl Value {
    /// The value as the file would have it.
    pub fn to_toml(&self) -> toml::Value {
        match self {
            Self::Flag(flag) => toml::Value::Boolean(*flag),
            Self::Count(number) => toml::Value::Integer(i64::try_from(*number).unwrap_or(i64::MAX)),
            Self::Span(span) => toml::Value::String(humantime::format_duration(*span).to_string()),
            Self::Text(text) => toml::Value::String(text.clone()),
            Self::List(items) => toml::Value::Array(items.iter().cloned().map(toml::Value::String).collect()),
            Self::Accounts(accounts) => {
                let entry = |(key, balance): (&String, &u64)| {
                    (key.clone(), toml::Value::Integer(i64::try_from(*balance).unwrap_or(i64::MAX)))
                };
                toml::Value::Table(accounts.iter().map(entry).collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_takes_what_it_says_and_nothing_else() {
        let good: &[(Kind, &str)] = &[
            (Kind::Flag, "true"),
            (Kind::Count(1, 9), "9"),
            (Kind::Span, "500ms"),
            (Kind::Socket, "[::1]:80"),
            (Kind::Listen, "none"),
            (Kind::Targets, "127.0.0.1:1, node.example:7333"),
            (Kind::Targets, "[\"127.0.0.1:1\"]"),
            (Kind::Targets, ""),
            (Kind::Choice(&["a", "b"]), "b"),
            (Kind::Text(3), "abc"),
            (Kind::Compact, "2000ffff"),
        ];
        for (kind, text) in good {
            assert!(kind.parse(text).is_ok(), "{kind:?} {text}");
        }
        let bad: &[(Kind, &str)] = &[
            (Kind::Flag, "yes"),
            (Kind::Count(1, 9), "10"),
            (Kind::Count(1, 9), "-1"),
            (Kind::Span, "0s"),
            (Kind::Span, "10"),
            (Kind::Span, "2days"),
            (Kind::Socket, "localhost:80"),
            (Kind::Targets, "127.0.0.1"),
            (Kind::Targets, "1.2.3:4"),
            (Kind::Choice(&["a", "b"]), "c"),
            (Kind::Text(3), "abcd"),
            (Kind::Compact, "2000fff"),
            (Kind::Accounts, "12:4"),
        ];
        for (kind, text) in bad {
            assert!(kind.parse(text).is_err(), "{kind:?} {text}");
        }
    }

    #[test]
    fn accounts_are_a_table_or_a_list() {
        let key = "ab".repeat(32);
        let expected = Value::Accounts(BTreeMap::from([(key.clone(), 7)]));
        for text in
            [format!("{key}:7"), format!("{{ \"{key}\" = 7 }}"), format!("[{{ key = \"{key}\", balance = 7 }}]")]
        {
            assert_eq!(Kind::Accounts.parse(&text), Ok(expected.clone()), "{text}");
        }
        assert!(Kind::Accounts.parse(&format!("{key}:7,{key}:8")).is_err());
    }
}
