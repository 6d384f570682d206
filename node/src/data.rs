//! Keeps the data folder: locked as a whole, secrets readable by their owner only.

use rustix::process::{Pid, getpid};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// The file that holds the lock and names the process.
const LOCK: &str = "lock";
/// The file with the API's token.
pub const TOKEN: &str = "api.token";
/// The file with the API's address while the node runs.
pub const API_ADDRESS: &str = "api.address";
/// The file with the seed of the producer's key.
pub const PRODUCER_KEY: &str = "producer.key";

/// Why a data folder cannot be used.
#[derive(Debug, Error)]
pub enum DataError {
    /// There is none, and it cannot be made.
    #[error("cannot make the data folder {path}: {source}; choose another with --data-dir")]
    Unmakeable {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process has it.
    #[error("the data folder {path} is in use by {holder}; stop it or choose another with --data-dir")]
    InUse {
        /// The folder.
        path: PathBuf,
        /// The process, as it calls itself.
        holder: String,
    },
    /// A file in it cannot be read or written.
    #[error("cannot use {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A secret's file does not hold 64 hex digits.
    #[error("{0} does not hold 64 hex digits; remove it to have it made anew")]
    NotASecret(PathBuf),
    /// The system's chance is out of reach.
    #[error("no random bytes from the system: {0}")]
    Entropy(getrandom::Error),
    /// Nobody said where, and the environment does not tell either.
    #[error("no data folder: set --data-dir, XDG_DATA_HOME or HOME")]
    Nowhere,
}

/// A data folder that this process has for itself. The lock goes with it.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
    _lock: File,
}

/// The data folder when nobody says otherwise: `$XDG_DATA_HOME/polypeer`.
pub fn default_folder() -> Result<PathBuf, DataError> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    // The base directory specification: a relative path is ignored.
    let base = set("XDG_DATA_HOME").filter(|path| path.is_absolute());
    let base = base.or_else(|| set("HOME").map(|home| home.join(".local/share")));
    base.map(|base| base.join("polypeer")).ok_or(DataError::Nowhere)
}

impl DataFolder {
    /// Makes the folder if needed, and locks it.
    pub fn lock(path: &Path) -> Result<Self, DataError> {
        let unmakeable = |source| DataError::Unmakeable { path: path.to_owned(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(unmakeable)?;
        let mut options = OpenOptions::new();
        let lock = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path.join(LOCK));
        let mut lock = lock.map_err(unmakeable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                let path = path.to_owned();
                return Err(DataError::InUse { path, holder: holder(&mut lock) });
            }
            Err(fs::TryLockError::Error(source)) => return Err(unmakeable(source)),
        }
        let name = format!("process {} (polypeer)\n", Pid::as_raw(Some(getpid())));
        lock.set_len(0).and_then(|()| lock.write_all(name.as_bytes())).map_err(unmakeable)?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// One network's folder, made if needed.
    pub fn network(&self, name: &str) -> Result<PathBuf, DataError> {
        let path = self.path.join(name);
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&path);
        made.map_err(|source| DataError::Unmakeable { path: path.clone(), source })?;
        Ok(path)
    }

    /// The API's token, made when it is missing or when others could read it. A damaged one is left as it is: somebody
    /// may have put it there.
    pub fn token(&self) -> Result<String, DataError> {
        let path = self.path.join(TOKEN);
        let is_private = |file: &fs::Metadata| file.permissions().mode() & 0o077 == 0;
        match fs::metadata(&path) {
            Ok(file) if is_private(&file) => read_secret(&path).map(const_hex::encode),
            _ => make_secret(&path).map(const_hex::encode),
        }
    }

    /// The seed of the producer's key, made when it is missing.
    pub fn producer_key(&self) -> Result<[u8; 32], DataError> {
        let path = self.path.join(PRODUCER_KEY);
        match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => make_secret(&path),
            _ => read_secret(&path),
        }
    }

    /// Says where the API listens, for commands that are given this folder.
    pub fn publish_api(&self, address: &str) -> Result<(), DataError> {
        write_private(&self.path.join(API_ADDRESS), &format!("{address}\n"))
    }
}

impl Drop for DataFolder {
    fn drop(&mut self) {
        // Left over it would only name an address where nobody answers.
        let _ = fs::remove_file(self.path.join(API_ADDRESS));
    }
}

/// Reads 32 bytes that a file holds as 64 hex digits.
pub fn read_secret(path: &Path) -> Result<[u8; 32], DataError> {
    let fault = |source| DataError::File { path: path.to_owned(), source };
    let mut text = String::new();
    let file = File::open(path).map_err(fault)?;
    // 64 digits and a line end; more is no secret of ours.
    file.take(128).read_to_string(&mut text).map_err(fault)?;
    let mut secret = [0; 32];
    let digits = text.trim();
    const_hex::decode_to_slice(digits, &mut secret).map_err(|_| DataError::NotASecret(path.to_owned()))?;
    Ok(secret)
}

fn make_secret(path: &Path) -> Result<[u8; 32], DataError> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(DataError::Entropy)?;
    write_private(path, &format!("{}\n", const_hex::encode(secret)))?;
    Ok(secret)
}

// Whole or not at all: written beside, flushed, renamed.
fn write_private(path: &Path, text: &str) -> Result<(), DataError> {
    let fault = |source| DataError::File { path: path.to_owned(), source };
    let beside = path.with_extension("new");
    let _ = fs::remove_file(&beside);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside).map_err(fault)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(fault)?;
    fs::rename(&beside, path).map_err(fault)
}

fn holder(lock: &mut File) -> String {
    let mut text = String::new();
    let read = lock.take(128).read_to_string(&mut text);
    match text.trim() {
        name if read.is_ok() && !name.is_empty() => name.to_owned(),
        _ => "another process".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_user_learns_who_the_first_is() {
        let folder = tempfile::tempdir().unwrap();
        let held = DataFolder::lock(folder.path()).unwrap();
        let refused = DataFolder::lock(folder.path()).unwrap_err();
        assert!(refused.to_string().contains(&format!("process {}", std::process::id())), "{refused}");
        drop(held);
        DataFolder::lock(folder.path()).unwrap();
    }

    #[test]
    fn secrets_are_private_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataFolder::lock(folder.path()).unwrap();
        let (token, key) = (data.token().unwrap(), data.producer_key().unwrap());
        for name in [TOKEN, PRODUCER_KEY] {
            let mode = fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        assert_eq!((data.token().unwrap(), data.producer_key().unwrap()), (token.clone(), key));
        fs::set_permissions(folder.path().join(TOKEN), fs::Permissions::from_mode(0o644)).unwrap();
        assert_ne!(data.token().unwrap(), token, "a token that others could read is replaced");
    }

    #[test]
    fn a_damaged_key_is_not_replaced_in_silence() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataFolder::lock(folder.path()).unwrap();
        fs::write(folder.path().join(PRODUCER_KEY), "too short").unwrap();
        assert!(matches!(data.producer_key(), Err(DataError::NotASecret(_))));
        data.token().unwrap();
        // Kept private, so that it is not replaced for being readable by others.
        fs::write(folder.path().join(TOKEN), "too short").unwrap();
        assert!(matches!(data.token(), Err(DataError::NotASecret(_))));
    }
}
