//! Makes and reads the files with the keys that a node validates with and is known by.

use crate::networks::{KeyFiles, ShownKey};
use anyhow::{Context as _, bail};
use polypeer_ledger_bumo::{KeyFileError, read_key, write_key};
use polypeer_protocols::bumo::keys::{PrivateKey, Scheme};
use std::io::ErrorKind;
use std::path::Path;

pub(super) const KEY_FILES: KeyFiles = KeyFiles { schemes: &["ed25519", "sm2"], generate, show };

fn generate(path: &Path, scheme: &str) -> anyhow::Result<ShownKey> {
    let key = draw(if scheme == "sm2" { Scheme::Sm2 } else { Scheme::Ed25519 })?;
    match write_key(path, &key) {
        Ok(()) => Ok(shown(&key)),
        Err(KeyFileError::Io(error)) if error.kind() == ErrorKind::AlreadyExists => {
            bail!("it is there already, and a key is never written over")
        }
        Err(KeyFileError::Io(error)) => Err(error.into()),
        Err(error) => Err(error.into()),
    }
}

fn show(path: &Path) -> anyhow::Result<ShownKey> {
    Ok(shown(&read_key(path)?))
}

fn shown(key: &PrivateKey) -> ShownKey {
    ShownKey { address: key.public().address(), public_key: key.public().text() }
}

/// A new key that nobody has.
pub(super) fn draw(scheme: Scheme) -> anyhow::Result<PrivateKey> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).context("no random bytes from the system")?;
    // Of SM2's secrets one in four milliards is none.
    Ok(PrivateKey::new(scheme, secret)?)
}
