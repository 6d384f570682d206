//! The frames of a real node, and what is known of them.

use bytes::{BufMut, Bytes, BytesMut};
use polypeer_engine::Frame;
use polypeer_kaspa::wire::{Envelope, WireError, unpack};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::fs;
use std::path::PathBuf;

/// One file of single messages, and its entry in the manifest.
pub(crate) struct Fixture {
    pub(crate) name: String,
    pub(crate) payload: Bytes,
    pub(crate) facts: Value,
}

impl Fixture {
    /// Opened.
    pub(crate) fn envelope(&self) -> Envelope {
        open(&self.payload).unwrap_or_else(|wrong| panic!("{}: {wrong}", self.name))
    }
}

/// Bytes of a file.
pub(crate) fn read(name: &str) -> Bytes {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "fixtures", name].iter().collect();
    fs::read(&path).unwrap_or_else(|wrong| panic!("{}: {wrong}", path.display())).into()
}

/// The manifest's entries.
pub(crate) fn manifest() -> Vec<Value> {
    serde_json::from_slice(&read("manifest.json")).expect("the manifest is a list")
}

/// Every file that is one message.
pub(crate) fn all() -> Vec<Fixture> {
    let facts = manifest().into_iter().filter(|facts| facts["response_id"].is_u64());
    let fixture = |facts: Value| {
        let name = facts["file"].as_str().expect("a name").to_owned();
        Fixture { payload: read(&name), name, facts }
    };
    facts.map(fixture).collect()
}

/// The one of this name.
pub(crate) fn one(name: &str) -> Fixture {
    let name = format!("{name}.bin");
    all().into_iter().find(|fixture| fixture.name == name).expect("a fixture")
}

/// The body of the one of this name.
pub(crate) fn body(name: &str) -> Bytes {
    one(name).envelope().body
}

/// Every message of a recorded conversation.
pub(crate) fn conversation(name: &str) -> Vec<Bytes> {
    let mut rest = read(name);
    let mut messages = Vec::new();
    while !rest.is_empty() {
        let length = u32::from_be_bytes(rest[1..5].try_into().expect("four")) as usize;
        messages.push(rest.slice(5..5 + length));
        rest = rest.slice(5 + length..);
    }
    messages
}

/// The blocks of a default simnet, ascending in blue work.
pub(crate) fn dag() -> Vec<Bytes> {
    let mut rest = read("dag_simnet.bin");
    let mut blocks = Vec::new();
    while !rest.is_empty() {
        let length = u32::from_be_bytes(rest[..4].try_into().expect("four")) as usize;
        blocks.push(rest.slice(4..4 + length));
        rest = rest.slice(4 + length..);
    }
    blocks
}

/// A frame of a payload.
pub(crate) fn framed(flag: u8, payload: &[u8]) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_u8(flag);
    frame.put_u32(payload.len() as u32);
    frame.put_slice(payload);
    frame.freeze()
}

/// A payload that is not compressed, opened.
pub(crate) fn open(payload: &[u8]) -> Result<Envelope, WireError> {
    unpack(Frame::from(&framed(0, payload)))
}

#[test]
fn no_byte_of_the_fixtures_has_moved() {
    let manifest = manifest();
    assert_eq!(manifest.len(), 74);
    for facts in &manifest {
        let name = facts["file"].as_str().expect("a name");
        let bytes = read(name);
        assert_eq!(facts["sha256"], const_hex::encode(Sha256::digest(&bytes)), "{name}");
        assert_eq!(facts["bytes"], bytes.len(), "{name}");
    }
    let digest = const_hex::encode(Sha256::digest(read("manifest.json")));
    assert_eq!(digest, "a2c3014815ee5533c5d12ef3256a7b7569e1766c36e715b889ffdbd8cb070afc");
}
