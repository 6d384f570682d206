//! Makes and reads the files with the keys that nodes are known by.

use crate::networks::{KeyFiles, ShownKey};
use anyhow::bail;
use polypeer_ledger_mina::{Identity, KeyFileError};
use std::io::ErrorKind;
use std::path::Path;

pub(super) const KEY_FILES: KeyFiles = KeyFiles { schemes: &["ed25519"], generate, show };

fn generate(path: &Path, _: &str) -> anyhow::Result<ShownKey> {
    match Identity::make(path) {
        Ok(identity) => Ok(shown(&identity)),
        Err(KeyFileError::Io(error)) if error.kind() == ErrorKind::AlreadyExists => {
            bail!("it is there already, and a key is never written over")
        }
        Err(error) => Err(error.into()),
    }
}

fn show(path: &Path) -> anyhow::Result<ShownKey> {
    Ok(shown(&Identity::read(path)?))
}

fn shown(identity: &Identity) -> ShownKey {
    let peer_id = identity.peer_id();
    ShownKey { address: peer_id.text(), public_key: const_hex::encode(peer_id.key()) }
}
