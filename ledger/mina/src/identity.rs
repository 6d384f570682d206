//! Keeps the node's ed25519 key: by it others know the node, and with it is signed what it tells all.

use ed25519_dalek::{Signer as _, SigningKey};
use polypeer_mina::keys::PeerId;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::Path;
use thiserror::Error;

/// Bytes of a key file: 64 hex digits and a line end, with room for a careless editor.
const FILE_BYTES_MAX: u64 = 128;

/// A node's key. It signs by RFC 8032, as libp2p wants it (Mina spec, section 3.5).
#[derive(Clone)]
pub struct Identity(SigningKey);

/// Why a key file is not used.
#[derive(Debug, Error)]
pub enum KeyFileError {
    /// It cannot be read or made.
    #[error("the key file cannot be used: {0}")]
    Io(#[from] io::Error),
    /// Others may read it.
    #[error("the key file has mode {0:o}: nobody but its owner may read it (0600)")]
    Open(u32),
    /// It holds no key.
    #[error("the key file does not hold 64 hex digits")]
    Key,
    /// A new key cannot be drawn.
    #[error("no random bytes from the system: {0}")]
    Entropy(getrandom::Error),
}

impl Identity {
    /// The key of this seed.
    pub fn of_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// A new key.
    ///
    /// # Errors
    /// When the system has no random bytes.
    pub fn random() -> Result<Self, KeyFileError> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(KeyFileError::Entropy)?;
        Ok(Self::of_seed(&seed))
    }

    /// The key of a file, which holds its seed as 64 hex digits.
    ///
    /// # Errors
    /// When the file cannot be read, holds no key, or may be read by others.
    pub fn read(path: &Path) -> Result<Self, KeyFileError> {
        let file = File::open(path)?;
        // Of what was opened, so that nobody puts another file into its place meanwhile.
        check_mode(&file)?;
        let mut text = String::new();
        file.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
        let mut seed = [0; 32];
        const_hex::decode_to_slice(text.trim(), &mut seed).map_err(|_| KeyFileError::Key)?;
        Ok(Self::of_seed(&seed))
    }

    /// A new key, in a new file that only its owner may read.
    ///
    /// # Errors
    /// When it cannot be made, or is there already.
    pub fn make(path: &Path) -> Result<Self, KeyFileError> {
        if path.try_exists()? {
            return Err(io::Error::from(ErrorKind::AlreadyExists).into());
        }
        let identity = Self::random()?;
        identity.write(path)?;
        Ok(identity)
    }

    /// The key of a file, which is made with a new key when it is missing. A damaged one is left as it is.
    ///
    /// # Errors
    /// When the file cannot be read or made, holds no key, or may be read by others.
    pub fn read_or_make(path: &Path) -> Result<Self, KeyFileError> {
        match Self::read(path) {
            Err(KeyFileError::Io(error)) if error.kind() == ErrorKind::NotFound => Self::make(path),
            read => read,
        }
    }

    // Whole or not at all: a kill in the middle would leave a file that is no key.
    fn write(&self, path: &Path) -> Result<(), KeyFileError> {
        let beside = path.with_extension("new");
        match std::fs::remove_file(&beside) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&beside)?;
        writeln!(file, "{}", const_hex::encode(self.seed()))?;
        file.sync_all()?;
        Ok(std::fs::rename(&beside, path)?)
    }

    /// By what others know the node.
    pub fn peer_id(&self) -> PeerId {
        PeerId::of_key(self.0.verifying_key().to_bytes())
    }

    /// The secret, for the transport, which proves the key to each peer.
    pub fn seed(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// The signature of these bytes.
    pub(crate) fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        self.0.sign(bytes).to_bytes()
    }
}

impl fmt::Debug for Identity {
    /// Who it is, and not the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.peer_id(), f)
    }
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

    #[test]
    fn a_key_is_made_once_and_comes_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("node.key");
        let made = Identity::read_or_make(&path).expect("made");
        assert_eq!(Identity::read_or_make(&path).expect("read").peer_id(), made.peer_id());
        assert!(matches!(Identity::make(&path), Err(KeyFileError::Io(_))), "a key is never written over");
        assert!(!format!("{made:?}").contains(&const_hex::encode(made.seed())), "a secret is not shown");
    }

    #[cfg(unix)]
    #[test]
    fn a_key_that_others_may_read_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("node.key");
        Identity::read_or_make(&path).expect("made");
        let mode = std::fs::metadata(&path).expect("a file").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
        for mode in [0o640, 0o604, 0o620] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("set");
            assert!(matches!(Identity::read_or_make(&path), Err(KeyFileError::Open(found)) if found == mode));
        }
    }

    #[test]
    fn what_is_no_key_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("node.key");
        assert!(matches!(Identity::read(&path), Err(KeyFileError::Io(_))));
        Identity::read_or_make(&path).expect("made");
        std::fs::write(&path, "too short").expect("written");
        assert!(matches!(Identity::read_or_make(&path), Err(KeyFileError::Key)));
        assert_eq!(std::fs::read(&path).expect("read"), b"too short");
    }
}
