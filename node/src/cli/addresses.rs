//! Shows the address book of a running node, writes it to a file, and takes one over from a file.

use super::args::{Addresses, AddressesAct, Reach};
use super::ask::list;
use super::exit::Failure;
use super::tables::{plain, when};
use super::{put, put_json, put_line};
use crate::book_file;
use crate::view::{Imported, KnownAddress};
use polypeer_engine::IMPORT_MAX;
use serde_json::json;
use std::path::Path;

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

fn export(reach: &Reach, file: Option<&Path>, json: bool) -> Result<(), Failure> {
    let client = reach.client();
    let entries: Vec<KnownAddress> = client.get_all(&reach.path(&client, "addresses")?)?;
    let text = book_file::text(&entries).map_err(|error| Failure::new(error.to_string()))?;
    let Some(file) = file else { return put(text.as_bytes()) };
    let failed = |error| Failure::new(format!("cannot write {}: {error}", file.display()));
    book_file::write(file, &text).map_err(failed)?;
    match json {
        true => put_json(&json!({ "exported": entries.len() })),
        false => put_line(&format!("{} addresses written to {}", entries.len(), file.display())),
    }
}

// The whole file is read and checked before the node hears of any of it.
fn import(reach: &Reach, file: &Path, json: bool) -> Result<(), Failure> {
    let refused = |error| Failure::new(format!("{}: {error}; nothing was imported", file.display()));
    let entries = book_file::read(file).map_err(refused)?;
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
