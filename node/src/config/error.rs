//! Says what is wrong with a configuration, in one line, and what to do about it.

use super::Origin;
use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// Why a configuration cannot be used.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is larger than any configuration is.
    #[error("the configuration {0} is larger than 8 MiB")]
    TooLarge(PathBuf),
    /// The file is not TOML.
    #[error("{path}:{line}: {what}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where, from 1.
        line: usize,
        /// The parser's word, on one line.
        what: String,
    },
    /// A key that nobody reads.
    #[error("{origin}: unknown key `{key}` in [{section}]{hint}")]
    UnknownKey {
        /// Where it stands.
        origin: Origin,
        /// The section.
        section: String,
        /// The key.
        key: String,
        /// The nearest key, as a question; or nothing.
        hint: String,
    },
    /// A section that nobody reads.
    #[error("{origin}: unknown section [{section}]{hint}")]
    UnknownSection {
        /// Where it stands.
        origin: Origin,
        /// The section.
        section: String,
        /// The nearest section, as a question; or nothing.
        hint: String,
    },
    /// A value that does not fit its key.
    #[error("{origin}: `{key}` in [{section}]: {what}")]
    Wrong {
        /// Where it stands.
        origin: Origin,
        /// The section.
        section: String,
        /// The key.
        key: String,
        /// What was expected and what is there.
        what: String,
    },
    /// An own network without a protocol, or with a name that cannot be one.
    #[error("[networks.{name}]: {what}")]
    Network {
        /// Its name.
        name: String,
        /// What is wrong.
        what: String,
    },
    /// A network that is neither built in nor in the configuration.
    #[error("unknown network `{name}`{hint}")]
    UnknownNetwork {
        /// As it was asked for.
        name: String,
        /// The nearest one, as a question; or the list.
        hint: String,
    },
}

impl ConfigError {
    /// Whether the command line is to blame, not the configuration.
    pub fn is_usage(&self) -> bool {
        match self {
            Self::UnknownNetwork { .. } => true,
            Self::UnknownKey { origin, .. } | Self::UnknownSection { origin, .. } | Self::Wrong { origin, .. } => {
                matches!(origin, Origin::CommandLine(_))
            }
            _ => false,
        }
    }
}

/// The nearest of `known`, as a question; nothing when none is near.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    /// Below this likeness a suggestion is noise.
    const LIKENESS_MIN: f64 = 0.6;
    let scored = known.into_iter().map(|other| (strsim::jaro_winkler(word, other), other));
    let best = scored.max_by(|a, b| a.0.total_cmp(&b.0)).filter(|(likeness, _)| *likeness >= LIKENESS_MIN);
    best.map_or_else(String::new, |(_, other)| format!("; did you mean `{other}`?"))
}
