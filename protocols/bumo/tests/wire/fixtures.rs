//! The messages of real nodes, and what is known of them.

use polypeer_bumo::hash::Hash;
use polypeer_bumo::proof::Validators;
use polypeer_bumo::wire::{Envelope, Kind, Message as _};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;

/// One WebSocket message.
pub(crate) struct Fixture {
    pub(crate) name: String,
    pub(crate) payload: Vec<u8>,
}

impl Fixture {
    /// Opened.
    pub(crate) fn envelope(&self) -> Envelope<'_> {
        Envelope::decode(&self.payload).unwrap_or_else(|wrong| panic!("{}: {wrong}", self.name))
    }

    /// What is inside.
    pub(crate) fn kind(&self) -> Kind {
        self.envelope().kind().unwrap_or_else(|| panic!("{}: no kind", self.name))
    }

    /// The data inside.
    pub(crate) fn data(&self) -> &[u8] {
        self.envelope().data
    }
}

fn folder() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "fixtures"].iter().collect()
}

/// Every captured file, by name.
pub(crate) fn files() -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder()).expect("the folder of fixtures");
    let file = |entry: fs::DirEntry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        (name, fs::read(entry.path()).expect("a fixture"))
    };
    let mut files: Vec<_> = entries.map(|entry| file(entry.expect("an entry"))).collect();
    files.retain(|(name, _)| name != "README.md");
    files.sort();
    files
}

/// Every message.
pub(crate) fn all() -> Vec<Fixture> {
    let fixture = |(name, digits): (String, Vec<u8>)| {
        let digits = String::from_utf8(digits).expect("digits");
        let name = name.strip_suffix(".hex")?.to_owned();
        Some(Fixture { payload: hex(digits.trim()), name })
    };
    files().into_iter().filter(|(name, _)| name.ends_with(".hex")).filter_map(fixture).collect()
}

/// The ones of this kind whose names begin so.
pub(crate) fn named(beginning: &str) -> Vec<Fixture> {
    all().into_iter().filter(|fixture| fixture.name.starts_with(beginning)).collect()
}

/// The one of this name.
pub(crate) fn one(name: &str) -> Fixture {
    all().into_iter().find(|fixture| fixture.name == name).unwrap_or_else(|| panic!("no fixture {name}"))
}

/// A file of computed values.
pub(crate) fn facts(name: &str) -> Value {
    serde_json::from_slice(&fs::read(folder().join(name)).expect("the facts")).expect("JSON")
}

/// The validators of one of the networks in `chain_vectors.json`.
pub(crate) fn validators(network: &str) -> Validators {
    let facts = facts("chain_vectors.json");
    let list = facts[network]["validators"].as_array().expect("a list");
    Validators::new(list.iter().map(|one| one["address"].as_str().expect("an address").to_owned()).collect())
}

/// Bytes of digits.
pub(crate) fn hex(digits: &str) -> Vec<u8> {
    const_hex::decode(digits).expect("hex")
}

/// Bytes of digits in JSON.
pub(crate) fn digits(value: &Value) -> Vec<u8> {
    hex(value.as_str().expect("digits"))
}

/// A hash of digits in JSON.
pub(crate) fn hash(value: &Value) -> Hash {
    Hash(digits(value).try_into().expect("32 bytes"))
}
