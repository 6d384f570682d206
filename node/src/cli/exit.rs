//! Says how a command ends: an exit code, and one line for people.

use crate::config::ConfigError;
use crate::data::DataError;
use std::fmt;

/// Exit codes that scripts rely on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// Failed.
    Failed = 1,
    /// Used wrongly.
    Usage = 2,
    /// No such daemon.
    Unavailable = 69,
    /// The data folder cannot be made.
    CannotCreate = 73,
    /// The data folder is in use.
    InUse = 75,
    /// The configuration is wrong.
    Config = 78,
    /// Ended by SIGINT.
    Interrupted = 130,
    /// Ended by SIGTERM.
    Terminated = 143,
}

/// Why a command did not do what was wanted.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The exit code.
    pub(crate) code: Code,
    /// What is wrong and what to do, one line; nothing when it has been said.
    pub(crate) text: String,
}

impl Failure {
    /// A plain failure.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { code: Code::Failed, text: text.into() }
    }

    /// Used wrongly.
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self { code: Code::Usage, text: text.into() }
    }

    /// Nothing left to say.
    pub(crate) fn silent(code: Code) -> Self {
        Self { code, text: String::new() }
    }
}

impl fmt::Display for Failure {
    // One line, whatever a library puts into its words.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, line) in self.text.lines().map(str::trim).filter(|line| !line.is_empty()).enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            f.write_str(line)?;
        }
        Ok(())
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let code = if error.is_usage() { Code::Usage } else { Code::Config };
        Self { code, text: error.to_string() }
    }
}

impl From<DataError> for Failure {
    fn from(error: DataError) -> Self {
        let code = match error {
            DataError::Unmakeable { .. } | DataError::Nowhere => Code::CannotCreate,
            DataError::InUse { .. } => Code::InUse,
            _ => Code::Failed,
        };
        Self { code, text: error.to_string() }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        match error.downcast::<ConfigError>() {
            Ok(error) => error.into(),
            Err(error) => Self::new(format!("{error:#}")),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(error.to_string())
    }
}
