//! Makes key files, and shows what others may know of them.

use super::args::Keys;
use super::exit::Failure;
use super::{put_json, put_line};
use crate::config::nearest;
use crate::networks::{ENTRIES, Entry, KeyFiles, ShownKey};
use serde_json::json;
use std::path::Path;

/// `polypeer keys`.
pub(super) fn keys(act: &Keys, json: bool) -> Result<(), Failure> {
    match act {
        Keys::Generate { file, network, scheme } => {
            let files = key_files(network)?;
            let scheme = scheme.as_deref().unwrap_or(files.schemes[0]);
            if !files.schemes.contains(&scheme) {
                let known = files.schemes.join(", ");
                return Err(Failure::usage(format!("unknown scheme `{scheme}` for --scheme; there are {known}")));
            }
            let made = (files.generate)(file, scheme);
            show(file, &made.map_err(|error| Failure::new(format!("cannot make {}: {error:#}", file.display())))?, json)
        }
        Keys::Show { file, network } => {
            let found = (key_files(network)?.show)(file);
            show(file, &found.map_err(|error| Failure::new(format!("cannot use {}: {error:#}", file.display())))?, json)
        }
    }
}

fn key_files(name: &str) -> Result<&'static KeyFiles, Failure> {
    let having = || ENTRIES.iter().filter(|entry| entry.key_files.is_some());
    let is_it = |entry: &&Entry| entry.protocol == name || entry.presets.iter().any(|preset| preset.name == name);
    having().find(is_it).and_then(|entry| entry.key_files.as_ref()).ok_or_else(|| {
        let known: Vec<_> = having().map(|entry| entry.protocol).collect();
        let hint = nearest(name, known.iter().copied());
        Failure::usage(format!("no network `{name}` has key files{hint}; those of {} have", known.join(", ")))
    })
}

fn show(file: &Path, key: &ShownKey, json: bool) -> Result<(), Failure> {
    let ShownKey { address, public_key } = key;
    if json {
        return put_json(&json!({ "file": file.display().to_string(), "address": address, "public_key": public_key }));
    }
    put_line(&format!("address     {address}\npublic key  {public_key}"))
}
