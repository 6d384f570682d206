//! Signs votes: with a key of a file, or however the host does it.

use polypeer_bumo::keys::{KeyError, PrivateKey, PublicKey, SIGNATURE_BYTES};
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use thiserror::Error;

/// Bytes of a key file: the text has about 60.
const FILE_BYTES_MAX: u64 = 1_024;

/// Whoever has the validation key. The ledger asks only after what is signed is durable in the vote log, one vote after
/// the other, on its own thread: a signer that takes long makes every vote late.
pub trait Signer: Send {
    /// The key that others know. It does not change.
    fn public_key(&self) -> PublicKey;

    /// The signature of these bytes; nothing when it cannot be had now.
    fn sign(&self, message: &[u8]) -> Option<[u8; SIGNATURE_BYTES]>;
}

impl Signer for PrivateKey {
    fn public_key(&self) -> PublicKey {
        self.public()
    }

    fn sign(&self, message: &[u8]) -> Option<[u8; SIGNATURE_BYTES]> {
        Some(PrivateKey::sign(self, message))
    }
}

/// Why a key file is not used.
#[derive(Debug, Error)]
pub enum KeyFileError {
    /// It cannot be read or made.
    #[error("the key file cannot be read: {0}")]
    Io(#[from] io::Error),
    /// Others may read it.
    #[error("the key file has mode {0:o}: nobody but its owner may read it (0600)")]
    Open(u32),
    /// It holds no private key.
    #[error("the key file holds no private key: {0}")]
    Key(KeyError),
}

/// Reads the validation key of a file, which holds the text that begins with `priv`.
///
/// # Errors
/// When it cannot be read, is no key, or may be read by others.
pub fn read_key(path: &Path) -> Result<PrivateKey, KeyFileError> {
    let file = File::open(path)?;
    // Of what was opened, so that nobody puts another file into its place meanwhile.
    check_mode(&file)?;
    let mut text = String::new();
    file.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
    PrivateKey::parse(text.trim()).map_err(KeyFileError::Key)
}

/// Writes a key into a new file that only its owner may read.
///
/// # Errors
/// When it cannot be made, or is there already.
pub fn write_key(path: &Path, key: &PrivateKey) -> Result<(), KeyFileError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    writeln!(file, "{}", key.reveal())?;
    Ok(file.sync_all()?)
}

#[cfg(unix)]
fn check_mode(file: &File) -> Result<(), KeyFileError> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = file.metadata()?.permissions().mode() & 0o777;
    if mode & 0o077 == 0 { Ok(()) } else { Err(KeyFileError::Open(mode)) }
}

#[cfg(not(unix))]
fn check_mode(_: &File) -> Result<(), KeyFileError> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use polypeer_bumo::keys::Scheme;

    #[test]
    fn a_key_comes_back_from_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let key = PrivateKey::new(Scheme::Ed25519, [7; 32]).unwrap();
        write_key(&path, &key).unwrap();
        assert_eq!(read_key(&path).unwrap().public(), key.public());
        assert!(matches!(write_key(&path, &key), Err(KeyFileError::Io(_))), "a key is never written over");
    }

    #[cfg(unix)]
    #[test]
    fn a_key_that_others_may_read_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        write_key(&path, &PrivateKey::new(Scheme::Ed25519, [7; 32]).unwrap()).unwrap();
        for mode in [0o640, 0o604, 0o620] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert!(matches!(read_key(&path), Err(KeyFileError::Open(found)) if found == mode));
        }
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        assert!(matches!(read_key(&path), Err(KeyFileError::Io(_))));
        let key = PrivateKey::new(Scheme::Ed25519, [7; 32]).unwrap();
        write_key(&path, &key).unwrap();
        std::fs::write(&path, "priv").unwrap();
        assert!(matches!(read_key(&path), Err(KeyFileError::Key(_))));
    }
}
