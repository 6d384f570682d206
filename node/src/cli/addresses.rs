//! Shows the address book of a running node, writes it to a file, and takes one over from a file.

use super::args::{Addresses, AddressesAct, Reach};
use super::ask::list;
use super::exit::Failure;
use super::tables::{plain, when};
use super::{put, put_json, put_line};
use crate::view::{Imported, KnownAddress};
use polypeer_engine::{Address, IMPORT_MAX};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// The format of an exported book; another one is refused.
const VERSION: u32 = 1;
/// A file in bytes: a million entries of 250 bytes, and room to spare.
const FILE_BYTES_MAX: u64 = 512 << 20;
/// Entries of a book that is taken over: as many as a book can have.
const ENTRIES_MAX: usize = 2_000_000;

// A book as a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exported {
    version: u32,
    addresses: Vec<Checked>,
}

// An entry whose every field means something. What does not is found while the file is read, so that the parser says
// where it stands.
#[derive(Serialize)]
struct Checked(KnownAddress);

impl<'de> Deserialize<'de> for Checked {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let known = KnownAddress::deserialize(from)?;
        let is_dialable = known.address.parse().is_ok_and(|address: Address| address.is_dialable());
        if !is_dialable {
            return Err(D::Error::custom(format!("`{}` is no `IP:PORT` where a peer can be", known.address)));
        }
        if known.source.as_ref().is_some_and(|source| source.parse::<IpAddr>().is_err()) {
            return Err(D::Error::custom("the source is no IP address"));
        }
        Ok(Self(known))
    }
}

/// `polypeer addresses`.
pub(super) fn addresses(args: Addresses, json: bool) -> Result<(), Failure> {
    let reach = args.reach;
    match args.act.unwrap_or(AddressesAct::List) {
        AddressesAct::List => show(&reach, json),
        AddressesAct::Export { file } => export(&reach, file.as_deref(), json),
        AddressesAct::Import { file } => import(&reach, &file, json),
    }
}

fn show(reach: &Reach, json: bool) -> Result<(), Failure> {
    list(reach, "addresses", json, &["address", "proven", "named by", "last tried"], |entry: &KnownAddress| {
        vec![
            plain(&entry.address),
            if entry.proven { "yes".into() } else { "no".into() },
            plain(entry.source.as_deref().unwrap_or("-")),
            entry.last_tried.map_or_else(|| "-".into(), when),
        ]
    })
}

// One entry a line, so that people and their tools can work with it.
fn export(reach: &Reach, file: Option<&Path>, json: bool) -> Result<(), Failure> {
    let client = reach.client();
    let entries: Vec<KnownAddress> = client.get_all(&reach.path(&client, "addresses")?)?;
    let lines: Result<Vec<_>, _> = entries.iter().map(serde_json::to_string).collect();
    let lines = lines.map_err(|error| Failure::new(error.to_string()))?;
    let text = format!("{{\"version\":{VERSION},\"addresses\":[\n{}\n]}}\n", lines.join(",\n"));
    let Some(file) = file else { return put(text.as_bytes()) };
    write(file, text.as_bytes()).map_err(|error| Failure::new(format!("cannot write {}: {error}", file.display())))?;
    match json {
        true => put_json(&json!({ "exported": entries.len() })),
        false => put_line(&format!("{} addresses written to {}", entries.len(), file.display())),
    }
}

// Beside the file first: one that is there stays whole until the new one is.
fn write(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut beside = file.as_os_str().to_owned();
    beside.push(".part");
    let beside = PathBuf::from(beside);
    let mut out = File::create(&beside)?;
    out.write_all(bytes)?;
    out.sync_all()?;
    fs::rename(&beside, file)
}

// The whole file is read and checked before the node hears of any of it.
fn import(reach: &Reach, file: &Path, json: bool) -> Result<(), Failure> {
    let entries = read(file)?;
    let client = reach.client();
    let path = reach.path(&client, "addresses")?;
    let mut taken = 0;
    for part in entries.chunks(IMPORT_MAX / 2) {
        let imported: Imported = client.post(&path, &part)?;
        taken += imported.taken;
    }
    match json {
        true => put_json(&json!({ "read": entries.len(), "taken": taken })),
        false => put_line(&format!("{} addresses read, {taken} of them new to the book", entries.len())),
    }
}

fn read(file: &Path) -> Result<Vec<Checked>, Failure> {
    let fault = |what: String| Failure::new(format!("{}: {what}; nothing was imported", file.display()));
    let mut bytes = Vec::new();
    let opened = File::open(file).and_then(|opened| opened.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes));
    opened.map_err(|error| fault(error.to_string()))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(fault("it is larger than 512 MiB".into()));
    }
    // The parser's word names line and column.
    let exported: Exported = serde_json::from_slice(&bytes).map_err(|error| fault(error.to_string()))?;
    if exported.version != VERSION {
        return Err(fault(format!("its version is {}, this program reads {VERSION}", exported.version)));
    }
    if exported.addresses.len() > ENTRIES_MAX {
        return Err(fault(format!("it has more than {ENTRIES_MAX} addresses")));
    }
    Ok(exported.addresses)
}
